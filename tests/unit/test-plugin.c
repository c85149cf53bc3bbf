/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The volume plug-in, call by call, above a double of the public API (fake-volume.c). */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/process.h"
#include "fake-volume.h"
#include "plugin/driver.h"
#include "plugin/http.h"
#include "plugin/names.h"
#include "plugin/sessions.h"
#include "plugin/socket.h"

#define ANONYMOUS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ANON_HERE "anon-aerukz4jvpg66ajdivtytk6n54asgrlhrgv433ybencwpcnlzxxq"

static const char *folder;

/* Each test begins without volumes and without records. */
static int begin(void **state)
{
	_cleanup_free_ char *records = path_join(*state, "plugin");

	folder = *state;
	fake_clear();
	return remove_tree(records, NULL);
}

static struct driver driver(void)
{
	return (struct driver){.state = folder, .config = folder, .default_size = 1 << 30};
}

/* What a call is answered with; the HTTP status. */
static unsigned int call(const char *path, const char *body, struct json_object **ret_answer)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	_cleanup_free_ char *whole = format_string("/VolumeDriver.%s", path);
	const struct driver asked = driver();
	struct caisson_error err = {0};
	unsigned int status =
		driver_answer(&asked, path[0] == '/' ? path : whole, body, strlen(body), &text);

	assert_ok(json_parse(text.data, text.size, "the answer", ret_answer, &err), &err);
	assert_int_equal(fake()->contexts, 0);
	return status;
}

static void succeeds(const char *path, const char *body)
{
	_cleanup_json_ struct json_object *answer = NULL;
	unsigned int status = call(path, body, &answer);
	const char *text = NULL;

	assert_ok(json_get_string(answer, "Err", true, &text, NULL), &(struct caisson_error){0});
	if (status != 200 || text[0] != '\0')
		fail_msg("%s %s: %u %s", path, body, status, text);
}

static void fails(const char *path, const char *body, unsigned int wanted, const char *part)
{
	_cleanup_json_ struct json_object *answer = NULL;
	unsigned int status = call(path, body, &answer);
	const char *text = NULL;

	assert_int_equal(status, wanted);
	assert_int_equal(json_get_string(answer, "Err", true, &text, NULL), 0);
	if (strstr(text, part) == NULL)
		fail_msg("%s %s: %s", path, body, text);
}

/* A text of the answer, at "Volume.Status.way". */
static void tells(const char *path, const char *body, const char *where, const char *wanted)
{
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_free_ char *copy = strdup(where);
	struct json_object *at;
	char *rest = copy, *field;

	assert_int_equal(call(path, body, &answer), 200);
	at = answer;
	while ((field = strsep(&rest, ".")) != NULL) {
		if (!json_object_object_get_ex(at, field, &at))
			fail_msg("%s %s: no %s", path, body, where);
	}
	assert_string_equal(json_object_get_string(at), wanted);
}

static void test_names(void **state)
{
	static const char *const wrong[] = {"", "Data", ".", "..", "../x", "a/b", "-a", "_a", "a b",
		"\xc3\xa4", "a\nb",
		"0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF",
		"g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", ANONYMOUS "0",
		ANON_HERE};
	char here[NAME_HERE_MOST], there[NAME_THERE_MOST], longest[300];
	struct caisson_error err = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_refused(name_from_engine(wrong[i], here, &err), &err, EINVAL);
	memset(longest, 'a', sizeof(longest));
	longest[256] = '\0';
	assert_refused(name_from_engine(longest, here, &err), &err, EINVAL);
	longest[63] = '\0';
	assert_ok(name_from_engine(longest, here, &err), &err);
	assert_string_equal(here, longest);
	name_to_engine(here, there);
	assert_string_equal(there, longest);

	assert_ok(name_from_engine(ANONYMOUS, here, &err), &err);
	assert_string_equal(here, ANON_HERE);
	assert_true(name_valid(here));
	name_to_engine(here, there);
	assert_string_equal(there, ANONYMOUS);
	/* The last digit says one bit: another one there is an ordinary name. */
	here[strlen(here) - 1] = 'b';
	name_to_engine(here, there);
	assert_string_equal(there, here);
	assert_ok(name_from_engine(here, here, &err), &err);
}

