/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CAISSON_BASE_UTF8_H
#define CAISSON_BASE_UTF8_H

/*
 * UTF-8 (RFC 3629). Names of files are bytes, and JSON is UTF-8.
 */

#include <stdbool.h>
#include <stddef.h>

/* How many bytes the character at @text has; 0: none is there. */
size_t utf8_length(const char *text);

bool utf8_valid(const char *text);

/* Bytes of @text that are no part of a character become '?'. */
void utf8_force(char *text);

#endif
