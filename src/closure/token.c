/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/token.h"

#include <string.h>

static bool is_name_character(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* How many bytes of @text are the token @name, the '$' included; 0 when it is another. */
static size_t match(const char *text, size_t length, const char *name)
{
	size_t wanted = strlen(name);
	size_t brace = length > 1 && text[1] == '{' ? 1 : 0;
	size_t end = 1 + brace + wanted;

	if (end > length || memcmp(text + 1 + brace, name, wanted) != 0)
		return 0;
	if (brace > 0)
		return end < length && text[end] == '}' ? end + 1 : 0;
	return end < length && is_name_character(text[end]) ? 0 : end;
}

bool token_expand(const char *text, size_t length, const struct tokens *tokens, struct strbuf *path)
{
	strbuf_clear(path);
	while (length > 0 && path->size < TOKEN_PATH_MOST) {
		size_t used;

		if (*text != '$') {
			const char *next = memchr(text, '$', length);

			used = next != NULL ? (size_t)(next - text) : length;
			strbuf_add(path, text, used);
		} else if ((used = match(text, length, "ORIGIN")) > 0) {
			strbuf_add(path, tokens->origin, tokens->origin_length);
		} else if ((used = match(text, length, "LIB")) > 0) {
			strbuf_add_string(path, tokens->lib);
		} else if ((used = match(text, length, "PLATFORM")) > 0) {
			strbuf_add_string(path, tokens->platform);
		} else {
			used = 1;
			strbuf_add_char(path, '$');
		}
		text += used;
		length -= used;
	}
	strbuf_add(path, "", 0);
	return path->size < TOKEN_PATH_MOST;
}