/* Every byte has its place: one name each, and back. */
static void test_anonymous_names(void **state)
{
	char given[NAME_THERE_MOST], there[NAME_THERE_MOST], here[NAME_HERE_MOST];
	struct caisson_error err = {0};
	unsigned int seed = 1;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		for (int i = 0; i < 64; i++) {
			seed = seed * 1664525u + 1013904223u;
			given[i] = "0123456789abcdef"[seed >> 28];
		}
		given[64] = '\0';
		assert_ok(name_from_engine(given, here, &err), &err);
		assert_true(name_valid(here));
		name_to_engine(here, there);
		assert_string_equal(there, given);
	}
}

static void test_handshake(void **state)
{
	(void)state;
	tells("/Plugin.Activate", "", "Implements", "[ \"VolumeDriver\" ]");
	tells("Capabilities", "", "Capabilities.Scope", "local");
	tells("Capabilities", "{}", "Capabilities.Scope", "local");
	tells("List", "", "Volumes", "[ ]");
	tells("List", "null", "Volumes", "[ ]");
	fails("Rename", "{}", 404, "no call");
	fails("/", "{}", 404, "no call");
	fails("/VolumeDriver.", "{}", 404, "no call");
}

static void test_bad_requests(void **state)
{
	static const char *const calls[] = {"Create", "Get", "Mount", "Path", "Remove", "Unmount"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		fails(calls[i], "", 400, "not JSON");
		fails(calls[i], "null", 400, "null");
		fails(calls[i], "{", 400, "not JSON");
		fails(calls[i], "[]", 400, "not an object");
		fails(calls[i], "{} {}", 400, "more behind");
		fails(calls[i], "{}", 400, "'Name' is missing");
		fails(calls[i], "{\"Name\":1}", 400, "not of type string");
		fails(calls[i], "{\"Name\":\"a\\u0000b\"}", 400, "NUL");
		fails(calls[i], "{\"Name\":\"../../etc\"}", 500, "cannot be the name");
		fails(calls[i], "{\"Name\":\"Upper\"}", 500, "cannot be the name");
	}
	fails("Create", "{\"Name\":\"a\",\"Opts\":[]}", 500, "'Opts' is not of type object");
	fails("Mount", "{\"Name\":\"a\",\"ID\":7}", 500, "'ID' is not of type string");
	assert_null(fake_find("a"));
}

static void test_create(void **state)
{
	const struct fake_volume *volume;

	(void)state;
	succeeds("Create", "{\"Name\":\"plain\",\"Opts\":null}");
	volume = fake_find("plain");
	assert_int_equal(volume->facts.size, 1 << 30);
	succeeds("Create", "{\"Name\":\"none\"}");
	succeeds("Create",
		"{\"Name\":\"full\",\"Opts\":{\"size\":\"64M\",\"filesystem\":\"xfs\","
		"\"label\":\"L\",\"sector-size\":\"512\",\"cipher\":\"serpent-xts-"
		"plain64\",\"preallocate\":\"\",\"thin\":\"false\",\"integrity\":\"x\"}}");
	volume = fake_find("full");
	assert_int_equal(volume->facts.size, 64 << 20);
	assert_string_equal(volume->facts.filesystem, "xfs");
	assert_string_equal(volume->label, "L");
	assert_int_equal(volume->facts.sector_size, 512);
	assert_int_equal(volume->facts.allocated, 64 << 20);
	/* What is to be in it says how large it is. */
	succeeds("Create", "{\"Name\":\"filled\",\"Opts\":{\"from\":\"/srv/x.tar\"}}");
	volume = fake_find("filled");
	assert_string_equal(volume->from, "/srv/x.tar");
	assert_int_equal(volume->facts.size, 0);
	succeeds("Create", "{\"Name\":\"" ANONYMOUS "\"}");
	assert_non_null(fake_find(ANON_HERE));
	fake()->fail_create = ENOSPC;
	fails("Create", "{\"Name\":\"more\"}", 500, "create fails");
}

