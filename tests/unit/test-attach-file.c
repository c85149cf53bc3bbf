/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is served as a file, what mounts it; loop devices and their locks. */
#include "attach-served.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>

#include "attach/control.h"
#include "attach/file_mount.h"
#include "attach/loop.h"
#include "attach/start.h"

static void test_file(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct caisson_error err = {0};
	struct attach_status status;
	char line[64];

	NEED(access("/dev/fuse", R_OK | W_OK) == 0, "there is no /dev/fuse");
	box_make(&box, state, "file", SIZE, 4096);
	options = options_of(&box);
	(void)serve_file(&box, &options);
	assert_int_equal(
		shell(&box,
			"cd $dir/file; test \"$(ls)\" = volume; test $(stat -c %s volume) = 67108864;"
			"test $(stat -c %a volume) = 600; head -c 67108864 /dev/urandom >$dir/in;"
			"dd if=$dir/in of=volume bs=1M conv=notrunc,fsync status=none; cmp $dir/in volume;"
			"cd ..; dd if=file/volume of=out bs=1M iflag=direct status=none; cmp in out;"
			"! dd if=in of=file/volume bs=1M conv=notrunc seek=64 count=1 status=none "
			"2>/dev/null;"
			"! truncate -s 1M file/volume 2>/dev/null;"
			"fallocate --zero-range -o 1M -l 1M file/volume;"
			"! fallocate --punch-hole -o 1M -l 1M file/volume 2>/dev/null;"
			"cmp -n 1048576 -i 1048576:0 file/volume /dev/zero",
			NULL),
		0);
	if (have("nbdcopy"))
		assert_int_equal(
			shell(&box,
				"nbdcopy \"$uri\" $dir/out2; cmp $dir/file/volume $dir/out2;"
				"nbdcopy $dir/in \"$uri\"; cmp $dir/file/volume $dir/in",
				NULL),
			0);
	/* It grows. */
	assert_int_equal(truncate(box.path, (off_t)(DATA_OFFSET + 2 * SIZE)), 0);
	snprintf(line, sizeof(line), "resize %llu", 2 * SIZE);
	for (int i = 0; i < 100 && attach_control(box.folder, line, 5, NULL, NULL, &err) < 0; i++)
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	assert_int_equal(shell(&box,
				 "cd $dir/file; test $(stat -c %s volume) = 134217728;"
				 "dd if=$dir/in of=volume bs=1M seek=64 conv=notrunc status=none;"
				 "cmp -i 0:67108864 $dir/in volume",
				 NULL),
		0);
	/* Open is in use. */
	{
		_cleanup_free_ char *path = format_string("%s/file/volume", box.folder);
		_cleanup_close_ int fd = open(path, O_RDONLY);

		assert_true(fd >= 0);
		assert_ok(attach_status(box.folder, &status, &err), &err);
		assert_true(status.file);
		assert_int_equal(status.files, 1);
		assert_refused(
			attach_control(box.folder, "close", 5, NULL, NULL, &err), &err, EBUSY);
	}
	stop(&box);
}

/* The same over the file: whoever asked hears of it. */
static void test_file_zeros_end(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct attach_started started;
	struct caisson_error err = {0};
	_cleanup_free_ char *path = NULL;
	uint64_t began;
	pid_t child;
	int status;

	NEED(access("/dev/fuse", R_OK | W_OK) == 0, "there is no /dev/fuse");
	box_make(&box, state, "file-zeros", 16 * SIZE, 4096);
	path = format_string("%s/file/volume", box.folder);
	options = options_of(&box);
	started = serve_file(&box, &options);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int fd = open(path, O_RDWR | O_CLOEXEC);

		while (fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 16 * SIZE) == 0)
			;
		_exit(errno == ESHUTDOWN ? 0 : errno);
	}
	(void)nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
	began = now_usec();
	assert_ok(attach_control(box.folder, "close force", 30, NULL, NULL, &err), &err);
	print_message("# closed after %llu ms\n", (unsigned long long)(now_usec() - began) / 1000);
	assert_true(now_usec() - began < 10000000);
	assert_int_equal(waitpid(child, &status, 0), child);
	/* Or the process was faster to end than to tell. */
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == ECONNABORTED ||
		    WEXITSTATUS(status) == ENOTCONN);
	wait_gone(started.pid);
	assert_ok(attach_sweep(box.folder, true, &err), &err);
}

