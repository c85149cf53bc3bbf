/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/make_log.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"

#define LOG_MOST (UINT64_C(64) << 20)

/* "  CC      fs/ext4/super.o": two blanks, a word in capitals, blanks (scripts/Kbuild.include,
   "quiet_cmd_"). */
static bool is_step(const char *line)
{
	size_t word;

	if (strncmp(line, "  ", 2) != 0)
		return false;
	word = strspn(line + 2, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+[]");
	return word >= 2 && line[2 + word] == ' ' && isupper((unsigned char)line[2]);
}

/* What compilers, linkers, Kbuild and make itself say. */
static bool is_error(const char *line)
{
	static const char *const marks[] = {"error:", "Error:", "ERROR:", "undefined reference to",
		"*** ", "No space left on device", "not found", "cannot find"};

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		if (strstr(line, marks[i]) != NULL)
			return true;
	}
	return false;
}

static void take_line(struct make_log *log, const char *line)
{
	snprintf(log->last[log->lines % MAKE_LAST_LINES], MAKE_LINE_SIZE, "%s", line);
	log->lines++;
	log->full |= strstr(line, "No space left on device") != NULL;
	if (is_step(line)) {
		log->steps++;
		if (log->watch != NULL && log->watch->step != NULL)
			log->watch->step(
				log->steps, log->steps_before, line + 2, log->watch->userdata);
	} else if (log->first_error[0] == '\0' && is_error(line)) {
		snprintf(log->first_error, sizeof(log->first_error), "%s", line);
	}
}

void make_log_add(struct make_log *log, const char *data, size_t size)
{
	if (log->fd >= 0 && log->written < LOG_MOST) {
		/* A log that cannot be written is no reason to stop. */
		(void)write_all(log->fd, data, size, "the build's log", NULL);
		log->written += size;
	}
	while (size > 0) {
		const char *feed = memchr(data, '\n', size);
		size_t part = feed != NULL ? (size_t)(feed - data) : size;

		if (log->line.size < MAKE_LINE_SIZE)
			strbuf_add(&log->line, data, MIN(part, (size_t)MAKE_LINE_SIZE));
		if (feed != NULL) {
			if (log->line.data != NULL && log->line.size > 0) {
				text_flatten(log->line.data);
				take_line(log, log->line.data);
			}
			strbuf_clear(&log->line);
			part++;
		}
		data += part;
		size -= part;
	}
}

const char *make_log_last(const struct make_log *log, unsigned int back)
{
	if (back >= MAKE_LAST_LINES || back >= log->lines)
		return NULL;
	return log->last[(log->lines - 1 - back) % MAKE_LAST_LINES];
}

void make_log_done(struct make_log *log)
{
	closep(&log->fd);
	strbuf_done(&log->line);
}
