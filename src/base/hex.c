/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/hex.h"

#include <errno.h>

/* No table and no branch on the value: the cache and the branch predictor learn nothing. */
static char encode_digit(unsigned int nibble)
{
	return (char)('0' + nibble + ((9 - nibble) >> 8 & ('a' - '0' - 10)));
}

/* 0 to 15, or -1. */
static int decode_digit(int c)
{
	int value = -1;

	value += ((('0' - 1 - c) & (c - ('9' + 1))) >> 8) & (c - '0' + 1);
	value += ((('A' - 1 - c) & (c - ('F' + 1))) >> 8) & (c - 'A' + 11);
	value += ((('a' - 1 - c) & (c - ('f' + 1))) >> 8) & (c - 'a' + 11);
	return value;
}

void hex_encode(const uint8_t *data, size_t size, char *ret_text)
{
	for (size_t i = 0; i < size; i++) {
		ret_text[2 * i] = encode_digit(data[i] >> 4);
		ret_text[2 * i + 1] = encode_digit(data[i] & 15);
	}
	ret_text[2 * size] = '\0';
}

int hex_decode(const char *text, size_t length, uint8_t *ret_data, size_t size)
{
	int wrong = 0;

	if (length != 2 * size)
		return -EINVAL;
	for (size_t i = 0; i < size; i++) {
		int high = decode_digit((unsigned char)text[2 * i]);
		int low = decode_digit((unsigned char)text[2 * i + 1]);

		wrong |= high | low;
		ret_data[i] = (uint8_t)((unsigned int)high << 4 | ((unsigned int)low & 15));
	}
	return wrong < 0 ? -EINVAL : 0;
}