static void test_file_killed(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct attach_started started;
	struct caisson_error err = {0};
	_cleanup_free_ char *mount_point = NULL;

	NEED(access("/dev/fuse", R_OK | W_OK) == 0, "there is no /dev/fuse");
	box_make(&box, state, "killed", SIZE, 4096);
	mount_point = path_join(box.folder, ATTACH_FILE_FOLDER);
	options = options_of(&box);
	options.file = true;
	started = serve(&box, &options);
	assert_int_equal(kill(started.pid, SIGKILL), 0);
	wait_gone(started.pid);
	assert_true(lock_is_free(box.path));
	assert_int_equal(attach_is_mount_point(mount_point), started.file);
	/* The next one finds its place all the same. */
	box.fd = open(box.path, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(box.fd, LOCK_EX | LOCK_NB), 0);
	options.container = box.fd;
	started = serve(&box, &options);
	if (started.file)
		assert_int_equal(
			shell(&box, "test $(stat -c %s $dir/file/volume) = 67108864", NULL), 0);
	assert_int_equal(kill(started.pid, SIGKILL), 0);
	wait_gone(started.pid);
	assert_ok(attach_sweep(box.folder, false, &err), &err);
	assert_int_not_equal(access(mount_point, F_OK), 0);
}

static void test_fuse2fs(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;

	NEED(access("/dev/fuse", R_OK | W_OK) == 0 && have("fuse2fs"), "fuse2fs cannot be had");
	box_make(&box, state, "fuse2fs", SIZE, 4096);
	options = options_of(&box);
	(void)serve_file(&box, &options);
	assert_int_equal(
		shell(&box,
			"cd $dir; mkdir mnt; mke2fs -q -F -t ext4 file/volume;"
			"fuse2fs -o fakeroot file/volume mnt; head -c 5M /dev/urandom >in; cp in mnt/x;"
			"mkdir mnt/sub; cp in mnt/sub/y; umount mnt || fusermount3 -u mnt;"
			"for i in $(seq 100); do pgrep -f 'fuse2fs.*file/volume mn[t]' >/dev/null || "
			"break; sleep 0.05; done;"
			"e2fsck -fn file/volume >/dev/null 2>&1; fuse2fs -o ro,fakeroot file/volume mnt;"
			"cmp in mnt/sub/y; umount mnt || fusermount3 -u mnt;"
			"for i in $(seq 100); do pgrep -f 'fuse2fs.*file/volume mn[t]' >/dev/null || "
			"break; sleep 0.05; done",
			NULL),
		0);
	stop(&box);
}

/* NULL: none can be had, and why. */
static char *try_loop(int file, const struct loop_options *options, int *ret_fd)
{
	struct caisson_error err = {0};
	char *path = NULL;

	*ret_fd = loop_attach(file, options, &path, &err);
	if (*ret_fd >= 0)
		return path;
	print_message("# SKIP: %s\n", err.message);
	return NULL;
}

