/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding an image, checking all of it, flattening it once. */
#include "image-fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image/flatten.h"
#include "image/layout.h"
#include "image/squash.h"

static const struct entry plain[] = {
	{'d', "etc"}, {'f', "etc/motd", "welcome"}, {'f', "bin/run", "#!"}, {0, NULL}};

static char *plain_image(const char *parent, const char *name, const char *config)
{
	struct layer_fixture layer = {.tar = make_tar(plain), .compression = "gzip"};

	return make_image(parent, name, &layer, 1, config);
}

/* One that breaks in one way. */
static void refuse_layer(const char *parent, const char *name, struct layer_fixture layer, int code,
	const char *sentence)
{
	_cleanup_state_ struct state state = open_state(parent, "refused");
	_cleanup_free_ char *folder = NULL;
	_cleanup_image_ struct image image = IMAGE_NONE;
	struct caisson_error err = {0};

	layer.tar = make_tar(plain);
	folder = make_image(parent, name, &layer, 1, "");
	assert_refused(image_open(&state, folder, NULL, &image, &err), &err, code);
	if (strstr(err.message, sentence) == NULL)
		fail_msg("wanted '%s' in '%s'", sentence, err.message);
	assert_int_equal(count_images(&state), 0);
}

/* By the tool that the other tests use, too. */
static void make_by_script(
	const char *root, const char *to, const char *compression, const char *archive)
{
	const char *source = getenv("CAISSON_SOURCE");
	_cleanup_free_ char *script =
		path_join(source != NULL ? source : ".", "tests/lib/mkimage.sh");
	const char *const argv[] = {script, to, root, "--compression", compression, "--archive",
		archive, "--tag", "Some/Tag:1", "--cmd", "[\"/bin/run\"]", NULL};
	struct caisson_error err = {0};

	assert_ok(process_run(argv, NULL, NULL, &err), &err);
}

