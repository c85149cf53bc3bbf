/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a volume is called by engines, and here: the same, as long as it is a volume's name.
 *
 * Engines call anonymous volumes by 64 hexadecimal digits, one more than our names may have. Those
 * 32 bytes are "anon-" and 52 digits of base 32 (RFC 4648, lower case, not padded) here: each of
 * the two can be told from the other. A name of the second form that comes from outside is refused,
 * so that no volume has two names.
 */
#pragma once

#include <caisson/error.h>

#define NAME_HERE_MOST  64 /* with the NUL */
#define NAME_THERE_MOST 65

/* -EINVAL with a sentence. */
int name_from_engine(const char *there, char ret_here[NAME_HERE_MOST], struct caisson_error *err);
void name_to_engine(const char *here, char ret_there[NAME_THERE_MOST]);
