/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules that explain.c goes by, as data; and the lines of a log, made ready for them. */
#pragma once

#include <stdbool.h>

#include "kernel/explain.h"

enum explain_kind {
	RULE_CAUSE,  /* says by itself that the boot went wrong */
	RULE_HINT,   /* why, when it did go wrong; else worth knowing at most */
	RULE_END,    /* how it ended: told when no cause of the same group is known */
	RULE_SILENT, /* of a log in which the kernel says nothing */
	RULE_HANG,   /* of a log that ends before the first program: by its last line */
	RULE_AFTER,  /* of a log that ends behind it, by its last line */
};

/*
 * Patterns: words that stand in a line in this order, '*' for anything between them; '^' in front:
 * where the message begins, behind the kernel's time stamp. An asterisk stands for one character at
 * least, and not for "(null)"; at the end of a pattern for any number. %1 to %3 in @means is what
 * the asterisks of @match stood for; %x1 the same, hexadecimal there and decimal here.
 */
struct explain_rule {
	const char *id;
	enum explain_kind kind;
	enum explain_sure sure;
	const char *group; /* of causes and ends that belong together; NULL: none */
	const char *match;
	const char *with;    /* in another line; NULL: not asked for */
	const char *without; /* in no line */
	const char *means;
	struct explain_mend mends[EXPLAIN_MENDS_MOST];
};

/* The order is that of confidence, among rules of one kind and as sure. */
const struct explain_rule *explain_rules(size_t *ret_count);

enum {
	EXPLAIN_LINE_MOST = 1024, /* the kernel's own lines are not longer; the rest is dropped */
	EXPLAIN_CAPTURES = 3,
};

/* One line, without escape sequences and control characters. */
struct explain_line {
	char text[EXPLAIN_LINE_MOST + 1];
	size_t size;
	size_t body;        /* where the message begins, behind "[    1.234567] " */
	bool stamped;       /* there was such a stamp */
	bool at_zero;       /* and it says 0 */
	unsigned long line; /* from 1 */
};

/* The next line of a log; false at its end. A carriage return ends one as well, and counts none. */
struct explain_lines {
	const char *at, *end;
	unsigned long line;
	bool fed; /* the last one ended with a line feed */
};

struct explain_lines explain_lines(const char *text, size_t size);
bool explain_next(struct explain_lines *lines, struct explain_line *ret_line);

/* What an asterisk stood for. */
struct explain_capture {
	const char *at;
	size_t size;
};

bool explain_match(const char *pattern, const struct explain_line *line,
	struct explain_capture captures[static EXPLAIN_CAPTURES]);
