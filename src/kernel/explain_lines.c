/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines of a console's log, as a terminal would show them, and the patterns that they match. */
#include <string.h>

#include "base/macros.h"
#include "kernel/explain_rules.h"

enum { ESCAPE = 0x1b, BELL = 0x07 };

struct explain_lines explain_lines(const char *text, size_t size)
{
	return (struct explain_lines){text, size > 0 ? text + size : text, 0, true};
}

/* Steps over a control sequence (ECMA-48): CSI up to its final byte, OSC and its like up to BEL or
   ST, anything else two bytes. */
static const char *skip_escape(const char *at, const char *end)
{
	at++;
	if (at == end)
		return at;
	if (*at == '[') {
		at++;
		while (at < end && *at >= 0x20 && *at <= 0x3f)
			at++;
		return at < end && *at >= 0x40 && *at <= 0x7e ? at + 1 : at;
	}
	if (*at == ']' || *at == 'P' || *at == '^' || *at == '_') {
		while (at < end && *at != BELL && *at != ESCAPE && *at != '\n')
			at++;
		if (at < end && *at == BELL)
			return at + 1;
		return end - at >= 2 && at[0] == ESCAPE && at[1] == '\\' ? at + 2 : at;
	}
	return *at >= 0x20 && *at <= 0x7e ? at + 1 : at;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "<6>", "[    1.234567] ", "[    T1] ": what printk() puts in front. */
static void find_body(struct explain_line *line)
{
	const char *text = line->text;
	size_t at = 0, digits;
	bool zero = true;

	if (text[0] == '<' && is_digit(text[1]))
		at = strcspn(text, ">") + (strchr(text, '>') != NULL);
	if (text[at] != '[')
		return;
	at++;
	at += strspn(text + at, " ");
	digits = at;
	while (is_digit(text[at]) || text[at] == '.') {
		zero = zero && (text[at] == '0' || text[at] == '.');
		at++;
	}
	if (at == digits || text[at] != ']' || memchr(text + digits, '.', at - digits) == NULL)
		return;
	at++;
	line->stamped = true;
	line->at_zero = zero;
	at += strspn(text + at, " ");
	/* CONFIG_PRINTK_CALLER: a task or a processor. */
	if (text[at] == '[') {
		size_t caller = at + 1 + strspn(text + at + 1, " ");

		if ((text[caller] == 'T' || text[caller] == 'C') && is_digit(text[caller + 1])) {
			caller += 1 + strspn(text + caller + 1, "0123456789");
			if (text[caller] == ']') {
				at = caller + 1;
				at += strspn(text + at, " ");
			}
		}
	}
	line->body = at;
}

static void add(struct explain_line *line, char c)
{
	if (line->size < EXPLAIN_LINE_MOST)
		line->text[line->size++] = c;
}

bool explain_next(struct explain_lines *lines, struct explain_line *ret_line)
{
	const char *at = lines->at;

	if (at == lines->end)
		return false;
	lines->line += lines->fed;
	lines->fed = false;
	*ret_line = (struct explain_line){.line = lines->line};
	while (at < lines->end && *at != '\n' && *at != '\r') {
		unsigned char c = (unsigned char)*at;

		if (c == ESCAPE) {
			at = skip_escape(at, lines->end);
			continue;
		}
		at++;
		if (c == '\t')
			add(ret_line, ' ');
		else if (c >= 0x20 && c != 0x7f)
			add(ret_line, (char)c);
	}
	if (at < lines->end)
		lines->fed = *at++ == '\n';
	lines->at = at;
	while (ret_line->size > 0 && ret_line->text[ret_line->size - 1] == ' ')
		ret_line->size--;
	ret_line->text[ret_line->size] = '\0';
	find_body(ret_line);
	return true;
}

/* Whether what stands between @from and @to can be what an asterisk stands for. */
static bool take_capture(struct explain_capture *capture, const char *to)
{
	static const char null[] = "(null)";

	capture->size = (size_t)(to - capture->at);
	return capture->size > 0 &&
	       (capture->size != strlen(null) || memcmp(capture->at, null, strlen(null)) != 0);
}

bool explain_match(const char *pattern, const struct explain_line *line,
	struct explain_capture captures[static EXPLAIN_CAPTURES])
{
	const char *at = line->text + line->body, *end = line->text + line->size;
	bool anchored = *pattern == '^';
	size_t stars = 0;

	for (pattern += anchored; *pattern != '\0';) {
		size_t length = strcspn(pattern, "*");
		const char *from = MIN(at + (stars > 0), end);
		const char *found =
			anchored ? at : memmem(from, (size_t)(end - from), pattern, length);

		if (found == NULL || length > (size_t)(end - found) ||
			memcmp(found, pattern, length) != 0)
			return false;
		if (stars > 0 && length > 0 && !take_capture(&captures[stars - 1], found))
			return false;
		at = found + length;
		pattern += length;
		anchored = false;
		if (*pattern != '*')
			continue;
		pattern++;
		if (stars == EXPLAIN_CAPTURES)
			return false;
		captures[stars++] = (struct explain_capture){at, (size_t)(end - at)};
	}
	return true;
}
