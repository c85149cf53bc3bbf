/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server process: how it starts, what it may, how it ends. */
#include "attach-served.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "attach/control.h"
#include "attach/file_mount.h"
#include "attach/nbd.h"
#include "attach/nbd_server.h"
#include "attach/sockets.h"
#include "attach/start.h"

static void test_privileges(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct attach_started started;
	struct attach_status status;
	struct caisson_error err = {0};
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	_cleanup_free_ char *list = NULL;

	box_make(&box, state, "privileges", SIZE, 4096);
	options = options_of(&box);
	started = serve(&box, &options);
	assert_ok(attach_status(box.folder, &status, &err), &err);
	assert_int_equal(status.pid, started.pid);
	assert_int_equal(status.size, SIZE);
	assert_int_equal(status.connections, 0);
	assert_false(status.read_only);
	assert_int_equal(status_field(started.pid, "\nNoNewPrivs:\t", 16), 1);
	assert_int_equal(status_field(started.pid, "\nCapEff:\t", 16), 0);
	assert_int_equal(status_field(started.pid, "\nCapPrm:\t", 16), 0);
#if !defined(__SANITIZE_ADDRESS__)
	assert_int_equal(status_field(started.pid, "\nSeccomp:\t", 16), 2);
#endif
	if (geteuid() == 0) {
		_cleanup_free_ char *path = format_string("/proc/%d/cmdline", (int)started.pid);
		_cleanup_strbuf_ struct strbuf line = STRBUF_INIT;
		char number[16];
		uid_t uid;
		gid_t gid;

		assert_ok(process_unprivileged_user(&uid, &gid, &err), &err);
		snprintf(number, sizeof(number), "%u", uid);
		assert_int_equal(
			status_field(started.pid, "\nUid:\t", 16), strtoull(number, NULL, 16));
		assert_ok(read_file(path, 1 << 16, &line, &err), &err);
		assert_int_equal(line.data[0], '@');
	}
	/* null three times, the container, two sockets that listen, an eventfd and a signalfd */
	list = format_string("ls /proc/%d/fd | wc -l", (int)started.pid);
	{
		const char *const argv[] = {"sh", "-c", list, NULL};

		assert_int_equal(run(argv, &output), 0);
		if (geteuid() == 0)
			assert_int_equal(atoi(output.data), 8);
	}
	assert_false(lock_is_free(box.path));
	stop(&box);
	assert_int_equal(attach_control(box.folder, "status", 5, NULL, NULL, &err), -ENOENT);
}

static void test_control(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct attach_started started;
	struct caisson_error err = {0};
	_cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;
	_cleanup_close_ int client = -1, again = -1;
	char line[64], byte;

	box_make(&box, state, "control", SIZE, 4096);
	options = options_of(&box);
	started = serve(&box, &options);
	assert_refused(attach_control(box.folder, "nonsense", 5, NULL, NULL, &err), &err, EINVAL);
	assert_refused(attach_control(box.folder, "resize", 5, NULL, NULL, &err), &err, EINVAL);
	assert_refused(attach_control(box.folder, "resize -1", 5, NULL, NULL, &err), &err, EINVAL);
	assert_refused(
		attach_control(box.folder, "resize 4096", 5, NULL, NULL, &err), &err, EINVAL);
	/* The container has not grown. */
	snprintf(line, sizeof(line), "resize %llu", SIZE + (1 << 20));
	assert_refused(attach_control(box.folder, line, 5, NULL, NULL, &err), &err, EINVAL);
	assert_int_equal(truncate(box.path, (off_t)(DATA_OFFSET + SIZE + (1 << 20))), 0);
	client = connect_nbd(&box);
	assert_refused(attach_control(box.folder, line, 5, NULL, NULL, &err), &err, EBUSY);
	assert_refused(attach_control(box.folder, "close", 5, NULL, NULL, &err), &err, EBUSY);
	assert_non_null(strstr(err.message, "1 client"));
	closep(&client);
	client = -1;
	/* A client that has just gone is none. */
	for (int i = 0; i < 100 && attach_control(box.folder, line, 5, NULL, NULL, &err) < 0; i++)
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	assert_ok(attach_control(box.folder, "status", 5, &reply, NULL, &err), &err);
	assert_non_null(strstr(reply.data, "\nsize=68157440\n"));
	again = connect_nbd(&box);
	assert_ok(attach_control(box.folder, "close force", 5, NULL, NULL, &err), &err);
	assert_true(lock_is_free(box.path));
	wait_gone(started.pid);
	assert_true(recv(again, &byte, 1, 0) <= 0);
	assert_int_equal(attach_control(box.folder, "status", 5, NULL, NULL, &err), -ECONNREFUSED);
}

