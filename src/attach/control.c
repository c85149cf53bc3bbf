/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/control.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "attach/sockets.h"
#include "base/io.h"

#define REPLY_MOST     4096
#define STATUS_SECONDS 10

static int wait_readable(int fd, uint64_t deadline, struct caisson_error *err)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};

	for (;;) {
		uint64_t now = now_usec();
		int r = now < deadline ? poll(&polled, 1, (int)((deadline - now) / 1000) + 1) : 0;

		if (r > 0)
			return 0;
		if (r == 0)
			return caisson_refuse(err, ETIMEDOUT,
				"the process that serves the volume gave no answer in time");
		if (errno != EINTR)
			return caisson_fail(err, errno, "wait for an answer");
	}
}

/* To the end of the connection. */
static int read_reply(int fd, uint64_t deadline, struct strbuf *reply, struct caisson_error *err)
{
	for (;;) {
		char chunk[512];
		ssize_t n;
		int r = wait_readable(fd, deadline, err);

		if (r < 0)
			return r;
		n = recv(fd, chunk, sizeof(chunk), 0);
		/* Reset: it closed before it had read all, which may be after an answer. */
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return 0;
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return caisson_fail(err, errno, "read an answer");
		if (reply->size + (size_t)n > REPLY_MOST)
			return caisson_refuse(err, EPROTO, "an answer is longer than it may be");
		strbuf_add(reply, chunk, (size_t)n);
	}
}

/* The first line: "ok", "busy N" or "error NUMBER SENTENCE". It is taken off. */
static int judge_reply(struct strbuf *reply, struct caisson_error *err)
{
	char *end = reply->size > 0 ? memchr(reply->data, '\n', reply->size) : NULL;
	unsigned int count;
	int code, at = 0;

	if (!strbuf_ok(reply))
		return caisson_fail(err, ENOMEM, "read an answer");
	if (end == NULL)
		return caisson_refuse(
			err, EPROTO, "the process that serves the volume ended without an answer");
	*end = '\0';
	text_flatten(reply->data);
	if (strcmp(reply->data, "ok") == 0) {
		strbuf_consume(reply, (size_t)(end - reply->data) + 1);
		return 0;
	}
	if (sscanf(reply->data, "busy %u", &count) == 1)
		return caisson_refuse(err, EBUSY, "the volume is in use by %u client%s", count,
			count == 1 ? "" : "s");
	if (sscanf(reply->data, "error %d %n", &code, &at) == 1 && at > 0 && code > 0)
		return caisson_refuse(err, code, "%s", reply->data + at);
	return caisson_refuse(err, EPROTO, "an answer makes no sense: %s", reply->data);
}

/* No answer came: is that because nobody is there any more? Also of one that was being started, and
   had to end because its starter did. */
static int look_again(const char *folder, uint64_t deadline, struct caisson_error *err)
{
	_cleanup_close_ int fd = unix_connect(folder, ATTACH_CONTROL_SOCKET, deadline, err);

	return fd < 0 ? fd : 0;
}

int attach_control(const char *folder, const char *request, unsigned int seconds,
	struct strbuf *reply, pid_t *ret_pid, struct caisson_error *err)
{
	uint64_t deadline = now_usec() + seconds * 1000000ull;
	_cleanup_strbuf_ struct strbuf answer = STRBUF_INIT;
	_cleanup_free_ char *line = format_string("%s\n", request);
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);
	_cleanup_close_ int fd = -1;
	int r;

	if (line == NULL)
		return caisson_fail(err, ENOMEM, "ask for %s", request);
	fd = unix_connect(folder, ATTACH_CONTROL_SOCKET, deadline, err);
	if (fd < 0)
		return fd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return caisson_fail(err, errno, "ask for %s", request);
	/* A process that ends meanwhile is seen by that there is no answer. */
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
		return caisson_fail(err, errno, "ask for %s", request);
	r = read_reply(fd, deadline, &answer, err);
	if (r == 0 && answer.size == 0)
		r = look_again(folder, deadline, err);
	if (r == 0)
		r = judge_reply(&answer, err);
	if (r < 0)
		return r;
	if (reply != NULL)
		strbuf_add(reply, answer.data, answer.size);
	if (ret_pid != NULL)
		*ret_pid = peer.pid;
	return 0;
}

/* The value of a line "KEY=NUMBER"; 0 when there is none. */
static uint64_t value_of(const struct strbuf *reply, const char *key)
{
	const char *line = reply->data;
	size_t length = strlen(key);

	while (line != NULL && *line != '\0') {
		if (strncmp(line, key, length) == 0 && line[length] == '=')
			return strtoull(line + length + 1, NULL, 10);
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	return 0;
}

int attach_status(const char *folder, struct attach_status *ret_status, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;
	pid_t pid = 0;
	int r = attach_control(folder, "status", STATUS_SECONDS, &reply, &pid, err);

	if (r < 0)
		return r;
	*ret_status = (struct attach_status){
		.pid = pid,
		.size = value_of(&reply, "size"),
		.connections = (unsigned int)value_of(&reply, "connections"),
		.files = (unsigned int)value_of(&reply, "files"),
		.file = value_of(&reply, "file") != 0,
		.read_only = value_of(&reply, "read_only") != 0,
		.discard = value_of(&reply, "discard") != 0,
		.errors = value_of(&reply, "errors"),
	};
	return 0;
}
