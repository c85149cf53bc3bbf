/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/utf8.h"

size_t utf8_length(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t length = p[0] < 0x80                    ? 1
			: p[0] >= 0xc2 && p[0] <= 0xdf ? 2
			: (p[0] & 0xf0) == 0xe0        ? 3
			: p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
						       : 0;

	for (size_t i = 1; i < length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	/* Too long forms, surrogates, and what is above U+10FFFF. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
		(p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return length;
}

bool utf8_valid(const char *text)
{
	while (*text != '\0') {
		size_t length = utf8_length(text);

		if (length == 0)
			return false;
		text += length;
	}
	return true;
}

void utf8_force(char *text)
{
	while (*text != '\0') {
		size_t length = utf8_length(text);

		if (length == 0)
			*text = '?';
		text += length > 0 ? length : 1;
	}
}
