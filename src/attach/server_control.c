/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The control socket: one request a connection, from root or whoever started the process. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "attach/server.h"
#include "base/io.h"
#include "base/strbuf.h"

#define REQUEST_MOST 128
#define REQUEST_USEC 2000000ull

static bool may_ask(const struct server *server, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (peer.uid == 0 || peer.uid == server->owner);
}

/* A line, without its end. */
static bool read_request(int fd, char *line, size_t most)
{
	uint64_t deadline = now_usec() + REQUEST_USEC;
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	size_t size = 0;

	while (size < most) {
		uint64_t now = now_usec();
		ssize_t n;
		char *end;

		if (now >= deadline || poll(&polled, 1, (int)((deadline - now) / 1000) + 1) <= 0)
			return false;
		n = recv(fd, line + size, most - size, MSG_DONTWAIT);
		if (n <= 0)
			return false;
		end = memchr(line + size, '\n', (size_t)n);
		if (end != NULL) {
			*end = '\0';
			return true;
		}
		size += (size_t)n;
	}
	return false;
}

/* Small enough for any socket's buffer: who does not read it, does not get it. */
static void reply(int fd, const char *format, ...) _printf_(2, 3);
static void reply(int fd, const char *format, ...)
{
	char text[2048];
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (size > 0)
		(void)send(
			fd, text, MIN((size_t)size, sizeof(text) - 1), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void reply_error(int fd, const struct caisson_error *err)
{
	reply(fd, "error %d %s\n", err->code, err->message);
}

static void tell_status(struct server *server, int fd)
{
	reply(fd,
		"ok\nname=%s\npid=%d\nsize=%llu\nconnections=%u\nfile=%d\nfiles=%u\nread_only=%d\n"
		"discard=%d\nerrors=%llu\n",
		server->options->name, (int)getpid(), (unsigned long long)server->payload->size,
		nbd_server_connections(server->nbd), server->file != NULL,
		server->file != NULL ? fuse_file_users(server->file) : 0,
		server->options->read_only, server->options->discard,
		(unsigned long long)__atomic_load_n(&server->errors, __ATOMIC_RELAXED));
}

/* Whoever reads to the end of the reply finds the container's lock free. */
static void end_serving(struct server *server, int fd, bool force)
{
	struct caisson_error err = {0};
	int result = 0;
	unsigned int users = server_end(server, force, &result, &err);

	if (users > 0)
		reply(fd, "busy %u\n", users);
	else if (result < 0)
		reply_error(fd, &err);
	else
		reply(fd, "ok\n");
	if (server->ending)
		close(server->options->container);
}

static int check_size(struct server *server, uint64_t size, struct caisson_error *err)
{
	off_t container = lseek(server->options->container, 0, SEEK_END);

	if (container < 0)
		return caisson_fail(err, errno, "look at the container");
	if (size < server->payload->size)
		return caisson_refuse(err, EINVAL, "an open volume only grows");
	if (size % server->options->sector_size != 0)
		return caisson_refuse(
			err, EINVAL, "%llu bytes are not whole sectors", (unsigned long long)size);
	if (size > (uint64_t)container || server->options->data_offset > (uint64_t)container - size)
		return caisson_refuse(err, EINVAL, "the container is too small for %llu bytes",
			(unsigned long long)size);
	/* From behind to the front, so that nobody is let into what is not there yet. */
	__atomic_store_n(&server->container->size, (uint64_t)container, __ATOMIC_RELAXED);
	return 0;
}

static void resize(struct server *server, int fd, const char *number)
{
	struct caisson_error err = {0};
	unsigned long long size;
	unsigned int users;
	char rest;

	if (number[strspn(number, "0123456789")] != '\0' ||
		sscanf(number, "%20llu%c", &size, &rest) != 1) {
		reply(fd, "error %d this is not a size\n", EINVAL);
		return;
	}
	if (check_size(server, size, &err) < 0) {
		reply_error(fd, &err);
		return;
	}
	users = nbd_server_resize(server->nbd, size);
	if (users > 0) {
		reply(fd, "busy %u\n", users);
		return;
	}
	__atomic_store_n(&server->payload->size, (uint64_t)size, __ATOMIC_RELAXED);
	if (server->file != NULL)
		fuse_file_resized(server->file);
	reply(fd, "ok\n");
}

static void serve_request(struct server *server, int fd, const char *request)
{
	if (strcmp(request, "status") == 0)
		tell_status(server, fd);
	else if (strcmp(request, "close") == 0)
		end_serving(server, fd, false);
	else if (strcmp(request, "close force") == 0)
		end_serving(server, fd, true);
	else if (strncmp(request, "resize ", 7) == 0)
		resize(server, fd, request + 7);
	else if (strcmp(request, "close later") == 0) {
		server->ending_later = true;
		reply(fd, "ok\n");
	} else
		reply(fd, "error %d no such request\n", EINVAL);
}

void server_control(struct server *server)
{
	int fd = accept4(server->options->control, NULL, NULL, SOCK_CLOEXEC);
	char request[REQUEST_MOST];

	if (fd < 0)
		return;
	if (!may_ask(server, fd))
		reply(fd, "error %d only root and who opened the volume may ask\n", EPERM);
	else if (read_request(fd, request, sizeof(request)))
		serve_request(server, fd, request);
	/* After the container, whose lock whoever asked may be waiting for. */
	close(fd);
}
