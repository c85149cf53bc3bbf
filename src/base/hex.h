/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hexadecimal text, in time that depends on the length alone: secrets pass through it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Writes 2 * @size digits and a NUL. */
void hex_encode(const uint8_t *data, size_t size, char *ret_text);
/* Reads exactly 2 * @size digits of either case from @text; -EINVAL for anything else. */
int hex_decode(const char *text, size_t length, uint8_t *ret_data, size_t size);
