/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text of a .config, or of a fragment of one: line by line, or one option of it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct config_line {
	const char *option; /* "CONFIG_EXT4_FS"; NULL: the line is empty or a comment */
	size_t option_size;
	const char *value; /* as it is written, with its quotes; "n" of one that is not set */
	size_t value_size;
	const char *whole;
	size_t whole_size;
	unsigned int number;
};

struct config_reader {
	const char *at, *end;
	unsigned int number;
};

/* @text may be NULL when @size is 0. */
struct config_reader config_reader(const char *text, size_t size);
/* The next line: 1, 0 at the end, -EINVAL when it is neither an option's, a comment nor empty;
   @line has its number then, too. */
int config_line_next(struct config_reader *reader, struct config_line *line);

/* The value of @option ("CONFIG_EXT4_FS") in the text of a .config: 'y', 'm', 'n' for one that is
   not set or not mentioned, or 's' for any other value. Of several lines the last counts. */
char kernel_config_value(const char *text, size_t size, const char *option);
/* The same as it stands there: "y", "64", "\"text\""; NULL for one that is not set. *ret_length is
   its length: no NUL follows. */
const char *kernel_config_text(
	const char *text, size_t size, const char *option, size_t *ret_length);