static void test_bad_options(void **state)
{
	static const char *const bad[][2] = {
		{"\"siz\":\"1G\"", "no option 'siz'"},
		{"\"\":\"1G\"", "no option ''"},
		{"\"size\":\"1.5G\"", "is not a size"},
		{"\"size\":\"\"", "is not a size"},
		{"\"size\":\"0\"", "too small"},
		{"\"size\":7", "size is not a text"},
		{"\"size\":null", "size is not a text"},
		{"\"filesystem\":\"none\"", "no container can use"},
		{"\"filesystem\":\"ext4\\u0000\"", "NUL"},
		{"\"from\":\"srv\"", "begins with '/'"},
		{"\"device\":\"../sda\"", "begins with '/'"},
		{"\"sector-size\":\"4097\"", "512, 1024"},
		{"\"thin\":\"maybe\"", "true or false"},
		{"\"key-size\":\"128\"", "256 or 512"},
		{"\"thin\":\"true\",\"preallocate\":\"yes\"", "not both"},
		{"\"passphrase\":\"x\"", "no option 'passphrase'"},
	};
	char body[4096 + 200], text[4200];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(body, sizeof(body), "{\"Name\":\"a\",\"Opts\":{%s}}", bad[i][0]);
		fails("Create", body, 500, bad[i][1]);
	}
	memset(text, 'x', sizeof(text));
	text[4097] = '\0';
	snprintf(body, sizeof(body), "{\"Name\":\"a\",\"Opts\":{\"label\":\"%s\"}}", text);
	fails("Create", body, 500, "too long");
	assert_null(fake_find("a"));
}

static void test_create_again(void **state)
{
	(void)state;
	succeeds("Create", "{\"Name\":\"a\",\"Opts\":{\"size\":\"64M\",\"from\":\"/x\","
			   "\"label\":\"L\"}}");
	succeeds("Create", "{\"Name\":\"a\",\"Opts\":{\"size\":\"64M\",\"from\":\"/x\","
			   "\"label\":\"L\"}}");
	succeeds("Create", "{\"Name\":\"a\"}");
	succeeds("Create", "{\"Name\":\"a\",\"Opts\":{\"size\":\"67108863\"}}");
	succeeds("Create", "{\"Name\":\"a\",\"Opts\":{\"filesystem\":\"ext4\",\"thin\":\"1\","
			   "\"sector-size\":\"4096\",\"cipher\":\"aes-xts-plain64\"}}");
	fails("Create", "{\"Name\":\"a\",\"Opts\":{\"size\":\"65M\"}}", 500, "size is not");
	fails("Create", "{\"Name\":\"a\",\"Opts\":{\"from\":\"/y\"}}", 500, "not made with from");
	fails("Create", "{\"Name\":\"a\",\"Opts\":{\"filesystem\":\"xfs\"}}", 500, "filesystem is");
	fails("Create", "{\"Name\":\"a\",\"Opts\":{\"preallocate\":\"\"}}", 500, "preallocate");
	fails("Create", "{\"Name\":\"a\",\"Opts\":{\"bogus\":\"\"}}", 500, "no option");
	/* It has grown since: what was asked for is still what it was made with. */
	fake_find("a")->facts.size = 128 << 20;
	succeeds("Create", "{\"Name\":\"a\",\"Opts\":{\"size\":\"64M\"}}");
	succeeds("Create", "{\"Name\":\"a\",\"Opts\":{\"size\":\"128M\"}}");
	/* Another volume of the same name: what the first was made with is not said of it. */
	snprintf(fake_find("a")->facts.uuid, 40, "another");
	fails("Create", "{\"Name\":\"a\",\"Opts\":{\"from\":\"/x\"}}", 500, "not made with");
	assert_int_equal(fake()->made, 1);
}

static void test_mount(void **state)
{
	struct fake_volume *volume;

	(void)state;
	fails("Mount", "{\"Name\":\"a\",\"ID\":\"1\"}", 500, "no volume a");
	succeeds("Create", "{\"Name\":\"a\"}");
	volume = fake_find("a");
	tells("Path", "{\"Name\":\"a\"}", "Mountpoint", "");
	tells("Mount", "{\"Name\":\"a\",\"ID\":\"1\"}", "Mountpoint", folder);
	tells("Path", "{\"Name\":\"a\"}", "Mountpoint", folder);
	tells("Mount", "{\"Name\":\"a\",\"ID\":\"2\"}", "Mountpoint", folder);
	tells("Get", "{\"Name\":\"a\"}", "Volume.Status.users", "2");
	assert_int_equal(volume->mounts, 1);
	fails("Remove", "{\"Name\":\"a\"}", 500, "in use by 2 mounts");
	succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"1\"}");
	succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"1\"}");
	succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"unknown\"}");
	assert_true(volume->mounted);
	fails("Remove", "{\"Name\":\"a\"}", 500, "in use by 1 mount");
	succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"2\"}");
	assert_false(volume->mounted);
	assert_int_equal(volume->unmounts, 1);
	succeeds("Remove", "{\"Name\":\"a\"}");
	assert_null(fake_find("a"));
	succeeds("Remove", "{\"Name\":\"a\"}");
	succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"2\"}");
}

