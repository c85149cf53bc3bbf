/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* $ORIGIN, $LIB and $PLATFORM (ld.so(8), "Dynamic string tokens"), with and without braces. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/strbuf.h"

enum {
	TOKEN_PATH_MOST = 4096, /* PATH_MAX: what is longer can be no path */
};

struct tokens {
	const char *origin; /* folder of the file that the text stands in */
	size_t origin_length;
	const char *lib, *platform;
};

/* Writes the @length bytes of @text to @path (emptied first), tokens replaced; unknown ones stay as
   they are. False when the result is too long. */
bool token_expand(
	const char *text, size_t length, const struct tokens *tokens, struct strbuf *path);