static void test_close_later(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct attach_started started;
	struct caisson_error err = {0};
	int client;

	box_make(&box, state, "later", SIZE, 4096);
	options = options_of(&box);
	started = serve(&box, &options);
	client = connect_nbd(&box);
	assert_ok(attach_control(box.folder, "close later", 5, NULL, NULL, &err), &err);
	assert_ok(attach_control(box.folder, "status", 5, NULL, NULL, &err), &err);
	close(client);
	wait_gone(started.pid);
	assert_true(lock_is_free(box.path));
}

static void test_signal(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct attach_started started;

	box_make(&box, state, "signal", SIZE, 4096);
	options = options_of(&box);
	started = serve(&box, &options);
	assert_int_equal(kill(started.pid, SIGHUP), 0);
	assert_int_equal(kill(started.pid, SIGTERM), 0);
	wait_gone(started.pid);
	assert_true(lock_is_free(box.path));
}

/* Who uses it is not dropped by a SIGTERM, nor by a second one. */
static void test_signal_in_use(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct attach_started started;
	struct attach_status status;
	struct caisson_error err = {0};
	int client;

	box_make(&box, state, "signal-in-use", SIZE, 4096);
	options = options_of(&box);
	started = serve(&box, &options);
	client = connect_nbd(&box);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(kill(started.pid, SIGTERM), 0);
		(void)nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
		assert_ok(attach_status(box.folder, &status, &err), &err);
		assert_int_equal(status.connections, 1);
	}
	assert_false(lock_is_free(box.path));
	close(client);
	wait_gone(started.pid);
	assert_true(lock_is_free(box.path));
}

/* The same of the file, which is what filesystems are mounted from. */
static void test_signal_file_open(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct attach_started started;
	struct caisson_error err = {0};
	_cleanup_free_ char *path = NULL;
	char data[4096];
	int fd;

	NEED(access("/dev/fuse", R_OK | W_OK) == 0, "there is no /dev/fuse");
	box_make(&box, state, "signal-file", SIZE, 4096);
	path = format_string("%s/file/volume", box.folder);
	options = options_of(&box);
	started = serve_file(&box, &options);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(kill(started.pid, SIGTERM), 0);
	(void)nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
	assert_int_equal(pread(fd, data, sizeof(data), SIZE - 4096), 4096);
	assert_int_equal(pwrite(fd, data, sizeof(data), SIZE / 2), 4096);
	assert_int_equal(fsync(fd), 0);
	close(fd);
	wait_gone(started.pid);
	assert_true(lock_is_free(box.path));
	assert_ok(attach_sweep(box.folder, false, &err), &err);
}

static void test_refused_starts(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct attach_started started;
	struct caisson_error err = {0};
	_cleanup_free_ char *socket = NULL;

	box_make(&box, state, "refused", SIZE, 4096);
	socket = path_join(box.folder, ATTACH_NBD_SOCKET);
	options = options_of(&box);
	options.cipher = "serpent-xts-plain64";
	assert_refused(attach_start(&options, &started, &err), &err, EOPNOTSUPP);
	options = options_of(&box);
	options.size = SIZE + 4096;
	assert_refused(attach_start(&options, &started, &err), &err, EINVAL);
	options = options_of(&box);
	options.programs = "/nowhere";
	assert_refused(attach_start(&options, &started, &err), &err, ENOENT);
	assert_int_not_equal(access(socket, F_OK), 0);
}

/* Whatever it is that was started, it is gone when that failed. */
static void test_no_server_left(void **state)
{
	static const char script[] =
		"#!/bin/bash\n"
		"for word; do case $word in --ready=*) ready=${word#*=};; esac; done\n"
		"echo $$ >\"${0%/*}/pid\"\n"
		"echo nonsense >&$ready\n"
		"exec sleep 1000\n";
	_cleanup_box_ struct box box;
	_cleanup_free_ char *program = NULL, *record = NULL, *socket = NULL;
	_cleanup_strbuf_ struct strbuf pid = STRBUF_INIT;
	struct attach_options options;
	struct attach_started started;
	struct caisson_error err = {0};

	box_make(&box, state, "left", SIZE, 4096);
	program = format_string("%s/caisson-attach", box.folder);
	record = format_string("%s/pid", box.folder);
	socket = format_string("%s/." ATTACH_NBD_SOCKET, box.folder);
	assert_ok(write_file_atomic(program, script, strlen(script), 0755, &err), &err);
	options = options_of(&box);
	options.programs = box.folder;
	assert_refused(attach_start(&options, &started, &err), &err, EPROTO);
	assert_ok(read_file(record, 100, &pid, &err), &err);
	wait_gone(atoi(pid.data));
	assert_int_not_equal(access(socket, F_OK), 0);
}

