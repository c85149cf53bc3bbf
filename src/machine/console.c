/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/console.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

/* A guest that talks without end must not fill the host's disk. */
#define LOG_MOST  (16u << 20)
#define TAIL_MOST 32768

void console_init(struct console *console, int log)
{
	*console = (struct console){.log = log, .tail = STRBUF_INIT};
}

bool console_read(struct console *console, int fd, struct sink *show)
{
	char chunk[8192];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	/* A log that cannot be written must not end the machine. */
	if (console->log >= 0 && console->logged < LOG_MOST) {
		(void)write_all(console->log, chunk, (size_t)n, "the console's log", NULL);
		console->logged += (size_t)n;
	}
	if (show != NULL)
		sink_add(show, chunk, (size_t)n);
	strbuf_add(&console->tail, chunk, (size_t)n);
	if (console->tail.size > 2 * TAIL_MOST)
		strbuf_consume(&console->tail, console->tail.size - TAIL_MOST);
	return true;
}

/* The rest of the line behind the last @marker, or NULL; cuts the text there. */
static const char *line_behind(struct strbuf *text, const char *marker)
{
	char *found = NULL, *next = text->data;

	while (next != NULL && (next = strstr(next, marker)) != NULL) {
		next += strlen(marker);
		found = next;
	}
	if (found != NULL)
		found[strcspn(found, "\r\n")] = '\0';
	return found;
}

int console_explain(struct console *console, bool ready, struct caisson_error *err)
{
	static const char *const markers[] = {
		"caisson-init: fatal: ", "Kernel panic - not syncing: ", "Out of memory: "};
	struct strbuf *tail = &console->tail;

	/* NULs of a hostile guest would hide what is behind them. */
	for (size_t i = 0; i < tail->size; i++) {
		if (tail->data[i] == '\0')
			tail->data[i] = '?';
	}
	for (size_t i = 0; i < ARRAY_SIZE(markers) && tail->size > 0; i++) {
		const char *line = line_behind(tail, markers[i]);

		if (line == NULL)
			continue;
		return i == 0 ? caisson_refuse(err, EIO, "%s", line)
			      : caisson_refuse(err, EIO, "the guest's kernel gave up: %s%s",
					markers[i], line);
	}
	if (ready)
		return caisson_refuse(err, EIO, "the guest ended without reporting a status");
	return caisson_refuse(err, EIO, "the guest ended before it said its first word");
}

void console_done(struct console *console)
{
	strbuf_done(&console->tail);
}
