/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lines of a .config, or of a fragment of one. */
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

/* The next line: 1, 0 at the end, -EINVAL when it is neither an option's, a comment nor empty;
   @line has its number then, too. */
int config_line_next(struct config_reader *reader, struct config_line *line);