/* "docker cp" mounts with the ID of the container that runs. */
static void test_same_id_twice(void **state)
{
	(void)state;
	succeeds("Create", "{\"Name\":\"a\"}");
	succeeds("Mount", "{\"Name\":\"a\",\"ID\":\"1\"}");
	succeeds("Mount", "{\"Name\":\"a\",\"ID\":\"1\"}");
	succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"1\"}");
	assert_true(fake_find("a")->mounted);
	succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"1\"}");
	assert_false(fake_find("a")->mounted);
	/* Engines of old send none. */
	succeeds("Mount", "{\"Name\":\"a\"}");
	succeeds("Unmount", "{\"Name\":\"a\"}");
	assert_false(fake_find("a")->mounted);
}

static void test_mount_fails(void **state)
{
	(void)state;
	succeeds("Create", "{\"Name\":\"a\"}");
	fake()->fail_mount = EBUSY;
	fails("Mount", "{\"Name\":\"a\",\"ID\":\"1\"}", 500, "mount fails");
	fake()->fail_mount = 0;
	tells("Get", "{\"Name\":\"a\"}", "Volume.Status.users", "0");
	succeeds("Mount", "{\"Name\":\"a\",\"ID\":\"2\"}");
	fake()->fail_mount = EIO;
	fails("Mount", "{\"Name\":\"a\",\"ID\":\"3\"}", 500, "mount fails");
	tells("Get", "{\"Name\":\"a\"}", "Volume.Status.users", "1");
	succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"3\"}");
	assert_true(fake_find("a")->mounted);
	succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"2\"}");
	assert_false(fake_find("a")->mounted);
}

/* The user is gone all the same, and what could not be unmounted is when it can be. */
static void test_unmount_fails(void **state)
{
	(void)state;
	for (int way = 0; way < 3; way++) {
		succeeds("Create", "{\"Name\":\"a\"}");
		succeeds("Mount", "{\"Name\":\"a\",\"ID\":\"1\"}");
		fake()->fail_unmount = EBUSY;
		fails("Unmount", "{\"Name\":\"a\",\"ID\":\"1\"}", 500, "files are open");
		fails("Remove", "{\"Name\":\"a\"}", 500, "files are open");
		assert_non_null(fake_find("a"));
		fake()->fail_unmount = 0;
		if (way == 0)
			succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"1\"}");
		if (way == 1) {
			succeeds("Mount", "{\"Name\":\"a\",\"ID\":\"2\"}");
			succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"2\"}");
		}
		if (way < 2)
			assert_false(fake_find("a")->mounted);
		succeeds("Remove", "{\"Name\":\"a\"}");
		assert_null(fake_find("a"));
	}
}

/* What somebody else has mounted stays so, and is not destroyed under them. */
static void test_mounted_by_others(void **state)
{
	struct fake_volume *volume;

	(void)state;
	succeeds("Create", "{\"Name\":\"a\"}");
	volume = fake_find("a");
	volume->is_open = true;
	fails("Remove", "{\"Name\":\"a\"}", 500, "caisson volume close a");
	volume->mounted = true;
	snprintf(volume->mount_point, sizeof(volume->mount_point), "%.200s", folder);
	fails("Remove", "{\"Name\":\"a\"}", 500, "caisson volume unmount a");
	succeeds("Mount", "{\"Name\":\"a\",\"ID\":\"1\"}");
	succeeds("Mount", "{\"Name\":\"a\",\"ID\":\"2\"}");
	succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"1\"}");
	succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"2\"}");
	assert_true(volume->mounted);
	assert_int_equal(volume->unmounts, 0);
	volume->is_open = volume->mounted = false;
	volume->facts.in_use = true;
	snprintf(volume->facts.holder, sizeof(volume->facts.holder), "guest");
	fails("Remove", "{\"Name\":\"a\"}", 500, "the machine guest has");
}

