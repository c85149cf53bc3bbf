/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* As scripts/kconfig/lexer.l and preprocess.c of the kernel read them. */
#include "kconfig/lexer.h"

#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "base/strbuf.h"

bool kconfig_token_is(const struct kconfig_token *token, const char *text)
{
	return token->size == strlen(text) && memcmp(token->text, text, token->size) == 0;
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

static void skip_line(struct kconfig_lexer *lexer)
{
	const char *stop = memchr(lexer->at, '\n', (size_t)(lexer->end - lexer->at));

	lexer->at = stop != NULL ? stop : lexer->end;
}

/* Spaces, comments and ends of lines that count for nothing. */
static void skip_blank(struct kconfig_lexer *lexer)
{
	while (lexer->at < lexer->end) {
		char c = *lexer->at;

		if (c == '\\' && lexer->at + 1 < lexer->end && lexer->at[1] == '\n') {
			lexer->at += 2;
			lexer->line++;
		} else if (c == '#') {
			skip_line(lexer);
		} else if (c == ' ' || c == '\t' || c == '\r') {
			lexer->at++;
		} else {
			return;
		}
	}
}

static int refuse(const struct kconfig_lexer *lexer, const char *what, struct caisson_error *err)
{
	return caisson_refuse(err, EINVAL, "%s:%u: %s", lexer->file, lexer->line, what);
}

/* Behind the ')' that closes the '(' at @at; NULL when there is none on this line. */
static const char *macro_end(const char *at, const char *end)
{
	unsigned int depth = 0;

	for (; at < end && *at != '\n'; at++) {
		if (*at == '(')
			depth++;
		else if (*at == ')' && --depth == 0)
			return at + 1;
	}
	return NULL;
}

/* What a macro stands for; NULL: nobody here knows. */
static const char *macro_value(const struct kconfig_lexer *lexer, const char *name, size_t size)
{
	const struct {
		const char *name, *value;
	} known[] = {{"SRCARCH", "x86"}, {"ARCH", "x86_64"}, {"KERNELVERSION", lexer->version},
		{"srctree", "."}};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strlen(known[i].name) == size && memcmp(known[i].name, name, size) == 0)
			return known[i].value;
	}
	return NULL;
}

/* At a '$': adds what the macro stands for, or its own text, and goes behind it. */
static int expand(
	struct kconfig_lexer *lexer, struct strbuf *text, bool *opaque, struct caisson_error *err)
{
	const char *at = lexer->at, *stop, *value;

	if (at + 1 == lexer->end || at[1] != '(') {
		*opaque = true;
		strbuf_add_char(text, '$');
		lexer->at++;
		return 0;
	}
	stop = macro_end(at + 1, lexer->end);
	if (stop == NULL)
		return refuse(lexer, "a macro without its ')'", err);
	value = macro_value(lexer, at + 2, (size_t)(stop - at) - 3);
	if (value != NULL) {
		strbuf_add_string(text, value);
	} else {
		strbuf_add(text, at, (size_t)(stop - at));
		*opaque = true;
	}
	lexer->at = stop;
	return 0;
}

static int add_token(struct kconfig_lexer *lexer, enum kconfig_token_kind kind, const char *text,
	size_t size, struct caisson_error *err)
{
	if (lexer->count == KCONFIG_TOKENS_MOST)
		return refuse(lexer, "a statement with too many words", err);
	lexer->tokens[lexer->count++] = (struct kconfig_token){kind, text, size};
	return 0;
}

/* The text lives in the pool from here on. */
static int add_built(struct kconfig_lexer *lexer, enum kconfig_token_kind kind,
	const struct strbuf *text, struct caisson_error *err)
{
	const char *copy = strbuf_ok(text) ? pool_copy(lexer->pool, text->data, text->size) : NULL;

	if (copy == NULL)
		return caisson_fail(err, ENOMEM, "read %s", lexer->file);
	return add_token(lexer, kind, copy, text->size, err);
}

static int lex_word(struct kconfig_lexer *lexer, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	const char *start = lexer->at;
	bool opaque = false;
	int r = 0;

	while (lexer->at < lexer->end && is_word(*lexer->at))
		lexer->at++;
	if (lexer->at == lexer->end || *lexer->at != '$')
		return add_token(lexer, KCONFIG_WORD, start, (size_t)(lexer->at - start), err);
	strbuf_add(&text, start, (size_t)(lexer->at - start));
	while (r == 0 && lexer->at < lexer->end && (is_word(*lexer->at) || *lexer->at == '$')) {
		if (*lexer->at == '$')
			r = expand(lexer, &text, &opaque, err);
		else
			strbuf_add_char(&text, *lexer->at++);
	}
	if (r < 0 || text.size == 0)
		return r;
	return add_built(lexer, opaque ? KCONFIG_OPAQUE : KCONFIG_WORD, &text, err);
}

