/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>

#include "wire/guest_config.h"

#define SECRET "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static struct guest_config example(void)
{
	struct guest_config config = {.machine = strdup("web-1"),
		.image = strdup("0123abcd"),
		.image_serial = strdup("caisson-image"),
		.vsock_port = 7,
		.secret = strdup(SECRET),
		.volumes = calloc(2, sizeof(struct guest_volume)),
		.volume_count = 2,
		.network = true,
		.directory = strdup("/srv/a b"),
		.user = strdup("app:web"),
		.terminal = true,
		.rows = 24,
		.columns = 80};

	config.volumes[0] = (struct guest_volume){
		strdup("data"), strdup("caisson-volume-0"), strdup("/data"), true};
	config.volumes[1] = (struct guest_volume){
		strdup("root"), strdup("caisson-volume-1"), strdup("/"), false};
	strv_add(&config.argv, "/bin/sh");
	strv_add(&config.argv, "-c");
	strv_add(&config.argv, "echo \"quoted\"\n\\");
	strv_add(&config.environment, "A=\xc3\xa4");
	return config;
}

static void test_round_trip(void **state _unused_)
{
	_cleanup_guest_config_ struct guest_config config = example(), back = GUEST_CONFIG_NONE;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct caisson_error err = {0};

	assert_ok(guest_config_write(&config, &text, &err), &err);
	assert_ok(guest_config_read(text.data, text.size, &back, &err), &err);
	assert_string_equal(back.machine, "web-1");
	assert_string_equal(back.secret, SECRET);
	assert_int_equal(back.vsock_port, 7);
	assert_int_equal(back.volume_count, 2);
	assert_string_equal(back.volumes[0].mount, "/data");
	assert_true(back.volumes[0].read_only);
	assert_string_equal(back.volumes[1].name, "root");
	assert_int_equal(back.argv.count, 3);
	assert_string_equal(back.argv.items[2], "echo \"quoted\"\n\\");
	assert_string_equal(back.environment.items[0], "A=\xc3\xa4");
	assert_string_equal(back.directory, "/srv/a b");
	assert_true(back.terminal && back.network && !back.interactive);
	assert_int_equal(back.columns, 80);
}

static void test_secret_is_wanted_with_volumes_only(void **state _unused_)
{
	_cleanup_guest_config_ struct guest_config config = example(), back = GUEST_CONFIG_NONE;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct caisson_error err = {0};
	char *secret = take_ptr(config.secret);

	assert_ok(guest_config_write(&config, &text, &err), &err);
	assert_refused(guest_config_read(text.data, text.size, &back, &err), &err, EINVAL);
	free(secret);

	strbuf_clear(&text);
	for (size_t i = 0; i < 2; i++) {
		free(config.volumes[i].name);
		free(config.volumes[i].serial);
		free(config.volumes[i].mount);
	}
	config.volume_count = 0;
	assert_ok(guest_config_write(&config, &text, &err), &err);
	assert_ok(guest_config_read(text.data, text.size, &back, &err), &err);
	assert_null(back.secret);
}

/* Each replaces one piece of a good text by a bad one. */
static void test_refusals(void **state _unused_)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{"\"version\":1", "\"version\":2"},
		{"\"version\":1", "\"version\":-1"},
		{"\"machine\":\"web-1\"", "\"machine\":\"../x\""},
		{"\"name\":\"data\"", "\"name\":\"a b\""},
		{"\"mount\":\"\\/data\"", "\"mount\":\"data\""},
		{"\"mount\":\"\\/data\"", "\"mount\":\"\\/a\\/..\\/b\""},
		{"\"mount\":\"\\/data\"", "\"mount\":\"\\/..\""},
		{"\"argv\":[", "\"argw\":["},
		{SECRET, "00"},
		{SECRET, "zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"},
		{"\"rows\":24", "\"rows\":70000"},
		{"\"network\":true", "\"network\":\"yes\""},
		{"\"directory\":\"\\/srv\\/a b\"", "\"directory\":\"srv\""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_guest_config_ struct guest_config config = example();
		_cleanup_guest_config_ struct guest_config back = GUEST_CONFIG_NONE;
		_cleanup_strbuf_ struct strbuf text = STRBUF_INIT, bad = STRBUF_INIT;
		struct caisson_error err = {0};
		const char *found;
		int r;

		assert_ok(guest_config_write(&config, &text, &err), &err);
		found = strstr(text.data, cases[i].from);
		if (found == NULL)
			fail_msg("%s is not in %s", cases[i].from, text.data);
		strbuf_add(&bad, text.data, (size_t)(found - text.data));
		strbuf_add_string(&bad, cases[i].to);
		strbuf_add_string(&bad, found + strlen(cases[i].from));
		r = guest_config_read(bad.data, bad.size, &back, &err);
		if (r >= 0 || err.message[0] == '\0' || back.machine != NULL)
			fail_msg("%s was taken", cases[i].to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_secret_is_wanted_with_volumes_only),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
