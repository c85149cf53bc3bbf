/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What make says: kept in a file, counted, and searched for what went wrong. It comes from a
   stranger's Makefiles: no line and no log grows without a bound. */
#pragma once

#include <stddef.h>

#include "base/strbuf.h"
#include "kbuild/watch.h"

#define MAKE_LINE_SIZE  512
#define MAKE_LAST_LINES 8

struct make_log {
	int fd; /* of the file; -1: none is kept */
	uint64_t written;
	struct strbuf line; /* what has no end yet */
	char first_error[MAKE_LINE_SIZE];
	char last[MAKE_LAST_LINES][MAKE_LINE_SIZE];
	unsigned int lines, steps, steps_before;
	bool full; /* the disk was */
	const struct kbuild_watch *watch;
};

void make_log_add(struct make_log *log, const char *data, size_t size);
/* Of the last lines, the one before which @back others came; NULL when there were fewer. */
const char *make_log_last(const struct make_log *log, unsigned int back);
void make_log_done(struct make_log *log);