/* Nobody sweeps what is being started. */
static void test_sweep_waits(void **state)
{
	_cleanup_box_ struct box box;
	struct caisson_error err = {0};
	_cleanup_free_ char *nowhere = NULL;
	_cleanup_close_ int starting = -1;

	box_make(&box, state, "sweep", SIZE, 4096);
	nowhere = format_string("%s/nowhere", box.folder);
	assert_ok(attach_sweep(nowhere, false, &err), &err);
	starting = open(box.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(starting, LOCK_EX | LOCK_NB), 0);
	assert_refused(attach_sweep(box.folder, false, &err), &err, EBUSY);
	closep(&starting);
	starting = -1;
	assert_ok(attach_sweep(box.folder, false, &err), &err);
}

struct looker {
	const char *folder;
	unsigned int phase; /* odd: starting; even: there is or was one. atomic */
	unsigned int seen;
	int wrong;
};

static void *look_on(void *argument)
{
	struct looker *looker = argument;
	unsigned int before, after;

	while ((before = __atomic_load_n(&looker->phase, __ATOMIC_SEQ_CST)) != UINT_MAX) {
		struct attach_status status;
		int r = attach_status(looker->folder, &status, NULL);

		after = __atomic_load_n(&looker->phase, __ATOMIC_SEQ_CST);
		if (before != after || before % 2 == 0)
			continue;
		looker->seen++;
		if (r != 0 && r != -ENOENT)
			looker->wrong = r;
	}
	return NULL;
}

/* There is none, or it answers: nothing in between. */
static void test_seen_whole(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct attach_started started;
	struct looker looker = {0};
	struct caisson_error err = {0};
	pthread_t thread;

	box_make(&box, state, "whole", SIZE, 4096);
	options = options_of(&box);
	looker.folder = box.folder;
	assert_int_equal(pthread_create(&thread, NULL, look_on, &looker), 0);
	for (unsigned int i = 0; i < 30; i++) {
		__atomic_add_fetch(&looker.phase, 1, __ATOMIC_SEQ_CST);
		assert_ok(attach_start(&options, &started, &err), &err);
		__atomic_add_fetch(&looker.phase, 1, __ATOMIC_SEQ_CST);
		assert_ok(attach_control(box.folder, "close", 10, NULL, NULL, &err), &err);
		assert_ok(attach_sweep(box.folder, false, &err), &err);
	}
	__atomic_store_n(&looker.phase, UINT_MAX, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	print_message("# looked %u times\n", looker.seen);
	assert_int_equal(looker.wrong, 0);
}

/* Who started it dies before the answer is taken: so does it. */
static void test_starter_dies(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	pid_t child;

	box_make(&box, state, "dies", SIZE, 4096);
	options = options_of(&box);
	for (int i = 0; i < 20; i++) {
		int status;

		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			struct attach_started started;
			struct secret key = SECRET_NONE;

			/* Secrets are not inherited. */
			if (secret_random(&key, 64, NULL) < 0)
				_exit(1);
			options.volume_key = &key;
			(void)attach_start(&options, &started, NULL);
			pause();
			_exit(0);
		}
		(void)nanosleep(&(struct timespec){.tv_nsec = i * 400000L}, NULL);
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		/* Either it was taken, and serves; or it was not, and nothing does. */
		if (attach_control(box.folder, "close", 10, NULL, NULL, NULL) == 0)
			break;
	}
	closep(&box.fd);
	box.fd = -1;
	for (int i = 0; i < 1000 && !lock_is_free(box.path); i++)
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	assert_true(lock_is_free(box.path));
}

static void test_long_folder(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	char name[200];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	box_make(&box, state, name, SIZE, 4096);
	options = options_of(&box);
	serve(&box, &options);
	stop(&box);
}