static void test_compressions(void **state)
{
	static const char *const names[] = {"gzip", "zstd", "none"};
	_cleanup_state_ struct state opened = open_state(*state, "compressions");
	_cleanup_free_ char *root = path_join(*state, "root"), *file = path_join(root, "motd");
	struct caisson_error err = {0};

	assert_ok(make_directories(root, 0755, &err), &err);
	assert_ok(write_file_atomic(file, "welcome", 7, 0644, &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *to = path_join(*state, names[i]);
		_cleanup_free_ char *archive = format_string("%s.tar", to);
		_cleanup_free_ char *reference =
			format_string("oci-archive:%s:Some/Tag:1", archive);
		_cleanup_image_ struct image a = IMAGE_NONE, b = IMAGE_NONE;

		make_by_script(root, to, names[i], archive);
		assert_ok(image_open(&opened, to, NULL, &a, &err), &err);
		assert_content(a.root, "/motd", "welcome");
		assert_string_equal(a.name, names[i]);
		assert_ok(image_open(&opened, reference, NULL, &b, &err), &err);
		assert_string_equal(a.digest, b.digest);
		assert_string_equal(a.root, b.root);
		assert_string_equal(b.name, "some-tag-1");
		assert_string_equal(b.command.items[0], "/bin/run");
		assert_int_equal(count_images(&opened), i + 1);
	}
}

static void read_whole(const char *path, struct strbuf *bytes)
{
	struct caisson_error err = {0};

	assert_ok(read_file(path, 64 << 20, bytes, &err), &err);
}

/* An archive of its own, and the same packed; flattened from scratch. */
static void test_archives(void **state)
{
	static const char *const packings[] = {"none", "gzip", "zstd"};
	_cleanup_free_ char *folder = plain_image(*state, "to-archive", "");
	_cleanup_free_ char *archive = path_join(*state, "plain.tar");
	const char *const argv[] = {"tar", "-cf", archive, "-C", folder, ".", NULL};
	_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;
	struct caisson_error err = {0};

	assert_ok(process_run(argv, NULL, NULL, &err), &err);
	read_whole(archive, &bytes);
	for (size_t i = 0; i < ARRAY_SIZE(packings); i++) {
		_cleanup_strbuf_ struct strbuf packed = compress_bytes(&bytes, packings[i]);
		_cleanup_free_ char *name = format_string("packed-%s", packings[i]);
		_cleanup_free_ char *path = path_join(*state, name);
		_cleanup_free_ char *state_name = format_string("state-%s", packings[i]);
		_cleanup_state_ struct state opened = open_state(*state, state_name);
		_cleanup_image_ struct image image = IMAGE_NONE, again = IMAGE_NONE;

		write_text(*state, name, packed.data, packed.size);
		assert_ok(image_open(&opened, path, NULL, &image, &err), &err);
		assert_content(image.root, "/etc/motd", "welcome");
		assert_ok(image_open(&opened, path, NULL, &again, &err), &err);
		assert_int_equal(count_images(&opened), 1);
	}
}

/* Cut anywhere, an archive is refused or, when only padding is missing, read. */
static void test_truncated_archive(void **state)
{
	_cleanup_free_ char *folder = plain_image(*state, "to-cut", "");
	_cleanup_free_ char *archive = path_join(*state, "whole.tar");
	_cleanup_free_ char *cut = path_join(*state, "cut.tar");
	_cleanup_state_ struct state opened = open_state(*state, "cut");
	const char *const argv[] = {"tar", "-cf", archive, "-C", folder, ".", NULL};
	_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;
	struct caisson_error err = {0};
	size_t refused = 0;

	assert_ok(process_run(argv, NULL, NULL, &err), &err);
	read_whole(archive, &bytes);
	for (size_t size = 0; size < bytes.size * 3 / 5; size += 333) {
		_cleanup_image_ struct image image = IMAGE_NONE;

		write_text(*state, "cut.tar", bytes.data, size);
		err = (struct caisson_error){0};
		if (image_open(&opened, cut, NULL, &image, &err) < 0) {
			assert_int_not_equal(err.message[0], '\0');
			assert_int_equal(count_images(&opened), 0);
			refused++;
			continue;
		}
		/* Then all of its content has to be there. */
		assert_content(image.root, "/etc/motd", "welcome");
		break;
	}
	assert_true(refused > 5);
}

static void test_lies(void **state)
{
	refuse_layer(*state, "digest",
		(struct layer_fixture){.compression = "gzip", .wrong_digest = true}, EBADMSG,
		"does not match its digest");
	refuse_layer(*state, "digest-plain",
		(struct layer_fixture){.compression = "none", .wrong_digest = true}, EBADMSG,
		"does not match its digest");
	refuse_layer(*state, "size",
		(struct layer_fixture){.compression = "gzip", .wrong_size = true}, EBADMSG,
		"bytes, and its descriptor says 1");
	refuse_layer(*state, "diff-id",
		(struct layer_fixture){.compression = "gzip", .wrong_diff_id = true}, EBADMSG,
		"diff_ids");
	refuse_layer(*state, "cut-gzip", (struct layer_fixture){.compression = "gzip", .cut = 20},
		EBADMSG, "layer 1");
	refuse_layer(*state, "cut-zstd", (struct layer_fixture){.compression = "zstd", .cut = 20},
		EBADMSG, "layer 1");
	refuse_layer(*state, "cut-tar", (struct layer_fixture){.compression = "none", .cut = 2000},
		EBADMSG, "layer 1");
}

/* Every blob but the layer is checked before it is read, every time. */
static void test_tampered_documents(void **state)
{
	_cleanup_free_ char *folder = plain_image(*state, "tampered", "");
	_cleanup_free_ char *blobs = path_join(folder, "blobs/sha256");
	_cleanup_state_ struct state opened = open_state(*state, "tampered-state");
	_cleanup_closedir_ DIR *directory = opendir(blobs);
	struct dirent *entry;
	size_t tampered = 0;

	while ((entry = readdir(directory)) != NULL) {
		_cleanup_free_ char *path = path_join(blobs, entry->d_name);
		_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;
		_cleanup_image_ struct image image = IMAGE_NONE;
		struct caisson_error err = {0};

		if (entry->d_name[0] == '.')
			continue;
		read_whole(path, &bytes);
		bytes.data[bytes.size / 2] ^= 1;
		write_text(blobs, entry->d_name, bytes.data, bytes.size);
		assert_refused(image_open(&opened, folder, NULL, &image, &err), &err, EBADMSG);
		assert_non_null(strstr(err.message, "does not match its digest"));
		bytes.data[bytes.size / 2] ^= 1;
		write_text(blobs, entry->d_name, bytes.data, bytes.size);
		tampered++;
	}
	assert_int_equal(tampered, 3);
	assert_int_equal(count_images(&opened), 0);
}

static void test_configuration(void **state)
{
	_cleanup_free_ char *bare = plain_image(*state, "bare", "");
	_cleanup_free_ char *full = plain_image(*state, "full",
		"\"config\":{\"Entrypoint\":[\"/bin/run\",\"-x\"],\"Cmd\":[\"a b\"],"
		"\"Env\":[\"PATH=/bin\",\"E=\"],\"WorkingDir\":\"srv\",\"User\":\"app:staff\","
		"\"StopSignal\":\"SIGUSR1\"},");
	_cleanup_state_ struct state opened = open_state(*state, "configuration");
	_cleanup_image_ struct image a = IMAGE_NONE, b = IMAGE_NONE;
	struct caisson_error err = {0};

	assert_ok(image_open(&opened, bare, NULL, &a, &err), &err);
	assert_int_equal(a.entrypoint.count + a.command.count + a.environment.count, 0);
	assert_string_equal(a.working_directory, "/");
	assert_string_equal(a.user, "");
	assert_string_equal(a.stop_signal, "SIGTERM");

	assert_ok(image_open(&opened, full, NULL, &b, &err), &err);
	assert_string_equal(b.entrypoint.items[1], "-x");
	assert_string_equal(b.command.items[0], "a b");
	assert_string_equal(b.environment.items[1], "E=");
	assert_string_equal(b.working_directory, "/srv");
	assert_string_equal(b.user, "app:staff");
	assert_string_equal(b.stop_signal, "SIGUSR1");
	assert_string_not_equal(a.digest, b.digest);
}

static void test_references(void **state)
{
	_cleanup_free_ char *folder = plain_image(*state, "with:colon", "");
	_cleanup_free_ char *tagged = format_string("oci:%s:v1", folder);
	_cleanup_free_ char *wrong = format_string("oci:%s:v2", folder);
	_cleanup_free_ char *as_archive = format_string("oci-archive:%s", folder);
	_cleanup_free_ char *fifo = path_join(*state, "fifo");
	_cleanup_state_ struct state opened = open_state(*state, "references");
	_cleanup_image_ struct image image = IMAGE_NONE;
	struct caisson_error err = {0};

	assert_ok(image_open(&opened, tagged, NULL, &image, &err), &err);
	assert_string_equal(image.name, "v1");
	image_done(&image);
	assert_refused(image_open(&opened, wrong, NULL, &image, &err), &err, ENOENT);
	assert_non_null(strstr(err.message, "no image with the tag 'v2'"));
	assert_non_null(strstr(err.hint, "v1"));
	assert_refused(image_open(&opened, as_archive, NULL, &image, &err), &err, EISDIR);
	assert_refused(image_open(&opened, "debian:12", NULL, &image, &err), &err, ENOENT);
	assert_non_null(strstr(err.hint, "skopeo"));
	assert_refused(image_open(&opened, *state, NULL, &image, &err), &err, ENOENT);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_refused(image_open(&opened, fifo, NULL, &image, &err), &err, EINVAL);
}

/* A FIFO or a link in the place of a blob must neither hang us nor lead us away. */
static void test_strange_blobs(void **state)
{
	_cleanup_free_ char *folder = plain_image(*state, "strange", "");
	_cleanup_free_ char *index = path_join(folder, "index.json");
	_cleanup_state_ struct state opened = open_state(*state, "strange-state");
	_cleanup_image_ struct image image = IMAGE_NONE;
	struct caisson_error err = {0};

	assert_int_equal(unlink(index), 0);
	assert_int_equal(mkfifo(index, 0600), 0);
	assert_refused(image_open(&opened, folder, NULL, &image, &err), &err, EBADMSG);
	assert_int_equal(unlink(index), 0);
	assert_int_equal(symlink("/etc/passwd", index), 0);
	assert_refused(image_open(&opened, folder, NULL, &image, &err), &err, EBADMSG);
}

static void test_cached(void **state)
{
	_cleanup_free_ char *folder = plain_image(*state, "cached", "");
	_cleanup_free_ char *other = plain_image(*state, "cached-too", "");
	_cleanup_state_ struct state opened = open_state(*state, "cached-state");
	_cleanup_state_ struct state apart = open_state(*state, "apart-state");
	_cleanup_image_ struct image a = IMAGE_NONE, b = IMAGE_NONE, c = IMAGE_NONE, d = IMAGE_NONE;
	_cleanup_strbuf_ struct strbuf first = STRBUF_INIT, second = STRBUF_INIT;
	struct stat before, after;
	struct caisson_error err = {0};

	assert_ok(image_open(&opened, folder, NULL, &a, &err), &err);
	assert_int_equal(stat(a.root, &before), 0);
	assert_ok(image_open(&opened, other, NULL, &b, &err), &err);
	assert_int_equal(stat(b.root, &after), 0);
	assert_string_equal(a.root, b.root);
	assert_int_equal(before.st_ino, after.st_ino);
	/* Elsewhere, and later, it is the same to the last byte. */
	sleep(1);
	assert_ok(image_open(&apart, folder, NULL, &c, &err), &err);
	read_whole(a.root, &first);
	read_whole(c.root, &second);
	assert_int_equal(first.size, second.size);
	assert_memory_equal(first.data, second.data, first.size);
	/* A damaged one is made again. */
	assert_int_equal(truncate(a.root, 100), 0);
	assert_ok(image_open(&opened, folder, NULL, &d, &err), &err);
	assert_content(d.root, "/etc/motd", "welcome");
	assert_int_equal(count_images(&opened), 1);
}

static int open_in_child(const struct state *state, const char *folder)
{
	struct image image = IMAGE_NONE;
	struct caisson_error err = {0};
	int r = image_open(state, folder, NULL, &image, &err);

	if (r < 0)
		print_message("%s\n", err.message);
	image_done(&image);
	return -r;
}

static int wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void test_concurrent(void **state)
{
	_cleanup_free_ char *folder = plain_image(*state, "concurrent", "");
	_cleanup_state_ struct state opened = open_state(*state, "concurrent-state");
	pid_t children[4];

	for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
		children[i] = fork();
		if (children[i] == 0)
			_exit(open_in_child(&opened, folder));
	}
	for (size_t i = 0; i < ARRAY_SIZE(children); i++)
		assert_int_equal(wait_for(children[i]), 0);
	assert_int_equal(count_images(&opened), 1);
}

