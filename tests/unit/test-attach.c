/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server process, its NBD and its file, with real clients; loop devices and their locks. */
#include "attach-fixture.h"

#include <endian.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "attach/control.h"
#include "attach/file_mount.h"
#include "attach/loop.h"
#include "attach/nbd.h"
#include "attach/nbd_server.h"
#include "attach/sockets.h"
#include "attach/start.h"

#define SIZE (64ull << 20)

/* A served box */

static struct attach_options options_of(const struct box *box)
{
	return (struct attach_options){
		.container = box->fd,
		.volume_key = &box->key,
		.cipher = "aes-xts-plain64",
		.sector_size = box->sector_size,
		.data_offset = DATA_OFFSET,
		.size = box->size,
		.name = "data",
		.folder = box->folder,
		.programs = programs_folder(),
	};
}

/* Hands the container over: the process is the only one that has it open. */
static struct attach_started serve(struct box *box, const struct attach_options *options)
{
	struct attach_started started = {0};
	struct caisson_error err = {0};

	assert_ok(attach_start(options, &started, &err), &err);
	assert_true(started.pid > 1);
	closep(&box->fd);
	box->fd = -1;
	return started;
}

static void stop(struct box *box)
{
	_cleanup_free_ char *mount_point = path_join(box->folder, ATTACH_FILE_FOLDER);
	struct caisson_error err = {0};

	assert_ok(attach_file_unmount(mount_point, false, &err), &err);
	assert_ok(attach_control(box->folder, "close", 10, NULL, NULL, &err), &err);
	assert_true(lock_is_free(box->path));
	assert_ok(attach_sweep(box->folder, false, &err), &err);
}

static char *uri_of(const struct box *box)
{
	return format_string("nbd+unix:///data?socket=%s/" ATTACH_NBD_SOCKET, box->folder);
}

/* @format has one %s: the URI. By the shell, so that what is written here can be typed. */
static int shell(const struct box *box, const char *command, struct strbuf *output)
{
	_cleanup_free_ char *uri = uri_of(box);
	_cleanup_free_ char *line =
		format_string("set -e; uri='%s'; dir='%s'; %s", uri, box->folder, command);
	const char *const argv[] = {"sh", "-c", line, NULL};

	return run(argv, output);
}

static bool have(const char *program)
{
	_cleanup_free_ char *path = NULL;

	return program_find(program, &path, NULL) == 0;
}

#define NEED(condition, reason) \
	do { \
		if (!(condition)) { \
			print_message("# SKIP: %s\n", reason); \
			skip(); \
		} \
	} while (0)

static void test_nbd_clients(void **state)
{
	_cleanup_box_ struct box box;
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	struct attach_options options;

	NEED(have("nbdinfo") && have("nbdcopy") && have("qemu-img") && have("qemu-io"),
		"nbdinfo, nbdcopy, qemu-img or qemu-io is not there");
	box_make(&box, state, "clients", SIZE, 4096);
	options = options_of(&box);
	options.discard = true;
	serve(&box, &options);
	assert_int_equal(shell(&box, "nbdinfo \"$uri\"", &output), 0);
	assert_non_null(strstr(output.data, "export-size: 67108864"));
	assert_non_null(strstr(output.data, "can_multi_conn: true"));
	assert_non_null(strstr(output.data, "can_trim: true"));
	assert_non_null(strstr(output.data, "block_size_maximum: 33554432"));
	assert_int_equal(
		shell(&box, "nbdinfo --list \"nbd+unix://?socket=$dir/nbd.sock\"", NULL), 0);
	assert_true(shell(&box, "nbdinfo \"nbd+unix:///other?socket=$dir/nbd.sock\"", NULL) < 0);
	assert_int_equal(shell(&box,
				 "head -c 67108864 /dev/urandom >$dir/in; nbdcopy $dir/in \"$uri\";"
				 "nbdcopy \"$uri\" $dir/out; cmp $dir/in $dir/out;"
				 "qemu-img compare -f raw -F raw $dir/in \"$uri\"",
				 NULL),
		0);
	assert_int_equal(
		shell(&box,
			"qemu-io -f raw -c 'write -P 7 513 70001' -c 'write -f -P 8 1M 4k' "
			"-c 'write -z 8M 5M' -c flush -c 'discard 32M 1M' -c 'read -P 7 513 70001' "
			"-c 'read -P 8 1M 4k' -c 'read -P 0 8M 5M' \"$uri\" | tee $dir/log;"
			"! grep -iE 'fail|error' $dir/log",
			NULL),
		0);
	/* What they wrote is the payload that anybody with the key sees. */
	{
		struct caisson_error err = {0};
		_cleanup_close_ int fd = open(box.path, O_RDONLY);
		_cleanup_blocks_ struct blocks *container = NULL, *payload = NULL;
		uint8_t data[512];

		assert_ok(
			blocks_of_file(fd, DATA_OFFSET + SIZE, true, "it", &container, &err), &err);
		assert_ok(
			luks_payload_new(container, DATA_OFFSET, SIZE, box.cipher, &payload, &err),
			&err);
		assert_ok(blocks_read(payload, 1 << 20, data, sizeof(data), &err), &err);
		assert_int_equal(data[0], 8);
		assert_int_equal(data[511], 8);
	}
	stop(&box);
}