static void edit_record(const char *name, const char *from, const char *to)
{
	_cleanup_free_ char *path = format_string("%s/plugin/%s.json", folder, name);
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT, edited = STRBUF_INIT;
	struct caisson_error err = {0};
	const char *at;

	assert_ok(read_file(path, 1 << 20, &text, &err), &err);
	at = strstr(text.data, from);
	assert_non_null(at);
	strbuf_add(&edited, text.data, (size_t)(at - text.data));
	strbuf_add_string(&edited, to);
	strbuf_add_string(&edited, at + strlen(from));
	assert_ok(write_file_atomic(path, edited.data, edited.size, 0600, &err), &err);
}

/* Users are of one boot and of one mount. */
static void test_users_are_void(void **state)
{
	struct fake_volume *volume;

	(void)state;
	succeeds("Create", "{\"Name\":\"a\"}");
	volume = fake_find("a");

	/* The host was started again: nothing is mounted. */
	succeeds("Mount", "{\"Name\":\"a\",\"ID\":\"1\"}");
	volume->is_open = volume->mounted = false;
	tells("Get", "{\"Name\":\"a\"}", "Volume.Status.users", "0");
	succeeds("Mount", "{\"Name\":\"a\",\"ID\":\"2\"}");
	succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"2\"}");
	assert_false(volume->mounted);

	/* And somebody has mounted it since. */
	succeeds("Mount", "{\"Name\":\"a\",\"ID\":\"1\"}");
	edit_record("a", "\"boot\":\"", "\"boot\":\"x");
	tells("Get", "{\"Name\":\"a\"}", "Volume.Status.users", "0");
	succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"1\"}");
	assert_true(volume->mounted);

	/* Unmounted by hand, and mounted by hand elsewhere. */
	volume->is_open = volume->mounted = false;
	succeeds("Mount", "{\"Name\":\"a\",\"ID\":\"1\"}");
	snprintf(volume->mount_point, sizeof(volume->mount_point), "/proc");
	succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"1\"}");
	assert_true(volume->mounted);

	/* Destroyed and made again by the command line. */
	volume->is_open = volume->mounted = false;
	succeeds("Mount", "{\"Name\":\"a\",\"ID\":\"1\"}");
	snprintf(volume->facts.uuid, sizeof(volume->facts.uuid), "another");
	tells("Get", "{\"Name\":\"a\"}", "Volume.Status.users", "0");
}

static void write_record(const char *name, const char *text)
{
	_cleanup_free_ char *path = format_string("%s/plugin/%s.json", folder, name);
	struct caisson_error err = {0};

	assert_ok(write_file_atomic(path, text, strlen(text), 0600, &err), &err);
}

static void test_damaged_record(void **state)
{
	static const char *const damaged[] = {"", "{", "[]", "{}", "{\"version\":2}",
		"{\"version\":1,\"users\":{\"1\":0}}", "{\"version\":1,\"users\":{\"1\":\"x\"}}",
		"{\"version\":1,\"users\":[1]}", "{\"version\":1,\"mount\":-1}",
		"{\"version\":1,\"uuid\":\"0123456789012345678901234567890123456789\"}"};
	struct caisson_error err = {0};

	(void)state;
	succeeds("Create", "{\"Name\":\"a\"}");
	for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
		struct session session;

		if (session_parse(damaged[i], strlen(damaged[i]), "it", &session, &err) == 0)
			fail_msg("read: %s", damaged[i]);
		write_record("a", damaged[i]);
		succeeds("Mount", "{\"Name\":\"a\",\"ID\":\"1\"}");
		succeeds("Unmount", "{\"Name\":\"a\",\"ID\":\"1\"}");
		assert_false(fake_find("a")->mounted);
	}
}

static unsigned int answer(
	void *userdata, const char *path, const char *body, size_t size, struct strbuf *text)
{
	return driver_answer(userdata, path, body, size, text);
}

/* The same in a process of its own, as the service does it. */
static unsigned int work(const char *path, const char *body)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct driver asked = driver();

	return worker_run(answer, &asked, path, body, strlen(body), &text);
}

