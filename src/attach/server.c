/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "attach/restrict.h"
#include "base/io.h"
#include "luks/payload.h"

#define KEY_MOST     512
#define READY_MSEC   30000
#define LEAVING_MSEC 500 /* a client that has just closed its end is not seen to have at once */

/* Blocks that count failures of those behind them. */

static int watch(struct blocks *blocks, int r)
{
	struct server *server =
		(struct server *)((char *)blocks - offsetof(struct server, watched));

	if (r < 0)
		__atomic_add_fetch(&server->errors, 1, __ATOMIC_RELAXED);
	return r;
}

static struct blocks *behind(struct blocks *blocks)
{
	return ((struct server *)((char *)blocks - offsetof(struct server, watched)))->payload;
}

static int watched_read(
	struct blocks *blocks, uint64_t offset, void *data, size_t size, struct caisson_error *err)
{
	return watch(blocks, behind(blocks)->ops->read(behind(blocks), offset, data, size, err));
}

static int watched_write(struct blocks *blocks, uint64_t offset, const void *data, size_t size,
	struct caisson_error *err)
{
	return watch(blocks, behind(blocks)->ops->write(behind(blocks), offset, data, size, err));
}

static int watched_flush(struct blocks *blocks, struct caisson_error *err)
{
	return watch(blocks, behind(blocks)->ops->flush(behind(blocks), err));
}

static int watched_discard(
	struct blocks *blocks, uint64_t offset, uint64_t length, struct caisson_error *err)
{
	return watch(blocks, behind(blocks)->ops->discard(behind(blocks), offset, length, err));
}

static void watched_free(struct blocks *blocks _unused_)
{
}

static int open_payload(struct server *server, struct caisson_error *err)
{
	static const struct blocks_ops ops = {
		.read = watched_read,
		.write = watched_write,
		.flush = watched_flush,
		.discard = watched_discard,
		.free = watched_free,
	};
	const struct server_options *options = server->options;
	_cleanup_secret_ struct secret key = SECRET_NONE;
	off_t size = lseek(options->container, 0, SEEK_END);
	int r = secret_read_fd(&key, options->key, KEY_MOST, err);

	if (r < 0)
		return r;
	if (size < 0)
		return caisson_fail(err, errno, "look at the container");
	if (!luks_cipher_known(options->cipher, key.size))
		return caisson_refuse(err, EOPNOTSUPP,
			"the cipher %s with a key of %zu bytes is not known in user space",
			options->cipher, key.size);
	r = luks_cipher_new(options->cipher, options->sector_size, &key, &server->cipher, err);
	if (r == 0)
		r = blocks_of_file(options->container, (uint64_t)size, options->read_only,
			"the container", &server->container, err);
	if (r == 0)
		r = luks_payload_new(server->container, options->data_offset, options->size,
			server->cipher, &server->payload, err);
	if (r < 0)
		return r;
	server->watched = *server->payload;
	server->watched.ops = &ops;
	return 0;
}

static int take_signals(struct server *server, struct caisson_error *err)
{
	sigset_t all, end;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGQUIT, SIG_IGN);
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	/* In all threads, but for what a bug raises. */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGABRT);
	sigprocmask(SIG_SETMASK, &all, NULL);
	server->signals = signalfd(-1, &end, SFD_CLOEXEC | SFD_NONBLOCK);
	if (server->signals < 0)
		return caisson_fail(err, errno, "take signals");
	return 0;
}

static int prepare(struct server *server, struct caisson_error *err)
{
	const struct server_options *options = server->options;
	int keep[] = {options->container, options->key, options->ready, options->nbd,
		options->control, options->fuse};
	int r;

	server->owner = geteuid();
	server->group = getegid();
	r = restrict_files(keep, ARRAY_SIZE(keep), err);
	if (r == 0)
		r = take_signals(server, err);
	if (r == 0)
		r = restrict_process(options->uid, options->gid, err);
	/* Only now is there a key in this process. */
	if (r == 0)
		r = open_payload(server, err);
	if (r < 0)
		return r;
	close(options->key);
	/* Of the kinds that are enough for it: nothing was heard of any client yet. */
	return restrict_calls(err);
}

