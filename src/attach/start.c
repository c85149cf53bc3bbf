/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/start.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "attach/control.h"
#include "attach/file_mount.h"
#include "attach/programs.h"
#include "attach/sockets.h"
#include "base/io.h"
#include "base/path.h"
#include "base/process.h"
#include "base/strbuf.h"

#define READY_SECONDS 30
#define KILL_MSEC     5000
#define LOCK_USEC     UINT64_C(5000000)
#define ANSWER_MOST   1024
/* Whoever ends all processes at a shutdown leaves those alone whose name begins so, and which are
   root's: others serve what is mounted (systemd.io/ROOT_STORAGE_DAEMONS). */
#define STORAGE_NAME "@" ATTACH_SERVER

/* What the sockets are called until somebody listens on them. */
#define HIDDEN(name) "." name

/* What the process inherits, and our end of what it says "ready" on. */
struct start {
	const struct attach_options *options;
	int nbd, control, fuse, key, ready, their_ready;
	int pidfd; /* of the process */
	uid_t uid; /* whom the process becomes; 0: stays */
	gid_t gid;
	struct attach_started started;
};

#define START_INIT(with) \
	{ \
		.options = (with), .nbd = -1, .control = -1, .fuse = -1, .key = -1, .ready = -1, \
		.their_ready = -1, .pidfd = -1 \
	}

static void start_done(struct start *start)
{
	closep(&start->nbd);
	closep(&start->control);
	closep(&start->fuse);
	closep(&start->key);
	closep(&start->ready);
	closep(&start->their_ready);
	closep(&start->pidfd);
}

#define _cleanup_start_ _cleanup_(start_done)

/* A pipe that holds the key, and whose other end is closed. */
static int pipe_key(const struct secret *key, int *ret_fd, struct caisson_error *err)
{
	_cleanup_close_ int from = -1, to = -1;
	int pair[2], r;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return caisson_fail(err, errno, "make a pipe");
	from = pair[0];
	to = pair[1];
	/* It has room for the whole of any key, or this fails: nobody reads yet. */
	r = set_nonblocking(to, true);
	if (r == 0)
		r = write_all(to, key->data, key->size, "the volume key to a pipe", err);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&from);
	return 0;
}

/* Without it the volume is served all the same. */
static void mount_file(struct start *start)
{
	_cleanup_free_ char *path = path_join(start->options->folder, ATTACH_FILE_FOLDER);
	struct caisson_error err = {0};

	if (path == NULL)
		caisson_fail(&err, ENOMEM, "mount");
	else if (mkdir(path, 0700) < 0 && errno != EEXIST)
		caisson_fail(&err, errno, "make the folder %s", path);
	else
		start->fuse = attach_file_mount(path, start->options->read_only, &err);
	start->started.file = start->fuse >= 0;
	if (!start->started.file)
		snprintf(start->started.why_no_file, sizeof(start->started.why_no_file), "%s",
			err.message);
}