/* A request that is killed, and the next. */
static void test_killed(void **state)
{
	static const char create[] = "{\"Name\":\"a\",\"Opts\":{\"size\":\"64M\"}}";
	static const char mount[] = "{\"Name\":\"a\",\"ID\":\"1\"}";

	(void)state;
	snprintf(fake()->die_in, sizeof(fake()->die_in), "create");
	assert_int_equal(work("/VolumeDriver.Create", create), 500);
	fake()->contexts = 0;
	succeeds("Create", create);

	snprintf(fake()->die_in, sizeof(fake()->die_in), "mount");
	assert_int_equal(work("/VolumeDriver.Mount", mount), 500);
	assert_true(fake_find("a")->mounted);
	fake()->contexts = 0;
	fake()->die_in[0] = '\0';
	fails("Remove", "{\"Name\":\"a\"}", 500, "in use by 1 mount");
	succeeds("Unmount", mount);
	assert_false(fake_find("a")->mounted);

	succeeds("Mount", mount);
	snprintf(fake()->die_in, sizeof(fake()->die_in), "unmount");
	assert_int_equal(work("/VolumeDriver.Unmount", mount), 500);
	fake()->contexts = 0;
	fake()->die_in[0] = '\0';
	tells("Get", "{\"Name\":\"a\"}", "Volume.Status.users", "0");
	succeeds("Unmount", mount);
	succeeds("Remove", "{\"Name\":\"a\"}");
}

static void test_tell(void **state)
{
	_cleanup_json_ struct json_object *answered = NULL;
	struct json_object *volumes = NULL;

	(void)state;
	succeeds("Create", "{\"Name\":\"a\"}");
	succeeds("Create", "{\"Name\":\"" ANONYMOUS "\"}");
	tells("Get", "{\"Name\":\"a\"}", "Volume.Name", "a");
	tells("Get", "{\"Name\":\"a\"}", "Volume.Mountpoint", "");
	tells("Get", "{\"Name\":\"a\"}", "Volume.CreatedAt", "2023-11-14T22:13:20Z");
	tells("Get", "{\"Name\":\"a\"}", "Volume.Status.size", "1073741824");
	tells("Get", "{\"Name\":\"a\"}", "Volume.Status.filesystem", "ext4");
	succeeds("Mount", "{\"Name\":\"a\",\"ID\":\"1\"}");
	tells("Get", "{\"Name\":\"a\"}", "Volume.Status.way", "userspace");
	tells("Get", "{\"Name\":\"a\"}", "Volume.Status.why", "there is no device-mapper");
	tells("Get", "{\"Name\":\"" ANONYMOUS "\"}", "Volume.Name", ANONYMOUS);
	tells("Get", "{\"Name\":\"" ANONYMOUS "\"}", "Volume.Status.name", ANON_HERE);
	fails("Get", "{\"Name\":\"b\"}", 500, "there is no volume b");
	fails("Path", "{\"Name\":\"b\"}", 500, "there is no volume b");
	assert_int_equal(call("List", "{}", &answered), 200);
	assert_int_equal(json_get_array(answered, "Volumes", true, &volumes, NULL), 0);
	assert_int_equal(json_object_array_length(volumes), 2);
	/* One that cannot be looked at does not hide the others. */
	fake()->fail_opened = EIO;
	succeeds("List", "{}");
	fails("Get", "{\"Name\":\"a\"}", 500, "opened fails");
}

/* The service over its socket */

struct service {
	char path[200];
	pid_t pid;
};

static struct service start_service(unsigned int idle_s, unsigned int patience_s)
{
	struct service service;
	struct caisson_error err = {0};
	int fd;

	snprintf(service.path, sizeof(service.path), "%s/plugin.sock", folder);
	assert_ok(socket_listen(service.path, (gid_t)-1, &fd, &err), &err);
	service.pid = fork();
	assert_true(service.pid >= 0);
	if (service.pid == 0) {
		struct driver asked = driver();
		const struct http_options options = {.listen_fd = fd,
			.answer = answer,
			.userdata = &asked,
			.idle_s = idle_s,
			.patience_s = patience_s,
			.end_s = 10};
		int r = http_serve(&options, &err);

		if (r < 0)
			fprintf(stderr, "%s\n", err.message);
		_exit(r < 0 ? 1 : 0);
	}
	close(fd);
	return service;
}

static int end_service(const struct service *service)
{
	int status;

	if (kill(service->pid, SIGTERM) < 0)
		return -1;
	assert_int_equal(process_wait(service->pid, &status, NULL), 0);
	return status;
}

