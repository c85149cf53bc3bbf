/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kconfig/config_text.h"

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
