/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/io.h"
#include "base/json.h"
#include "base/process.h"
#include "base/secret.h"
#include "base/staging.h"
#include "base/strbuf.h"
#include "base/utf8.h"

static void test_error(void **state _unused_)
{
	struct caisson_error err = {0};

	assert_int_equal(caisson_fail(&err, ENOENT, "open %s", "a\nb"), -ENOENT);
	assert_string_equal(err.message, "open a?b: No such file or directory");
	assert_int_equal(caisson_wrap(&err, "start"), -ENOENT);
	assert_string_equal(err.message, "start: open a?b: No such file or directory");
	assert_int_equal(caisson_hint(&err, "make it"), -ENOENT);
	assert_string_equal(err.hint, "make it");
	assert_int_equal(caisson_refuse(&err, EINVAL, "no"), -EINVAL);
	assert_string_equal(err.message, "no");
	assert_string_equal(err.hint, "");
	assert_int_equal(caisson_fail(NULL, EIO, "nobody listens"), -EIO);
}

static void test_error_keeps_the_cause(void **state _unused_)
{
	struct caisson_error err = {0};
	char big[2000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	caisson_refuse(&err, EINVAL, "the cause");
	caisson_wrap(&err, "%s", big);
	assert_non_null(strstr(err.message, ": the cause"));
}

static void test_hex(void **state _unused_)
{
	uint8_t all[256], back[256];
	char text[513];

	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	hex_encode(all, sizeof(all), text);
	assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f1011", 36);
	assert_int_equal(hex_decode(text, 512, back, 256), 0);
	assert_memory_equal(all, back, 256);
	assert_int_equal(hex_decode("AbCdEf", 6, back, 3), 0);
	assert_memory_equal(back, "\xab\xcd\xef", 3);
	for (int c = 0; c < 256; c++) {
		char pair[2] = {'0', (char)c};
		int wanted = c != 0 && strchr("0123456789abcdefABCDEF", c) != NULL ? 0 : -EINVAL;

		assert_int_equal(hex_decode(pair, 2, back, 1), wanted);
	}
	assert_int_equal(hex_decode("abc", 3, back, 1), -EINVAL);
}

static void test_secret(void **state _unused_)
{
	_cleanup_secret_ struct secret a = SECRET_NONE, b = SECRET_NONE, c = SECRET_NONE;
	struct caisson_error err = {0};
	int pipes[2];

	assert_ok(secret_random(&a, 64, &err), &err);
	assert_ok(secret_copy(&b, a.data, a.size, &err), &err);
	assert_true(secret_equal(&a, &b));
	b.data[63] ^= 1;
	assert_false(secret_equal(&a, &b));
	assert_refused(secret_new(&c, 0, &err), &err, EINVAL);

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(write(pipes[1], "hunter2", 7), 7);
	close(pipes[1]);
	assert_refused(secret_read_fd(&c, pipes[0], 6, &err), &err, EFBIG);
	close(pipes[0]);
}

static void test_names(void **state _unused_)
{
	static const char *const good[] = {"data", "0", "a.b-c_d"};
	static const char *const bad[] = {"", ".", "..", ".new-x", "-x", "a/b", "A", "a b", "a\n"};
	char most[65];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(name_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(name_valid(bad[i]));
	memset(most, 'a', 64);
	most[64] = '\0';
	assert_false(name_valid(most));
	most[63] = '\0';
	assert_true(name_valid(most));
}

static void test_utf8(void **state _unused_)
{
	static const char *const good[] = {
		"", "a", "\xc2\x80", "\xe2\x82\xac", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
	static const struct {
		const char *text, *forced;
	} bad[] = {
		{"a\xff", "a?"},
		{"\xc3", "?"},
		{"\xe2\x82z", "??z"},
		{"\xc0\xaf", "??"},
		{"\xe0\x9f\xbf", "???"},
		{"\xed\xa0\x80", "???"},
		{"\xf4\x90\x80\x80", "????"},
		{"\xc3\xa9\x80", "\xc3\xa9?"},
	};
	_cleanup_json_ struct json_object *object = json_object_new_object();
	const char *text = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(utf8_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_free_ char *forced = strdup(bad[i].text);

		assert_non_null(forced);
		assert_false(utf8_valid(forced));
		utf8_force(forced);
		assert_string_equal(forced, bad[i].forced);
	}
	/* What is printed is JSON, whatever a file is called. */
	assert_true(json_set_string(object, "path", "dev/\xff"));
	assert_ok(json_get_string(object, "path", true, &text, NULL), &(struct caisson_error){0});
	assert_string_equal(text, "dev/?");
}

static void test_json(void **state _unused_)
{
	static const char *const bad[] = {"", "{", "nul", "null", "{} x", "{\"a\":1,}", "[1,]"};
	const char good[] =
		"{\"s\":\"x\",\"n\":7,\"neg\":-1,\"l\":[\"a\",\"b\"],\"z\":\"a\\u0000\"}\n";
	_cleanup_json_ struct json_object *object = NULL, *other = NULL;
	_cleanup_strv_ struct strv list = STRV_INIT;
	struct caisson_error err = {0};
	const char *text = NULL;
	uint64_t number = 0;

	assert_ok(json_parse(good, strlen(good), "it", &object, &err), &err);
	assert_ok(json_get_string(object, "s", true, &text, &err), &err);
	assert_string_equal(text, "x");
	assert_ok(json_get_uint(object, "n", true, 7, &number, &err), &err);
	assert_int_equal(number, 7);
	assert_refused(json_get_uint(object, "n", true, 6, &number, &err), &err, ERANGE);
	assert_refused(json_get_uint(object, "neg", true, 6, &number, &err), &err, ERANGE);
	assert_refused(json_get_uint(object, "s", true, 6, &number, &err), &err, EINVAL);
	assert_refused(json_get_string(object, "z", true, &text, &err), &err, EINVAL);
	assert_refused(json_get_string(object, "none", true, &text, &err), &err, EINVAL);
	assert_ok(json_get_string(object, "none", false, &text, &err), &err);
	assert_ok(json_get_strings(object, "l", true, &list, &err), &err);
	assert_int_equal(list.count, 2);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_refused(
			json_parse(bad[i], strlen(bad[i]), "it", &other, &err), &err, EINVAL);
}

static void test_staging(void **state)
{
	_cleanup_free_ char *parent = path_join(*state, "staging"), *left = NULL, *path = NULL;
	_cleanup_staging_ struct staging a = STAGING_NONE, b = STAGING_NONE;
	struct caisson_error err = {0};

	assert_ok(make_directories(parent, 0700, &err), &err);
	left = path_join(parent, ".new-killed");
	assert_ok(make_directories(left, 0700, &err), &err);

	assert_ok(staging_directory(&a, parent, &err), &err);
	assert_ok(staging_file(&b, parent, &err), &err);
	staging_sweep(parent);
	assert_int_equal(access(left, F_OK), -1);
	assert_int_equal(access(a.path, F_OK), 0);

	path = strdup(b.path);
	assert_ok(staging_publish(&a, "whole", &err), &err);
	assert_refused(staging_publish(&b, "whole", &err), &err, EEXIST);
	staging_done(&b);
	assert_int_equal(access(path, F_OK), -1);
}

/* Who does not end is ended, in time, and so is the wait for what a child of its own keeps open. */
static void test_process_seconds(void **state _unused_)
{
	const char *const slow[] = {"sleep", "30", NULL};
	const char *const closed[] = {"sh", "-c", "exec >&- 2>&-; exec sleep 30", NULL};
	const char *const child[] = {"sh", "-c", "sleep 3 & exit 0", NULL};
	const char *const quick[] = {"true", NULL};
	const char *const *const late[] = {slow, closed, child};
	struct process_options options = PROCESS_OPTIONS_INIT;
	struct caisson_error err = {0};
	int status = -1;
	pid_t pid;

	options.seconds = 1;
	for (size_t i = 0; i < ARRAY_SIZE(late); i++) {
		uint64_t began = now_usec();

		assert_refused(process_run(late[i], &options, NULL, &err), &err, ETIMEDOUT);
		assert_non_null(strstr(err.message, "did not end in 1 seconds"));
		assert_in_range(now_usec() - began, 900000, 2900000);
	}
	assert_ok(process_run(quick, &options, NULL, &err), &err);
	pid = process_start(slow, &options, &err);
	assert_ok(pid, &err);
	assert_refused(process_wait_for(pid, "sleep", 1, &status, &err), &err, ETIMEDOUT);
	assert_int_equal(kill(pid, 0), -1);
	pid = process_start(quick, &options, &err);
	assert_ok(pid, &err);
	assert_ok(process_wait_for(pid, "true", 0, &status, &err), &err);
	assert_int_equal(status, 0);
}

static void test_process(void **state _unused_)
{
	const char *const echo[] = {"sh", "-c", "echo out; echo error >&2", NULL};
	const char *const bad[] = {"sh", "-c", "echo first >&2; echo why >&2; exit 3", NULL};
	const char *const none[] = {"no-such-program", NULL};
	_cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
	struct caisson_error err = {0};

	assert_ok(process_run(echo, NULL, &out, &err), &err);
	assert_string_equal(out.data, "out\n");
	assert_refused(process_run(bad, NULL, NULL, &err), &err, EIO);
	assert_string_equal(err.message, "sh ended with status 3: why");
	assert_refused(process_run(none, NULL, NULL, &err), &err, ENOENT);
}

static void test_files(void **state)
{
	_cleanup_free_ char *path = path_join(*state, "file");
	_cleanup_strbuf_ struct strbuf back = STRBUF_INIT;
	struct caisson_error err = {0};

	assert_ok(write_file_atomic(path, "hello", 5, 0600, &err), &err);
	assert_ok(write_file_atomic(path, "again", 5, 0600, &err), &err);
	assert_ok(read_file(path, 5, &back, &err), &err);
	assert_string_equal(back.data, "again");
	assert_refused(read_file(path, 4, &back, &err), &err, EFBIG);
	assert_refused(read_file(*state, 4, &back, &err), &err, EINVAL);
	assert_refused(read_file("/nowhere/at/all", 4, &back, &err), &err, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_error_keeps_the_cause),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_secret),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_staging),
		cmocka_unit_test(test_process),
		cmocka_unit_test(test_process_seconds),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