static int connect_to(const struct service *service)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", service->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void send_request(int fd, const char *path, const char *body)
{
	_cleanup_free_ char *text =
		format_string("POST %s HTTP/1.1\r\nHost: plugin\r\nConnection: close\r\n"
			      "Accept: application/vnd.docker.plugins.v1.2+json\r\n"
			      "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			path, strlen(body), body);

	send_text(fd, text);
}

/* Everything until the service closes the connection. */
static void receives(int fd, const char *part)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	(void)read_to_end(fd, 1 << 20, "the answer", &text, NULL);
	strbuf_add(&text, "", 0);
	if (strstr(text.data, part) == NULL)
		fail_msg("no '%s' in: %s", part, text.data);
	close(fd);
}

static void asks(
	const struct service *service, const char *path, const char *body, const char *part)
{
	int fd = connect_to(service);

	send_request(fd, path, body);
	receives(fd, part);
}

static void test_service(void **state)
{
	struct service service = start_service(0, 60);
	struct stat st;

	(void)state;
	assert_int_equal(stat(service.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	asks(&service, "/Plugin.Activate", "", "{\"Implements\":[\"VolumeDriver\"],\"Err\":\"\"}");
	asks(&service, "/Plugin.Activate", "",
		"Content-Type: application/vnd.docker.plugins.v1.2+json");
	asks(&service, "/VolumeDriver.Create", "{\"Name\":\"a\",\"Opts\":{}}", "200 OK");
	asks(&service, "/VolumeDriver.Mount", "{\"Name\":\"a\",\"ID\":\"1\"}", folder);
	/* It is another service that gives it back. */
	assert_int_equal(end_service(&service), 0);
	service = start_service(0, 60);
	asks(&service, "/VolumeDriver.Remove", "{\"Name\":\"a\"}", "in use by 1 mount");
	asks(&service, "/VolumeDriver.Unmount", "{\"Name\":\"a\",\"ID\":\"1\"}", "200 OK");
	asks(&service, "/VolumeDriver.Remove", "{\"Name\":\"a\"}", "200 OK");
	asks(&service, "/VolumeDriver.Remove", "x", "400 Bad Request");
	asks(&service, "/nothing", "x", "404 Not Found");
	assert_int_equal(end_service(&service), 0);
}

static void test_hostile_clients(void **state)
{
	struct service service = start_service(0, 3);
	_cleanup_free_ char *large = malloc((1 << 20) + 2);
	int slow[8], fd;

	(void)state;
	/* All these wait for us to go on. */
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++)
		slow[i] = connect_to(&service);
	send_text(slow[0], "POST /VolumeDriver.List HTTP/1.1\r\nHost: p\r\n");
	send_text(slow[1], "POST /VolumeDriver.Get HTTP/1.1\r\nHost: p\r\nContent-Length: "
			   "99\r\n\r\n{");
	send_text(slow[2], "POST /VolumeDriver.Get HTTP/1.1\r\nHost: p\r\n"
			   "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n");
	send_text(slow[3], "P");
	asks(&service, "/VolumeDriver.List", "", "200 OK");
	fd = connect_to(&service);
	send_text(fd, "GET /VolumeDriver.List HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n");
	receives(fd, "405 Method Not Allowed");
	fd = connect_to(&service);
	send_text(fd, "\x16\x03\x01 nonsense\r\n\r\n");
	close(fd);
	memset(large, ' ', (1 << 20) + 1);
	large[(1 << 20) + 1] = '\0';
	asks(&service, "/VolumeDriver.Get", large, "413 ");
	large[1 << 20] = '\0';
	asks(&service, "/VolumeDriver.Get", large, "400 Bad Request");
	/* They are sent away when their time is over, and nobody else is. */
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++) {
		_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

		(void)read_to_end(slow[i], 1 << 20, "nothing", &text, NULL);
		assert_int_equal(text.size, 0);
		close(slow[i]);
	}
	asks(&service, "/VolumeDriver.List", "", "200 OK");
	assert_int_equal(end_service(&service), 0);
}

/* Two requests for one volume wait for each other, those for two do not; one that takes longer than
   clients may is not cut off. */