static int make_descriptors(struct start *start, struct caisson_error *err)
{
	const char *folder = start->options->folder;
	int pair[2], r;

	r = pipe_key(start->options->volume_key, &start->key, err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return caisson_fail(err, errno, "make a pair of sockets");
	start->ready = pair[0];
	start->their_ready = pair[1];
	start->nbd = unix_bind(folder, HIDDEN(ATTACH_NBD_SOCKET), err);
	if (start->nbd < 0)
		return start->nbd;
	start->control = unix_bind(folder, HIDDEN(ATTACH_CONTROL_SOCKET), err);
	if (start->control < 0)
		return start->control;
	if (start->options->file)
		mount_file(start);
	return 0;
}

static void add_arguments(const struct start *start, const char *program, struct strv *argv)
{
	const struct attach_options *options = start->options;

	strv_add(argv, program);
	strv_add_format(argv, "--container=%d", options->container);
	strv_add_format(argv, "--key=%d", start->key);
	strv_add_format(argv, "--ready=%d", start->their_ready);
	strv_add_format(argv, "--nbd=%d", start->nbd);
	strv_add_format(argv, "--control=%d", start->control);
	if (start->fuse >= 0)
		strv_add_format(argv, "--fuse=%d", start->fuse);
	strv_add_format(argv, "--cipher=%s", options->cipher);
	strv_add_format(argv, "--sector-size=%u", options->sector_size);
	strv_add_format(argv, "--offset=%llu", (unsigned long long)options->data_offset);
	strv_add_format(argv, "--size=%llu", (unsigned long long)options->size);
	strv_add_format(argv, "--name=%s", options->name);
	if (start->uid != 0) {
		strv_add_format(argv, "--user=%u", start->uid);
		strv_add_format(argv, "--group=%u", start->gid);
	}
	if (options->read_only)
		strv_add(argv, "--read-only");
	if (options->discard)
		strv_add(argv, "--discard");
}

static int start_program(struct start *start, struct caisson_error *err)
{
	int keep[6] = {start->options->container, start->key, start->their_ready, start->nbd,
		start->control, start->fuse};
	struct process_options process = PROCESS_OPTIONS_INIT;
	_cleanup_free_ char *program = NULL;
	_cleanup_strv_ struct strv argv = STRV_INIT;
	int r = attach_program(start->options->programs, ATTACH_SERVER, &program, err);

	if (r < 0)
		return r;
	/* Found here, not by a process that is to have the key: names come from libraries. */
	if (geteuid() == 0) {
		r = process_unprivileged_user(&start->uid, &start->gid, err);
		if (r < 0)
			return r;
		process.called = STORAGE_NAME;
	}
	add_arguments(start, program, &argv);
	if (!strv_ok(&argv))
		return caisson_fail(err, ENOMEM, "start %s", program);
	process.detached = true;
	process.ret_pidfd = &start->pidfd;
	process.keep_fds = keep;
	process.keep_count = start->fuse >= 0 ? 6 : 5;
	r = (int)process_start((const char *const *)argv.items, &process, err);
	/* What is the process's own from here on shall end with it. */
	closep(&start->their_ready);
	closep(&start->fuse);
	start->their_ready = start->fuse = -1;
	return r;
}

/* A line, by the deadline. */
static int read_answer(int fd, char *answer, size_t most, struct caisson_error *err)
{
	uint64_t deadline = now_usec() + READY_SECONDS * 1000000ull;
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	size_t size = 0;

	while (size == 0 || answer[size - 1] != '\n') {
		uint64_t now = now_usec();
		ssize_t n;

		if (now >= deadline)
			return caisson_refuse(err, ETIMEDOUT,
				ATTACH_SERVER " was not ready in %d seconds", READY_SECONDS);
		if (poll(&polled, 1, (int)((deadline - now) / 1000) + 1) <= 0)
			continue;
		n = recv(fd, answer + size, most - 1 - size, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return caisson_refuse(err, EIO, ATTACH_SERVER " ended before it was ready");
		size += (size_t)n;
	}
	answer[size - 1] = '\0';
	text_flatten(answer);
	return 0;
}

static int publish(
	const char *folder, const char *hidden, const char *name, struct caisson_error *err)
{
	_cleanup_free_ char *from = path_join(folder, hidden), *to = path_join(folder, name);

	if (from == NULL || to == NULL)
		return caisson_fail(err, ENOMEM, "make the socket %s", name);
	return rename(from, to) < 0 ? caisson_fail(err, errno, "make the socket %s", to) : 0;
}

/* It listens already: whoever finds a socket finds somebody there. Control is what others look for.
 */
static int publish_sockets(const char *folder, struct caisson_error *err)
{
	int r = publish(folder, HIDDEN(ATTACH_NBD_SOCKET), ATTACH_NBD_SOCKET, err);

	return r < 0 ? r
		     : publish(folder, HIDDEN(ATTACH_CONTROL_SOCKET), ATTACH_CONTROL_SOCKET, err);
}

/* "ready PID" or "error NUMBER SENTENCE". It ends unless it hears that the answer was taken. */
static int wait_ready(struct start *start, struct caisson_error *err)
{
	char answer[ANSWER_MOST];
	int code, pid, at = 0, r;

	r = read_answer(start->ready, answer, sizeof(answer), err);
	if (r < 0)
		return r;
	if (sscanf(answer, "error %d %n", &code, &at) == 1 && at > 0 && code > 0)
		return caisson_refuse(err, code, "%s", answer + at);
	if (sscanf(answer, "ready %d", &pid) != 1)
		return caisson_refuse(
			err, EPROTO, ATTACH_SERVER " gave an answer that makes no sense");
	r = publish_sockets(start->options->folder, err);
	if (r < 0)
		return r;
	if (send(start->ready, "t", 1, MSG_NOSIGNAL) != 1)
		return caisson_refuse(err, EIO, ATTACH_SERVER " ended as soon as it was ready");
	start->started.pid = pid;
	return 0;
}

/* Whatever it is at. It would end by itself when the ready socket is closed, but later. */
static void end_process(struct start *start)
{
	struct pollfd polled = {.fd = start->pidfd, .events = POLLIN};

	if (start->pidfd < 0)
		return;
	(void)syscall(SYS_pidfd_send_signal, start->pidfd, SIGKILL, NULL, 0);
	(void)poll(&polled, 1, KILL_MSEC);
}

/* Held while a process is started, which nobody shall take for what a dead one left. */
static int lock_folder(const char *folder, bool wait, int *ret_lock, struct caisson_error *err)
{
	uint64_t until = now_usec() + LOCK_USEC;
	_cleanup_close_ int fd = open_file(folder, O_RDONLY | O_DIRECTORY, 0, err);

	if (fd < 0)
		return fd;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			break; /* there are filesystems that cannot */
		if (!wait || now_usec() >= until)
			return caisson_refuse(
				err, EBUSY, "another program is at work in %s", folder);
		(void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	*ret_lock = take_fd(&fd);
	return 0;
}

static int sweep(const char *folder, bool lazy, struct caisson_error *err)
{
	static const char *const sockets[] = {ATTACH_NBD_SOCKET, ATTACH_CONTROL_SOCKET,
		HIDDEN(ATTACH_NBD_SOCKET), HIDDEN(ATTACH_CONTROL_SOCKET)};
	_cleanup_free_ char *mount_point = path_join(folder, ATTACH_FILE_FOLDER);
	int r;

	if (mount_point == NULL)
		return caisson_fail(err, ENOMEM, "clean %s", folder);
	r = attach_file_unmount(mount_point, lazy, err);
	if (r == 0 && rmdir(mount_point) < 0 && errno != ENOENT)
		r = caisson_fail(err, errno, "remove %s", mount_point);
	for (size_t i = 0; i < ARRAY_SIZE(sockets); i++) {
		_cleanup_free_ char *path = path_join(folder, sockets[i]);

		if (path != NULL && unlink(path) < 0 && errno != ENOENT && r == 0)
			r = caisson_fail(err, errno, "remove %s", path);
	}
	return r;
}

int attach_start(const struct attach_options *options, struct attach_started *ret_started,
	struct caisson_error *err)
{
	_cleanup_start_ struct start start = START_INIT(options);
	_cleanup_close_ int lock = -1;
	int r = lock_folder(options->folder, true, &lock, err);

	if (r < 0)
		return r;
	/* Of one that was killed: whoever holds the container's lock is alone here. */
	r = sweep(options->folder, true, err);

	if (r == 0)
		r = make_descriptors(&start, err);
	if (r == 0)
		r = start_program(&start, err);
	if (r == 0)
		r = wait_ready(&start, err);
	if (r < 0) {
		end_process(&start);
		(void)sweep(options->folder, true, NULL);
		return r;
	}
	*ret_started = start.started;
	return 0;
}

int attach_sweep(const char *folder, bool lazy, struct caisson_error *err)
{
	_cleanup_close_ int lock = -1;
	/* What is being started was swept by whoever does, and is not to be swept now. */
	int r = lock_folder(folder, false, &lock, err);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : sweep(folder, lazy, err);
}