/* The kernel keeps the open file description, and its lock, for as long as the device is there. */
static void test_loop_lock(void **state)
{
	_cleanup_box_ struct box box;
	_cleanup_free_ char *path = NULL, *found = NULL;
	_cleanup_close_ int device = -1, other = -1;
	struct caisson_error err = {0};
	struct loop_options options = {.block_size = 4096, .offset = DATA_OFFSET, .size = SIZE};
	off_t end;

	box_make(&box, state, "loop-lock", SIZE, 4096);
	path = try_loop(box.fd, &options, &device);
	if (path == NULL)
		skip();
	assert_int_equal(lseek(device, 0, SEEK_END), SIZE);
	other = open(box.path, O_RDWR | O_CLOEXEC);
	assert_int_equal(loop_find(other, &found, &err), 1);
	assert_string_equal(found, path);
	assert_false(lock_is_free(box.path));
	closep(&box.fd);
	box.fd = -1;
	assert_false(lock_is_free(box.path));
	/* Growing */
	assert_int_equal(ftruncate(other, (off_t)(DATA_OFFSET + 2 * SIZE)), 0);
	assert_ok(loop_update_size(path, &err), &err);
	end = lseek(device, 0, SEEK_END);
	assert_int_equal(end, SIZE); /* it has a size of its own */
	assert_ok(loop_detach(path, &err), &err);
	assert_false(lock_is_free(box.path)); /* we have it open */
	closep(&device);
	device = -1;
	for (int i = 0; i < 500 && !lock_is_free(box.path); i++)
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	assert_true(lock_is_free(box.path));
	assert_int_equal(loop_find(other, &found, &err), 0);
	assert_ok(loop_detach(path, &err), &err);
	assert_ok(loop_detach("/dev/loop-is-not-there", &err), &err);
}

static void test_loop_autoclear(void **state)
{
	_cleanup_box_ struct box box;
	_cleanup_free_ char *path = NULL;
	struct loop_options options = {.read_only = true, .name = "data"};
	int device;

	box_make(&box, state, "loop-clear", SIZE, 4096);
	path = try_loop(box.fd, &options, &device);
	if (path == NULL)
		skip();
	assert_int_equal(lseek(device, 0, SEEK_END), DATA_OFFSET + SIZE);
	assert_true(write(device, "x", 1) < 0);
	closep(&box.fd);
	box.fd = -1;
	close(device);
	for (int i = 0; i < 500 && !lock_is_free(box.path); i++)
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	assert_true(lock_is_free(box.path));
}

/* ext4 of the kernel, on a loop device, on the file, in the container. */
static void test_loop_on_file(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct attach_started started;
	struct loop_options wanted = {.block_size = 512};
	struct caisson_error err = {0};
	_cleanup_free_ char *volume = NULL, *mount_point = NULL, *path = NULL, *command = NULL;
	int file, device = -1;

	NEED(geteuid() == 0 && access("/dev/fuse", R_OK | W_OK) == 0, "root and FUSE are needed");
	box_make(&box, state, "loop-file", 4 * SIZE, 4096);
	volume = format_string("%s/file/volume", box.folder);
	mount_point = format_string("%s/mnt", box.folder);
	options = options_of(&box);
	options.file = true;
	started = serve(&box, &options);
	file = started.file ? open(volume, O_RDWR | O_CLOEXEC) : -1;
	path = file >= 0 ? try_loop(file, &wanted, &device) : NULL;
	closep(&file);
	if (path == NULL) {
		stop(&box);
		skip();
	}
	command = format_string("mke2fs -q -F -t ext4 %s; mkdir %s", path, mount_point);
	assert_int_equal(shell(&box, command, NULL), 0);
	if (mount(path, mount_point, "ext4", 0, NULL) < 0)
		fail_msg("mount: %s", strerror(errno));
	close(device);
	assert_int_equal(
		shell(&box,
			"cd $dir/mnt; head -c 40M /dev/urandom >../in; cp ../in a; sync; cp a b; "
			"mkdir c; for i in $(seq 500); do echo $i >c/$i; done; rm a; sync -f .;"
			"echo 3 >/proc/sys/vm/drop_caches || :; cmp b ../in; test $(cat c/77) = 77",
			NULL),
		0);
	assert_int_equal(umount2(mount_point, 0), 0);
	/* Its detaching is not waited for by umount(2). */
	for (int i = 0; i < 500; i++) {
		struct attach_status status;

		assert_ok(attach_status(box.folder, &status, &err), &err);
		if (status.files == 0)
			break;
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	assert_int_equal(shell(&box, "e2fsck -fn $dir/file/volume", NULL), 0);
	stop(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_zeros_end),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_killed),
		cmocka_unit_test(test_fuse2fs),
		cmocka_unit_test(test_loop_lock),
		cmocka_unit_test(test_loop_autoclear),
		cmocka_unit_test(test_loop_on_file),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