/* Data that does not compress, so that it takes the room that it takes. */
static char *large_image(const char *parent, const char *name, size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1);
	const struct entry entries[] = {{'f', "large", text}, {0, NULL}};
	struct layer_fixture layer = {.compression = "none"};
	uint32_t seed = 1;

	assert_non_null(text);
	for (size_t i = 0; i < size; i++) {
		seed = seed * 1664525u + 1013904223u;
		text[i] = (char)(1 + (seed >> 24) % 255);
	}
	text[size] = '\0';
	layer.tar = make_tar(entries);
	return make_image(parent, name, &layer, 1, "");
}

/* The kernel kills the writer of the squashfs: SIGXFSZ. SIGPIPE has its default here. */
static void test_writer_killed(void **state)
{
	_cleanup_free_ char *folder = large_image(*state, "killed", 4 << 20);
	_cleanup_state_ struct state opened = open_state(*state, "killed-state");
	pid_t pid = fork();

	if (pid == 0) {
		struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
		struct image image = IMAGE_NONE;
		struct caisson_error err = {0};

		if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
			_exit(2);
		if (image_open(&opened, folder, NULL, &image, &err) != -EIO)
			_exit(3);
		_exit(strstr(err.message, SQUASH_PROGRAM) == NULL);
	}
	assert_int_equal(wait_for(pid), 0);
	assert_int_equal(count_images(&opened), 0);
}

