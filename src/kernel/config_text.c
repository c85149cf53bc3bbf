/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/config_text.h"

#include <errno.h>
#include <string.h>

#include "base/macros.h"

static bool is_name(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

static bool starts(const char *at, const char *end, const char *with)
{
	size_t size = strlen(with);

	return (size_t)(end - at) >= size && memcmp(at, with, size) == 0;
}

/* "CONFIG_X": behind it, or NULL. */
static const char *take_option(const char *at, const char *end, struct config_line *line)
{
	const char *start = at;

	if (!starts(at, end, "CONFIG_"))
		return NULL;
	at += strlen("CONFIG_");
	while (at < end && is_name(*at))
		at++;
	if (at == start + strlen("CONFIG_"))
		return NULL;
	line->option = start;
	line->option_size = (size_t)(at - start);
	return at;
}

static void take_comment(const char *at, const char *end, struct config_line *line)
{
	static const char not_set[] = " is not set";
	const char *behind = take_option(at, end, line);

	if (behind != NULL && (size_t)(end - behind) == sizeof(not_set) - 1 &&
		memcmp(behind, not_set, sizeof(not_set) - 1) == 0) {
		line->value = "n";
		line->value_size = 1;
	} else {
		line->option = NULL;
	}
}

struct config_reader config_reader(const char *text, size_t size)
{
	return (struct config_reader){text, size > 0 ? text + size : text, 0};
}

int config_line_next(struct config_reader *reader, struct config_line *line)
{
	const char *at = reader->at, *end, *stop;

	if (at == reader->end)
		return 0;
	stop = memchr(at, '\n', (size_t)(reader->end - at));
	end = stop != NULL ? stop : reader->end;
	reader->at = stop != NULL ? stop + 1 : reader->end;
	while (end > at && (end[-1] == '\r' || end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*line = (struct config_line){
		.whole = at, .whole_size = (size_t)(end - at), .number = ++reader->number};
	if (at == end)
		return 1;
	if (*at == '#') {
		if (starts(at, end, "# "))
			take_comment(at + 2, end, line);
		return 1;
	}
	at = take_option(at, end, line);
	if (at == NULL || at == end || *at != '=')
		return -EINVAL;
	line->value = at + 1;
	line->value_size = (size_t)(end - at) - 1;
	return 1;
}

/* Whether @at is where a line begins, or behind the "# " of one that is not set: its start. */
static const char *line_start(const char *text, const char *at)
{
	if (at - text >= 2 && at[-1] == ' ' && at[-2] == '#')
		at -= 2;
	return at == text || at[-1] == '\n' ? at : NULL;
}

const char *kernel_config_text(
	const char *text, size_t size, const char *option, size_t *ret_length)
{
	size_t length = strlen(option);
	struct config_reader reader = config_reader(text, size);
	const char *value = NULL, *found;

	/* Searched for, not read line by line: a start of a machine asks for dozens of options. */
	while (reader.at < reader.end &&
		(found = memmem(reader.at, (size_t)(reader.end - reader.at), option, length)) !=
			NULL) {
		const char *start = line_start(text, found);
		struct config_line line;

		reader.at = start != NULL ? start : found + length;
		if (start == NULL || config_line_next(&reader, &line) <= 0 ||
			line.option != found || line.option_size != length)
			continue;
		value = *start != '#' ? line.value : NULL;
		*ret_length = line.value_size;
	}
	return value;
}

char kernel_config_value(const char *text, size_t size, const char *option)
{
	static const char tristate[] = {'y', 'm', 'n'};
	size_t length = 0;
	const char *value = kernel_config_text(text, size, option, &length);

	if (value == NULL)
		return 'n';
	return length == 1 && memchr(tristate, *value, sizeof(tristate)) != NULL ? *value : 's';
}
