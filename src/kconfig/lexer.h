/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kconfig's words, a statement at a time. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>

#include "kconfig/pool.h"

enum kconfig_token_kind {
	KCONFIG_END, /* behind the last one of a statement */
	KCONFIG_WORD,
	KCONFIG_QUOTED,
	KCONFIG_OPAQUE,   /* a word or a text with a macro in it that is not known */
	KCONFIG_OPERATOR, /* its characters are the text */
};

struct kconfig_token {
	enum kconfig_token_kind kind;
	const char *text; /* not NUL-terminated */
	size_t size;
};

enum { KCONFIG_TOKENS_MOST = 1024 };

struct kconfig_lexer {
	const char *at, *end;
	const char *file;
	unsigned int line; /* of @at */
	struct pool *pool; /* of texts that are not as they stand in the file */
	const char *version;
	struct kconfig_token tokens[KCONFIG_TOKENS_MOST + 1];
	size_t count;
	unsigned int statement_line;
};

/* The next statement's words: 1, 0 at the end, or a negative errno. Assignments, and macros that
   are statements, are left out. */
int kconfig_lexer_next(struct kconfig_lexer *lexer, struct caisson_error *err);
/* Behind the statement "help": passes over the text. */
void kconfig_lexer_skip_help(struct kconfig_lexer *lexer);
bool kconfig_token_is(const struct kconfig_token *token, const char *text);