static void test_writer_faults(void **state)
{
	static const struct {
		const char *script, *sentence;
		int code;
	} cases[] = {
		{"#!/bin/sh\nhead -c 100 >/dev/null\nkill -9 $$\n", "killed by signal 9", EIO},
		{"#!/bin/sh\necho first >&2; echo why >&2\nexit 3\n", "ended with status 3: why",
			EIO},
		{"#!/bin/sh\ncat >/dev/null\nexit 3\n", "it said nothing", EIO},
		{"#!/bin/sh\necho 'Write failed because No space left on device' >&2\nexit 1\n",
			"no space left", ENOSPC},
		{"#!/bin/sh\ncat >/dev/null\n", "No such file", ENOENT},
		{"#!/bin/sh\ncat >/dev/null\nhead -c 4096 /dev/zero >$2\n", "not a squashfs", EIO},
	};
	_cleanup_free_ char *program = path_join(*state, "writer");
	_cleanup_free_ char *output = path_join(*state, "output");
	struct caisson_error err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_ok(write_file_atomic(
				  program, cases[i].script, strlen(cases[i].script), 0700, &err),
			&err);
		assert_refused(flatten(NULL, 0, program, output, NULL, &err), &err, cases[i].code);
		if (strstr(err.message, cases[i].sentence) == NULL)
			fail_msg("wanted '%s' in '%s'", cases[i].sentence, err.message);
	}
	assert_refused(flatten(NULL, 0, "no-such-writer", output, NULL, &err), &err, ENOENT);
	assert_string_equal(err.hint, "install squashfs-tools");
}