static void test_together(void **state)
{
	struct service service = start_service(0, 1);
	char body[64];
	int fds[4];

	(void)state;
	asks(&service, "/VolumeDriver.Create", "{\"Name\":\"a\"}", "200 OK");
	asks(&service, "/VolumeDriver.Create", "{\"Name\":\"b\"}", "200 OK");
	fake()->slow_ms = 900;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		snprintf(body, sizeof(body), "{\"Name\":\"%c\",\"ID\":\"%zu\"}", i < 2 ? 'a' : 'b',
			i);
		fds[i] = connect_to(&service);
		send_request(fds[i], "/VolumeDriver.Mount", body);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		receives(fds[i], "200 OK");
	assert_int_equal(fake()->at_once_most, 2);
	assert_int_equal(fake_find("a")->mounts, 1);
	asks(&service, "/VolumeDriver.Get", "{\"Name\":\"b\"}", "\"users\":2");
	assert_int_equal(end_service(&service), 0);
}

/* What is under way when the service is to end is answered. */
static void test_end(void **state)
{
	struct service service = start_service(0, 60);
	int fd;

	(void)state;
	asks(&service, "/VolumeDriver.Create", "{\"Name\":\"a\"}", "200 OK");
	fake()->slow_ms = 500;
	fd = connect_to(&service);
	send_request(fd, "/VolumeDriver.Mount", "{\"Name\":\"a\",\"ID\":\"1\"}");
	while (__atomic_load_n(&fake()->at_once, __ATOMIC_SEQ_CST) == 0)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	assert_int_equal(end_service(&service), 0);
	receives(fd, "200 OK");
	assert_true(fake_find("a")->mounted);
}

static void test_idle(void **state)
{
	uint64_t began = now_usec();
	struct service service = start_service(1, 60);
	int kept = connect_to(&service), status;

	(void)state;
	asks(&service, "/VolumeDriver.List", "", "200 OK");
	/* A connection on which nothing is asked does not keep it. */
	assert_int_equal(process_wait(service.pid, &status, NULL), 0);
	assert_int_equal(status, 0);
	assert_true(now_usec() - began >= 1000000);
	close(kept);
}

static void test_socket(void **state)
{
	struct service service = start_service(0, 60);
	_cleanup_free_ char *file = path_join(folder, "plain");
	struct caisson_error err = {0};
	char pid[16], deep[300];
	int fd = -1;

	(void)state;
	assert_refused(socket_listen(service.path, (gid_t)-1, &fd, &err), &err, EADDRINUSE);
	kill(service.pid, SIGKILL);
	waitpid(service.pid, NULL, 0);
	/* What the killed one left is replaced. */
	assert_ok(socket_listen(service.path, getgid(), &fd, &err), &err);
	close(fd);
	assert_ok(write_file_atomic(file, "x", 1, 0600, &err), &err);
	assert_refused(socket_listen(file, (gid_t)-1, &fd, &err), &err, EEXIST);
	memset(deep, 'a', sizeof(deep));
	deep[0] = '/';
	deep[299] = '\0';
	assert_refused(socket_listen(deep, (gid_t)-1, &fd, &err), &err, ENAMETOOLONG);

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_int_equal(socket_inherit(NULL, NULL, &fd, &err), 0);
	assert_int_equal(socket_inherit("1", "1", &fd, &err), 0);
	assert_refused(socket_inherit(pid, "2", &fd, &err), &err, EINVAL);
	assert_refused(socket_inherit(pid, "1000000000000", &fd, &err), &err, EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_anonymous_names),
		cmocka_unit_test_setup(test_handshake, begin),
		cmocka_unit_test_setup(test_bad_requests, begin),
		cmocka_unit_test_setup(test_create, begin),
		cmocka_unit_test_setup(test_bad_options, begin),
		cmocka_unit_test_setup(test_create_again, begin),
		cmocka_unit_test_setup(test_mount, begin),
		cmocka_unit_test_setup(test_same_id_twice, begin),
		cmocka_unit_test_setup(test_mount_fails, begin),
		cmocka_unit_test_setup(test_unmount_fails, begin),
		cmocka_unit_test_setup(test_mounted_by_others, begin),
		cmocka_unit_test_setup(test_users_are_void, begin),
		cmocka_unit_test_setup(test_damaged_record, begin),
		cmocka_unit_test_setup(test_killed, begin),
		cmocka_unit_test_setup(test_tell, begin),
		cmocka_unit_test_setup(test_service, begin),
		cmocka_unit_test_setup(test_hostile_clients, begin),
		cmocka_unit_test_setup(test_together, begin),
		cmocka_unit_test_setup(test_end, begin),
		cmocka_unit_test_setup(test_idle, begin),
		cmocka_unit_test_setup(test_socket, begin),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