static void test_read_only(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;

	NEED(have("nbdinfo") && have("qemu-io"), "nbdinfo or qemu-io is not there");
	box_make(&box, state, "read-only", SIZE, 512);
	options = options_of(&box);
	options.read_only = true;
	serve(&box, &options);
	assert_int_equal(shell(&box, "nbdinfo \"$uri\"", &output), 0);
	assert_non_null(strstr(output.data, "is_read_only: true"));
	assert_true(
		shell(&box, "qemu-io -f raw -c 'write 0 4k' \"$uri\" | grep -q wrote", NULL) < 0);
	stop(&box);
}

/* Its process */

static uint64_t status_field(pid_t pid, const char *field)
{
	_cleanup_free_ char *path = format_string("/proc/%d/status", (int)pid);
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct caisson_error err = {0};
	const char *at;

	assert_ok(read_file(path, 1 << 16, &text, &err), &err);
	at = strstr(text.data, field);
	assert_non_null(at);
	return strtoull(at + strlen(field), NULL, 16);
}

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
	assert_int_equal(status_field(started.pid, "\nNoNewPrivs:\t"), 1);
	assert_int_equal(status_field(started.pid, "\nCapEff:\t"), 0);
	assert_int_equal(status_field(started.pid, "\nCapPrm:\t"), 0);
#if !defined(__SANITIZE_ADDRESS__)
	assert_int_equal(status_field(started.pid, "\nSeccomp:\t"), 2);
#endif
	if (geteuid() == 0) {
		_cleanup_free_ char *path = format_string("/proc/%d/cmdline", (int)started.pid);
		_cleanup_strbuf_ struct strbuf line = STRBUF_INIT;
		char number[16];
		uid_t uid;
		gid_t gid;

		assert_ok(process_unprivileged_user(&uid, &gid, &err), &err);
		snprintf(number, sizeof(number), "%u", uid);
		assert_int_equal(status_field(started.pid, "\nUid:\t"), strtoull(number, NULL, 16));
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

/* The end of a process that is no child of ours. */
static void wait_gone(pid_t pid)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd polled = {.fd = fd, .events = POLLIN};

	assert_true(fd >= 0 || errno == ESRCH);
	assert_true(fd < 0 || poll(&polled, 1, 10000) == 1);
}

