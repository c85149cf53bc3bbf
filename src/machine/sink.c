/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/sink.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"

#define FILE_CHUNK 32768
/* Only this much is written to a pipe that polls as writable without waiting (pipe(7)). */
#define PIPE_CHUNK   4096
#define PENDING_MOST (512u << 10)

void sink_init(struct sink *sink, int fd)
{
	struct stat st;

	*sink = (struct sink){.fd = fd, .pending = STRBUF_INIT};
	sink->chunk = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? FILE_CHUNK : PIPE_CHUNK;
}

void sink_add(struct sink *sink, const void *data, size_t size)
{
	if (!sink->closed)
		strbuf_add(&sink->pending, data, size);
}

bool sink_has_room(const struct sink *sink)
{
	return sink->pending.size < PENDING_MOST;
}

void sink_drop(struct sink *sink)
{
	sink->closed = true;
	strbuf_clear(&sink->pending);
}

bool sink_write(struct sink *sink)
{
	/* Asked once more: both outputs may be one pipe, and the other one has just filled it. */
	struct pollfd polled = {.fd = sink->fd, .events = POLLOUT};
	ssize_t n;

	if (poll(&polled, 1, 0) <= 0)
		return true;
	n = write(sink->fd, sink->pending.data, MIN(sink->pending.size, sink->chunk));
	if (n >= 0) {
		strbuf_consume(&sink->pending, (size_t)n);
		return true;
	}
	if (errno == EAGAIN || errno == EINTR)
		return true;
	sink->code = errno;
	sink_drop(sink);
	return false;
}

void sink_done(struct sink *sink)
{
	strbuf_done(&sink->pending);
}