static int lex_quoted(struct kconfig_lexer *lexer, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	char quote = *lexer->at++;
	const char *start = lexer->at;
	bool opaque = false;
	int r = 0;

	while (lexer->at < lexer->end && strchr("\"'\\$\n", *lexer->at) == NULL)
		lexer->at++;
	if (lexer->at < lexer->end && *lexer->at == quote) {
		lexer->at++;
		return add_token(
			lexer, KCONFIG_QUOTED, start, (size_t)(lexer->at - start) - 1, err);
	}
	strbuf_add(&text, start, (size_t)(lexer->at - start));
	/* A text ends with its line, at the latest. */
	while (r == 0 && lexer->at < lexer->end && *lexer->at != '\n') {
		if (*lexer->at == quote) {
			lexer->at++;
			break;
		}
		if (*lexer->at == '$') {
			r = expand(lexer, &text, &opaque, err);
			continue;
		}
		if (*lexer->at == '\\') {
			lexer->at++;
			if (lexer->at == lexer->end || *lexer->at == '\n')
				continue;
		}
		strbuf_add_char(&text, *lexer->at++);
	}
	if (r < 0)
		return r;
	return add_built(lexer, opaque ? KCONFIG_OPAQUE : KCONFIG_QUOTED, &text, err);
}

static int lex_operator(struct kconfig_lexer *lexer, struct caisson_error *err)
{
	static const char *const operators[] = {
		"&&", "||", "!=", "<=", ">=", ":=", "+=", "=", "<", ">", "!", "(", ")"};
	size_t left = (size_t)(lexer->end - lexer->at);

	for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
		size_t size = strlen(operators[i]);

		if (size <= left && memcmp(lexer->at, operators[i], size) == 0) {
			lexer->at += size;
			return add_token(lexer, KCONFIG_OPERATOR, operators[i], size, err);
		}
	}
	lexer->at++; /* Kconfig warns, and leaves the character out. */
	return 0;
}

static int lex_token(struct kconfig_lexer *lexer, struct caisson_error *err)
{
	char c = *lexer->at;

	if (is_word(c) || c == '$')
		return lex_word(lexer, err);
	if (c == '"' || c == '\'')
		return lex_quoted(lexer, err);
	return lex_operator(lexer, err);
}

/* "name = value": what is behind the sign is make's kind of text, and no words. */
static bool is_assignment(const struct kconfig_lexer *lexer)
{
	const struct kconfig_token *sign = &lexer->tokens[1];

	return lexer->count == 2 && sign->kind == KCONFIG_OPERATOR &&
	       (kconfig_token_is(sign, "=") || kconfig_token_is(sign, ":=") ||
		       kconfig_token_is(sign, "+="));
}

int kconfig_lexer_next(struct kconfig_lexer *lexer, struct caisson_error *err)
{
	int r;

	lexer->count = 0;
	for (;;) {
		skip_blank(lexer);
		if (lexer->at == lexer->end || *lexer->at == '\n') {
			bool last = lexer->at == lexer->end;

			if (!last) {
				lexer->at++;
				lexer->line++;
			}
			if (lexer->count > 0) {
				lexer->tokens[lexer->count] =
					(struct kconfig_token){KCONFIG_END, "", 0};
				return 1;
			}
			if (last)
				return 0;
			continue;
		}
		if (lexer->count == 0)
			lexer->statement_line = lexer->line;
		r = lex_token(lexer, err);
		if (r < 0)
			return r;
		if (is_assignment(lexer) ||
			(lexer->count == 1 && lexer->tokens[0].kind == KCONFIG_OPAQUE)) {
			skip_line(lexer);
			lexer->count = 0;
		}
	}
}

/* The text is what is indented at least as far as its first line that is not empty. */
void kconfig_lexer_skip_help(struct kconfig_lexer *lexer)
{
	size_t first = 0;

	while (lexer->at < lexer->end) {
		const char *at = lexer->at;
		size_t column = 0;

		for (; at < lexer->end && (*at == ' ' || *at == '\t'); at++)
			column = *at == '\t' ? (column & ~(size_t)7) + 8 : column + 1;
		if (at < lexer->end && *at != '\n') {
			if (column == 0 || column < first)
				return;
			if (first == 0)
				first = column;
		}
		lexer->at = at;
		skip_line(lexer);
		if (lexer->at < lexer->end) {
			lexer->at++;
			lexer->line++;
		}
	}
}