static void test_no_layers(void **state)
{
	_cleanup_free_ char *folder = make_image(*state, "nothing", NULL, 0, "");
	_cleanup_state_ struct state opened = open_state(*state, "nothing-state");
	_cleanup_image_ struct image image = IMAGE_NONE;
	_cleanup_strbuf_ struct strbuf list = STRBUF_INIT;
	struct caisson_error err = {0};

	assert_ok(image_open(&opened, folder, NULL, &image, &err), &err);
	list_squashfs(image.root, &list);
	assert_listed(&list, "", "drwxr-xr-x 0/0 ");
}

static bool write_proc(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* A mount namespace of our own; without privileges, by way of a user namespace. */
static bool enter_namespace(void)
{
	_cleanup_free_ char *users = format_string("0 %u 1", (unsigned)geteuid());
	_cleanup_free_ char *groups = format_string("0 %u 1", (unsigned)getegid());

	if (geteuid() == 0)
		return unshare(CLONE_NEWNS) == 0;
	return unshare(CLONE_NEWNS | CLONE_NEWUSER) == 0 &&
	       write_proc("/proc/self/setgroups", "deny") &&
	       write_proc("/proc/self/uid_map", users) && write_proc("/proc/self/gid_map", groups);
}

/* On a filesystem of 1 MiB. */
static int open_on_full_disk(const char *folder, const char *mount_point)
{
	_cleanup_state_ struct state state = STATE_NONE;
	_cleanup_image_ struct image image = IMAGE_NONE;
	struct caisson_error err = {0};

	if (!enter_namespace() || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", mount_point, "tmpfs", 0, "size=1m") < 0)
		return 77;
	if (state_open(&state, mount_point, mount_point, &err) < 0)
		return 2;
	if (image_open(&state, folder, NULL, &image, &err) != -ENOSPC || err.hint[0] == '\0') {
		print_message("%s\n", err.message);
		return 3;
	}
	return count_images(&state) == 0 ? 0 : 4;
}

static void test_full_disk(void **state)
{
	_cleanup_free_ char *folder = large_image(*state, "overfull", 4 << 20);
	_cleanup_free_ char *mount_point = path_join(*state, "full");
	struct caisson_error err = {0};
	int status;
	pid_t pid;

	assert_ok(make_directories(mount_point, 0700, &err), &err);
	pid = fork();
	if (pid == 0)
		_exit(open_on_full_disk(folder, mount_point));
	status = wait_for(pid);
	if (status == 77)
		leave_out("no mount namespace with a tmpfs here");
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compressions),
		cmocka_unit_test(test_archives),
		cmocka_unit_test(test_truncated_archive),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_tampered_documents),
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_strange_blobs),
		cmocka_unit_test(test_cached),
		cmocka_unit_test(test_concurrent),
		cmocka_unit_test(test_writer_killed),
		cmocka_unit_test(test_writer_faults),
		cmocka_unit_test(test_no_layers),
		cmocka_unit_test(test_full_disk),
	};

	if (squashfs_tools_missing())
		return 0;
	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