static int start_serving(struct server *server, struct caisson_error *err)
{
	const struct server_options *options = server->options;
	struct nbd_options nbd = {.name = options->name, .discard = options->discard};
	int r;

	if (options->fuse >= 0) {
		r = fuse_file_start(options->fuse, &server->watched, server->owner, server->group,
			&server->file, err);
		if (r < 0)
			return r;
	}
	r = nbd_server_start(&server->watched, &nbd, options->nbd, &server->nbd, err);
	if (r < 0)
		return r;
	/* Also to be the peer that clients are told of. */
	if (listen(options->control, 8) < 0)
		return caisson_fail(err, errno, "listen on the control socket");
	return 0;
}

/* Whoever started us must still be there to take the answer; else nobody would know of us. */
static int say_ready(const struct server *server, struct caisson_error *err)
{
	struct pollfd polled = {.fd = server->options->ready, .events = POLLIN};
	char line[32], taken;
	int size = snprintf(line, sizeof(line), "ready %d\n", (int)getpid());

	if (send(server->options->ready, line, (size_t)size, MSG_NOSIGNAL) != size ||
		poll(&polled, 1, READY_MSEC) <= 0 ||
		recv(server->options->ready, &taken, 1, 0) != 1)
		return caisson_refuse(err, EPIPE, "nobody took the answer");
	close(server->options->ready);
	return 0;
}

unsigned int server_users(struct server *server)
{
	unsigned int users = nbd_server_connections(server->nbd);

	return users + (server->file != NULL ? fuse_file_users(server->file) : 0);
}

/* Also those that are about to be gone. */
static unsigned int wait_for_leavers(struct server *server)
{
	unsigned int users = server_users(server);

	for (int i = 0; i < LEAVING_MSEC / 10 && users > 0; i++) {
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		users = server_users(server);
	}
	return users;
}

unsigned int server_end(
	struct server *server, bool force, int *ret_result, struct caisson_error *err)
{
	unsigned int users = force ? 0 : wait_for_leavers(server);

	if (users > 0)
		return users;
	/* As long as they are served, clients can do something about it. */
	*ret_result = blocks_flush(&server->watched, err);
	if (*ret_result < 0 && !force)
		return 0;
	users = nbd_server_stop(server->nbd, force);
	if (users > 0)
		return users;
	if (server->file != NULL)
		fuse_file_stop(server->file);
	if (*ret_result == 0)
		*ret_result = blocks_flush(&server->watched, err);
	server->ending = true;
	return 0;
}

/* SIGTERM comes from who shuts the system down, and from anybody who has the same user. Neither
   knows what is mounted on top: nobody who uses the volume loses it by that. */
static void hear_signal(struct server *server)
{
	struct signalfd_siginfo info;

	if (read(server->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		server->ending_later = true;
}

static void serve(struct server *server)
{
	struct pollfd polled[2] = {{.fd = server->signals, .events = POLLIN},
		{.fd = server->options->control, .events = POLLIN}};
	int result;

	while (!server->ending) {
		if (poll(polled, 2, server->ending_later ? 200 : -1) < 0 && errno != EINTR)
			break;
		if (polled[0].revents != 0)
			hear_signal(server);
		if (polled[1].revents != 0)
			server_control(server);
		if (!server->ending && server->ending_later && server_users(server) == 0)
			(void)server_end(server, false, &result, NULL);
	}
}

int server_run(const struct server_options *options, struct caisson_error *err)
{
	/* FUSE's threads may look at it until the process ends, which is when this function does.
	 */
	static struct server server;
	int r;

	server = (struct server){.options = options, .signals = -1};
	r = prepare(&server, err);
	if (r == 0)
		r = start_serving(&server, err);
	if (r == 0)
		r = say_ready(&server, err);
	if (r < 0)
		return r;
	serve(&server);
	return 0;
}
