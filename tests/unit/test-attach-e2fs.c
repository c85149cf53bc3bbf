/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* e2fsprogs on blocks that are no file, and the same on a file beside it. */
#include "attach-fixture.h"

#include <sys/stat.h>

#include "attach/e2fs.h"

#define SIZE (192ull << 20)

static void e2fs(struct blocks *blocks, const char *const argv[], int wanted)
{
	/* These two have to do with files of the test. */
	bool trusted = strcmp(argv[0], "debugfs") == 0 || strcmp(argv[0], "mke2fs") == 0;
	struct attach_e2fs_options options = {
		.seconds = 60, .programs = programs_folder(), .trusted = trusted};
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	struct caisson_error err = {0};
	int status = -1;

	assert_ok(attach_e2fs(argv, blocks, &options, &output, &status, &err), &err);
	if (status != wanted)
		fail_msg("%s ended with %d, not %d: %s", argv[0], status, wanted, output.data);
}

/* A folder with something in it. */
static char *make_tree(void **state)
{
	char *tree = format_string("%s/tree", (const char *)*state);
	_cleanup_free_ char *big = format_string("%s/big", tree);
	struct caisson_error err = {0};
	_cleanup_free_ uint8_t *data = malloc(3 << 20);
	_cleanup_close_ int fd = -1;

	assert_ok(make_directories(tree, 0755, &err), &err);
	for (int i = 0; i < 300; i++) {
		_cleanup_free_ char *path = format_string("%s/small-%d", tree, i);

		assert_ok(write_file_atomic(path, path, strlen(path), 0644, &err), &err);
	}
	for (size_t i = 0; i < 3 << 20; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	fd = open(big, O_CREAT | O_WRONLY, 0644);
	assert_ok(write_all(fd, data, 3 << 20, big, &err), &err);
	return tree;
}

/* The same steps on a file, the programs going their own way. */
static void on_file(const char *path, const char *const argv[], int wanted)
{
	const char *changed[16] = {NULL};
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	struct process_options options = PROCESS_OPTIONS_INIT;
	struct caisson_error err = {0};
	int status;
	pid_t pid;

	for (int i = 0; argv[i] != NULL; i++)
		changed[i] = strcmp(argv[i], "@") == 0 ? path : argv[i];
	pid = process_start(changed, &options, &err);
	assert_ok(pid, &err);
	assert_ok(process_wait(pid, &status, &err), &err);
	assert_int_equal(status, wanted);
}

/* Everything that resize does, on @blocks and on a file; what is the same on both stays so. */
static void life_of(struct blocks *blocks, void **state, const char *name)
{
	_cleanup_free_ char *tree = make_tree(state);
	_cleanup_free_ char *path = format_string("%s/%s.img", (const char *)*state, name);
	_cleanup_close_ int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
	_cleanup_blocks_ struct blocks *file = NULL;
	struct caisson_error err = {0};
	const char *const make[] = {"mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-U",
		"6b1b8a1e-3f0a-4b1a-9a55-0f6f1c1f1a11", "-E",
		"hash_seed=6b1b8a1e-3f0a-4b1a-9a55-0f6f1c1f1a12,nodiscard,lazy_itable_init=0", "-d",
		tree, "@", "96M", NULL};
	const char *const check[] = {"e2fsck", "-fn", "@", NULL};
	const char *const repair[] = {"e2fsck", "-fy", "@", NULL};
	const char *const grow[] = {"resize2fs", "@", "192M", NULL};
	const char *const shrink[] = {"resize2fs", "@", "64M", NULL};
	const char *const tune[] = {"tune2fs", "-L", "label", "@", NULL};
	const char *const *const steps[] = {make, check, grow, check, shrink, check, tune, repair};

	assert_int_equal(ftruncate(fd, (off_t)blocks->size), 0);
	assert_ok(blocks_of_file(fd, blocks->size, false, path, &file, &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		uint64_t began = now_usec(), between, ended;

		e2fs(blocks, steps[i], 0);
		between = now_usec();
		on_file(path, steps[i], 0);
		ended = now_usec();
		print_message("# %s: %llu ms, on a file %llu ms\n", steps[i][0],
			(unsigned long long)(between - began) / 1000,
			(unsigned long long)(ended - between) / 1000);
		/* resize2fs cuts a file that it has shrunk. */
		assert_int_equal(ftruncate(fd, (off_t)blocks->size), 0);
	}
}

/* What the filesystem holds is the tree, by e2fsprogs's own debugfs. */
static void assert_holds_tree(struct blocks *blocks, void **state)
{
	_cleanup_free_ char *dump = format_string("%s/dump", (const char *)*state);
	_cleanup_free_ char *tree = format_string("%s/tree/big", (const char *)*state);
	_cleanup_free_ char *command = format_string("dump /big %s", dump);
	const char *const argv[] = {"debugfs", "-R", command, "@", NULL};
	const char *const compare[] = {"cmp", dump, tree, NULL};

	e2fs(blocks, argv, 0);
	assert_int_equal(run(compare, NULL), 0);
}

static void test_plain_file(void **state)
{
	_cleanup_free_ char *path = format_string("%s/plain", (const char *)*state);
	_cleanup_close_ int fd = open(path, O_CREAT | O_RDWR, 0600);
	_cleanup_blocks_ struct blocks *blocks = NULL;
	struct caisson_error err = {0};

	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_ok(blocks_of_file(fd, SIZE, false, "a file", &blocks, &err), &err);
	life_of(blocks, state, "beside-plain");
	assert_holds_tree(blocks, state);
}

static void test_payload(void **state)
{
	_cleanup_box_ struct box box;
	_cleanup_free_ char *needle = NULL;
	const char *const argv[] = {"grep", "-c", "-a", "small-299", NULL, NULL};
	const char *search[6];

	box_make(&box, state, "payload", SIZE, 4096);
	life_of(box.payload, state, "beside-payload");
	assert_holds_tree(box.payload, state);
	needle = format_string("%s", box.path);
	memcpy(search, argv, sizeof(argv));
	search[4] = needle;
	/* grep finds nothing in the container: status 1 */
	assert_true(run(search, NULL) < 0);
}

static void test_refusals(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_e2fs_options options = {.seconds = 1, .programs = programs_folder()};
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	struct caisson_error err = {0};
	const char *const nothing[] = {"true", NULL};
	const char *const slow[] = {"sleep", "20", NULL};
	const char *const missing[] = {"no-such-program", NULL};
	const char *const check[] = {"e2fsck", "-fn", "@", NULL};
	int status;

	box_make(&box, state, "refusals", 64 << 20, 512);
	assert_refused(
		attach_e2fs(nothing, box.payload, &options, NULL, &status, &err), &err, ENOTSUP);
	assert_refused(
		attach_e2fs(slow, box.payload, &options, NULL, &status, &err), &err, ETIMEDOUT);
	assert_refused(
		attach_e2fs(missing, box.payload, &options, NULL, &status, &err), &err, ENOENT);
	options.programs = "/nowhere";
	assert_refused(
		attach_e2fs(check, box.payload, &options, NULL, &status, &err), &err, ENOENT);
	options.programs = programs_folder();
	/* Noise is no filesystem. */
	assert_ok(attach_e2fs(check, box.payload, &options, &output, &status, &err), &err);
	assert_int_equal(status, 8);
}

/* Writes are refused there; reading goes well. */
static void test_read_only(void **state)
{
	_cleanup_box_ struct box box;
	const char *const make[] = {"mke2fs", "-q", "-F", "@", NULL};
	const char *const check[] = {"e2fsck", "-fn", "@", NULL};
	const char *const tune[] = {"tune2fs", "-L", "label", "@", NULL};

	box_make(&box, state, "read-only", 64 << 20, 512);
	e2fs(box.payload, make, 0);
	box.payload->read_only = true;
	e2fs(box.payload, check, 0);
	e2fs(box.payload, tune, 1);
}

static uint64_t number_after(const struct strbuf *output, const char *label, int base)
{
	const char *at = strstr(output->data, label);

	if (at == NULL)
		fail_msg("no %s in %s", label, output->data);
	return strtoull(at + strlen(label), NULL, base);
}

static bool has_all_users(void)
{
	_cleanup_strbuf_ struct strbuf map = STRBUF_INIT;

	return read_file("/proc/self/uid_map", 4096, &map, NULL) == 0 &&
	       strstr(map.data, "4294967295") != NULL;
}

/* What reads a stranger's filesystem has nothing of ours but its descriptors. */
static void test_confined(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_e2fs_options options = {.seconds = 30, .programs = programs_folder()};
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	struct caisson_error err = {0};
	_cleanup_free_ char *script = format_string(
		"cat /proc/self/status /proc/self/limits; echo uid=$(id -u);"
		"kill -0 %d && echo reached; kill -0 $$ && echo reached;"
		"(exec 3<>/dev/tcp/127.0.0.1/9) 2>&1; unshare -r true && echo reached;"
		"dd if=\"$1\" bs=4096 count=1 2>/dev/null | wc -c; echo device=$?",
		(int)getpid());
	const char *const look[] = {"bash", "-c", script, "bash", "@", NULL};
	uid_t uid = geteuid();
	gid_t gid;
	int status;

	box_make(&box, state, "confined", 64 << 20, 512);
	assert_refused(
		attach_e2fs(look, box.payload, &options, &output, &status, &err), &err, ENOTSUP);
	if (uid == 0)
		assert_ok(process_unprivileged_user(&uid, &gid, &err), &err);
	/* Where there is that user: in a user namespace there may be none. */
	if (geteuid() != 0 || has_all_users())
		assert_int_equal(number_after(&output, "\nuid=", 10), uid);
	assert_int_equal(number_after(&output, "\nNoNewPrivs:\t", 10), 1);
	assert_int_equal(number_after(&output, "\nSeccomp:\t", 10), 2);
	assert_int_equal(number_after(&output, "\nCapEff:\t", 16), 0);
	assert_int_equal(number_after(&output, "\nCapPrm:\t", 16), 0);
	assert_int_equal(number_after(&output, "\nMax core file size", 10), 0);
	assert_int_equal(number_after(&output, "\nMax cpu time", 10), 30);
#ifndef __SANITIZE_ADDRESS__
	assert_int_equal(number_after(&output, "\nMax address space", 10),
		(UINT64_C(4) << 30) + (64 << 20) / 256);
#endif
	assert_null(strstr(output.data, "reached"));
	/* The device is opened by a name, and there is nothing in it. */
	assert_non_null(strstr(output.data, "\n4096\ndevice=0"));
}

/* Memory that it is not given is missing to it, and to nobody else. */
static void test_too_little_memory(void **state)
{
	_cleanup_box_ struct box box;
	const char *const make[] = {"mke2fs", "-q", "-F", "@", NULL};
	const char *const check[] = {"e2fsck", "-fn", "@", NULL};
	struct attach_e2fs_options options = {
		.seconds = 30, .programs = programs_folder(), .memory_most = 1 << 20};
	struct caisson_error err = {0};
	int status = 0, r;

	box_make(&box, state, "little", 64 << 20, 512);
	e2fs(box.payload, make, 0);
	r = attach_e2fs(check, box.payload, &options, NULL, &status, &err);
	assert_true(r < 0 || status != 0);
	e2fs(box.payload, check, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_file),
		cmocka_unit_test(test_payload),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_confined),
		cmocka_unit_test(test_too_little_memory),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