/* A user who is not root has the same, through fusermount3. */
static void test_as_user(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	_cleanup_free_ char *parent = NULL;
	int status;
	pid_t child;

	NEED(geteuid() == 0, "it starts as root");
	box_make(&box, state, "user", SIZE, 4096);
	parent = format_string("%s", (const char *)*state);
	assert_int_equal(chmod(parent, 0755), 0);
	assert_int_equal(chown(box.folder, 1, 1), 0);
	assert_int_equal(chown(box.path, 1, 1), 0);
	options = options_of(&box);
	options.file = true;
	closep(&box.fd);
	box.fd = -1;
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct attach_started started = {0};
		struct secret key = SECRET_NONE;
		struct caisson_error err = {0};

		if (setresgid(1, 1, 1) < 0 || setresuid(1, 1, 1) < 0)
			_exit(10);
		options.container = open(box.path, O_RDWR | O_CLOEXEC);
		if (secret_random(&key, 64, NULL) < 0)
			_exit(11);
		options.volume_key = &key;
		if (attach_start(&options, &started, &err) < 0) {
			printf("# %s\n", err.message);
			_exit(12);
		}
		if (!started.file)
			printf("# no file: %s\n", started.why_no_file);
		else if (shell(&box,
				 "test $(stat -c %u:%s $dir/file/volume) = 1:67108864;"
				 "head -c 1M /dev/zero >$dir/in;"
				 "dd if=$dir/in of=$dir/file/volume conv=notrunc status=none",
				 NULL) < 0)
			_exit(13);
		fflush(stdout);
		{
			_cleanup_free_ char *point = path_join(box.folder, ATTACH_FILE_FOLDER);

			if (attach_file_unmount(point, false, &err) < 0 ||
				attach_control(box.folder, "close", 5, NULL, NULL, &err) < 0 ||
				attach_sweep(box.folder, false, &err) < 0) {
				printf("# %s\n", err.message);
				fflush(stdout);
				_exit(14);
			}
		}
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* A server that may lock 64 KiB, and one that may have hardly more memory than it starts with, both
   without the rights of root: what it cannot do it says, and goes on. */
static void serve_poor(struct box *box, const char *limit, bool needed)
{
	_cleanup_free_ char *script =
		format_string("#!/bin/sh\nulimit %s || exit 9\nexec '%s/caisson-attach' \"$@\"\n",
			limit, programs_folder());
	_cleanup_free_ char *program = format_string("%s/caisson-attach", box->folder);
	struct attach_options options = options_of(box);
	struct attach_started started = {0};
	struct attach_status status;
	struct caisson_error err = {0};
	struct secret key = SECRET_NONE;
	int clients[8], r;

	if (geteuid() == 0 && (setresgid(1, 1, 1) < 0 || setresuid(1, 1, 1) < 0))
		_exit(10);
	if (write_file_atomic(program, script, strlen(script), 0755, &err) < 0)
		_exit(9);
	options.programs = box->folder;
	options.container = open(box->path, O_RDWR | O_CLOEXEC);
	if (secret_random(&key, 64, NULL) < 0)
		_exit(11);
	options.volume_key = &key;
	r = attach_start(&options, &started, &err);
	if (r < 0) {
		print_message("# ulimit %s: %s\n", limit, err.message);
		fflush(stdout);
		_exit(needed ? 12 : 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i] =
			unix_connect(box->folder, ATTACH_NBD_SOCKET, now_usec() + 5000000, &err);
		if (clients[i] < 0)
			_exit(13);
	}
	(void)shell(box, "qemu-img bench -f raw -t none -s 4M -c 20 -w \"$uri\" >&2", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		close(clients[i]);
	if (attach_status(box->folder, &status, &err) < 0 || status.pid != started.pid)
		_exit(14);
	r = attach_control(box->folder, "close force", 10, NULL, NULL, &err);
	if (r < 0)
		print_message("# ulimit %s: %s\n", limit, err.message);
	fflush(stdout);
	_exit(r < 0 ? 15 : 0);
}

static void test_poor(void **state)
{
	static const struct {
		const char *name, *limit;
		bool needed;
	} cases[] = {
		{"poor-lock", "-l 64", true},
		{"poor-16m", "-v 16384", false},
		{"poor-32m", "-v 32768", false},
		{"poor-64m", "-v 65536", false},
		{"poor-128m", "-v 131072", false},
		{"poor-files", "-n 20", true},
	};

#ifdef __SANITIZE_ADDRESS__
	NEED(false, "a sanitizer needs more memory than there is");
#endif
	assert_int_equal(chmod(*state, 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_box_ struct box box;
		pid_t child;
		int status;

		box_make(&box, state, cases[i].name, SIZE, 4096);
		closep(&box.fd);
		box.fd = -1;
		if (geteuid() == 0) {
			assert_int_equal(chown(box.folder, 1, 1), 0);
			assert_int_equal(chown(box.path, 1, 1), 0);
		}
		child = fork();
		assert_true(child >= 0);
		if (child == 0)
			serve_poor(&box, cases[i].limit, cases[i].needed);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (status != 0)
			fail_msg("%s: %d", cases[i].name, status);
		assert_true(lock_is_free(box.path));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_privileges),
		cmocka_unit_test(test_control),
		cmocka_unit_test(test_close_later),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_signal_in_use),
		cmocka_unit_test(test_signal_file_open),
		cmocka_unit_test(test_refused_starts),
		cmocka_unit_test(test_no_server_left),
		cmocka_unit_test(test_sweep_waits),
		cmocka_unit_test(test_seen_whole),
		cmocka_unit_test(test_starter_dies),
		cmocka_unit_test(test_long_folder),
		cmocka_unit_test(test_as_user),
		cmocka_unit_test(test_poor),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