static int connect_nbd(const struct box *box)
{
	struct caisson_error err = {0};
	int fd = unix_connect(box->folder, ATTACH_NBD_SOCKET, now_usec() + 5000000, &err);
	uint8_t greeting[18];

	assert_ok(fd, &err);
	assert_int_equal(set_nonblocking(fd, false), 0);
	assert_int_equal(recv(fd, greeting, sizeof(greeting), MSG_WAITALL), 18);
	return fd;
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
	options.file = true;
	started = serve(&box, &options);
	if (!started.file) {
		print_message("# SKIP: %s\n", started.why_no_file);
		stop(&box);
		skip();
	}
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

/* Hostile clients */

static void send_words(int fd, const uint8_t *data, size_t size)
{
	(void)!send(fd, data, size, MSG_NOSIGNAL);
}

/* The seventeenth is closed at once; when one leaves, another may come. */
static void test_many_clients(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	int clients[16], r;
	struct caisson_error err = {0};
	_cleanup_close_ int more = -1;
	char byte;

	box_make(&box, state, "many", SIZE, 4096);
	options = options_of(&box);
	serve(&box, &options);
	for (size_t i = 0; i < 16; i++)
		clients[i] = connect_nbd(&box);
	more = unix_connect(box.folder, ATTACH_NBD_SOCKET, now_usec() + 5000000, &err);
	assert_ok(more, &err);
	assert_int_equal(set_nonblocking(more, false), 0);
	assert_int_equal(recv(more, &byte, 1, 0), 0);
	/* Nonsense ends a connection. */
	send_words(clients[0], (const uint8_t *)"\0\0\0\3nonsense.nonsense", 21);
	while ((r = (int)recv(clients[0], &byte, 1, 0)) > 0)
		;
	assert_true(r <= 0);
	close(clients[0]);
	clients[0] = connect_nbd(&box);
	for (size_t i = 0; i < 16; i++)
		close(clients[i]);
	stop(&box);
}

/* Nobody may keep a place by saying nothing: this waits for the ten seconds that a client has. */
static void test_silent_client(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	uint64_t began = now_usec();
	char byte;
	int client;

	box_make(&box, state, "silent", SIZE, 4096);
	options = options_of(&box);
	serve(&box, &options);
	client = connect_nbd(&box);
	assert_int_equal(recv(client, &byte, 1, 0), 0);
	assert_in_range(now_usec() - began, 9000000, 20000000);
	close(client);
	stop(&box);
}

/* A connection that has negotiated by the one option that asks for least. */
static int connect_ready(const struct box *box)
{
	int fd = connect_nbd(box);
	struct nbd_option_request option = {
		.magic = htobe64(NBD_OPTION_MAGIC), .option = htobe32(NBD_OPT_EXPORT_NAME)};
	uint32_t flags = htobe32(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
	uint8_t answer[10];

	send_words(fd, (const uint8_t *)&flags, sizeof(flags));
	send_words(fd, (const uint8_t *)&option, sizeof(option));
	assert_int_equal(recv(fd, answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
	return fd;
}

static void ask(int fd, uint16_t type, uint64_t offset, uint32_t length)
{
	struct nbd_request request = {.magic = htobe32(NBD_REQUEST_MAGIC),
		.type = htobe16(type),
		.cookie = 7,
		.offset = htobe64(offset),
		.length = htobe32(length)};

	send_words(fd, (const uint8_t *)&request, sizeof(request));
}

static uint64_t kilobytes_of(pid_t pid, const char *field)
{
	_cleanup_free_ char *path = format_string("/proc/%d/status", (int)pid);
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct caisson_error err = {0};
	const char *at;

	assert_ok(read_file(path, 1 << 16, &text, &err), &err);
	at = strstr(text.data, field);
	assert_non_null(at);
	return strtoull(at + strlen(field), NULL, 10);
}

/* Sixteen clients in the middle of the longest request there is, that never end it, and one more
   request of each kind through the same memory. */
static void test_memory(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct attach_started started;
	struct caisson_error err = {0};
	_cleanup_free_ uint8_t *data = malloc(NBD_MOST_DATA), *back = malloc(NBD_MOST_DATA);
	struct nbd_simple_reply reply;
	int clients[16];

	box_make(&box, state, "memory", SIZE, 4096);
	options = options_of(&box);
	started = serve(&box, &options);
	for (size_t i = 0; i < NBD_MOST_DATA; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	for (size_t i = 0; i < 16; i++) {
		clients[i] = connect_ready(&box);
		if (i == 0)
			continue;
		ask(clients[i], NBD_CMD_WRITE, 0, NBD_MOST_DATA);
		for (size_t at = 0; at < NBD_MOST_DATA - 4096; at += 1 << 20)
			send_words(clients[i], data + at,
				MIN((size_t)1 << 20, NBD_MOST_DATA - 4096 - at));
	}
	ask(clients[0], NBD_CMD_WRITE, 3, NBD_MOST_DATA);
	for (size_t at = 0; at < NBD_MOST_DATA; at += 1 << 20)
		send_words(clients[0], data + at, 1 << 20);
	assert_int_equal(recv(clients[0], &reply, sizeof(reply), MSG_WAITALL), sizeof(reply));
	assert_int_equal(reply.error, 0);
	ask(clients[0], NBD_CMD_READ, 3, NBD_MOST_DATA);
	assert_int_equal(recv(clients[0], &reply, sizeof(reply), MSG_WAITALL), sizeof(reply));
	assert_int_equal(reply.error, 0);
	assert_int_equal(recv(clients[0], back, NBD_MOST_DATA, MSG_WAITALL), NBD_MOST_DATA);
	assert_memory_equal(data, back, NBD_MOST_DATA);
	/* What is beyond the end is taken, too, and refused. */
	ask(clients[0], NBD_CMD_WRITE, SIZE - 4096, 3 << 20);
	for (size_t at = 0; at < 3; at++)
		send_words(clients[0], data, 1 << 20);
	assert_int_equal(recv(clients[0], &reply, sizeof(reply), MSG_WAITALL), sizeof(reply));
	assert_int_equal(be32toh(reply.error), NBD_ENOSPC);
	print_message(
		"# %llu KiB at most\n", (unsigned long long)kilobytes_of(started.pid, "\nVmHWM:"));
#ifndef __SANITIZE_ADDRESS__
	assert_true(kilobytes_of(started.pid, "\nVmHWM:") < (64 << 10));
#endif
	assert_ok(attach_control(box.folder, "close force", 10, NULL, NULL, &err), &err);
	for (size_t i = 0; i < 16; i++)
		close(clients[i]);
	wait_gone(started.pid);
}

/* Zeros for the whole of a volume, many times over, keep nobody. */
static void test_zeros_end(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct attach_started started;
	struct caisson_error err = {0};
	int client;
	uint64_t began;

	box_make(&box, state, "zeros", 4 * SIZE, 4096);
	options = options_of(&box);
	started = serve(&box, &options);
	client = connect_ready(&box);
	/* More than that do not fit into the socket's queue. */
	for (int i = 0; i < 100; i++)
		ask(client, NBD_CMD_WRITE_ZEROES, 0, 4 * SIZE);
	(void)nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
	assert_refused(attach_control(box.folder, "close", 5, NULL, NULL, &err), &err, EBUSY);
	began = now_usec();
	assert_ok(attach_control(box.folder, "close force", 30, NULL, NULL, &err), &err);
	print_message("# closed after %llu ms\n", (unsigned long long)(now_usec() - began) / 1000);
	assert_true(now_usec() - began < 10000000);
	wait_gone(started.pid);
	close(client);
}

/* The file */

static void test_file(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct attach_started started;
	struct caisson_error err = {0};
	struct attach_status status;
	char line[64];

	NEED(access("/dev/fuse", R_OK | W_OK) == 0, "there is no /dev/fuse");
	box_make(&box, state, "file", SIZE, 4096);
	options = options_of(&box);
	options.file = true;
	started = serve(&box, &options);
	if (!started.file) {
		print_message("# SKIP: %s\n", started.why_no_file);
		stop(&box);
		skip();
	}
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
	options.file = true;
	started = serve(&box, &options);
	if (!started.file) {
		print_message("# SKIP: %s\n", started.why_no_file);
		stop(&box);
		skip();
	}
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
	struct attach_started started;

	NEED(access("/dev/fuse", R_OK | W_OK) == 0 && have("fuse2fs"), "fuse2fs cannot be had");
	box_make(&box, state, "fuse2fs", SIZE, 4096);
	options = options_of(&box);
	options.file = true;
	started = serve(&box, &options);
	if (!started.file) {
		print_message("# SKIP: %s\n", started.why_no_file);
		stop(&box);
		skip();
	}
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

/* Loop devices */

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
		cmocka_unit_test(test_nbd_clients),
		cmocka_unit_test(test_read_only),
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
		cmocka_unit_test(test_many_clients),
		cmocka_unit_test(test_silent_client),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_zeros_end),
		cmocka_unit_test(test_file_zeros_end),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_killed),
		cmocka_unit_test(test_fuse2fs),
		cmocka_unit_test(test_loop_lock),
		cmocka_unit_test(test_loop_autoclear),
		cmocka_unit_test(test_loop_on_file),
		cmocka_unit_test(test_as_user),
		cmocka_unit_test(test_poor),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
