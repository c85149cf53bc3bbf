/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugin/names.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/path.h"

#define PREFIX    "anon-"
#define ID_SIZE   32
#define ID_HEX    (2 * ID_SIZE)
#define ID_BASE32 52 /* 260 bits: the last four are zero */
/* Docker's own bound. */
#define GIVEN_MOST 255

static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";
static const char hex[] = "0123456789abcdef";

static bool id_from_hex(const char *text, uint8_t id[ID_SIZE])
{
	if (strlen(text) != ID_HEX || strspn(text, hex) != ID_HEX)
		return false;
	for (size_t i = 0; i < ID_SIZE; i++)
		id[i] = (uint8_t)((strchr(hex, text[2 * i]) - hex) << 4 |
				  (strchr(hex, text[2 * i + 1]) - hex));
	return true;
}

static bool id_from_base32(const char *text, uint8_t id[ID_SIZE])
{
	unsigned int bits = 0, held = 0;
	size_t size = 0;

	if (strlen(text) != ID_BASE32 || strspn(text, base32) != ID_BASE32)
		return false;
	for (size_t i = 0; i < ID_BASE32; i++) {
		bits = (bits << 5 | (unsigned int)(strchr(base32, text[i]) - base32)) & 0xfff;
		held += 5;
		if (held >= 8 && size < ID_SIZE) {
			held -= 8;
			id[size++] = (uint8_t)(bits >> held);
		}
	}
	/* Another text for the same bytes is no such name. */
	return (bits & 0xf) == 0;
}

static void id_to_base32(const uint8_t id[ID_SIZE], char text[ID_BASE32 + 1])
{
	unsigned int bits = 0, held = 0;
	size_t size = 0;

	for (size_t i = 0; i < ID_SIZE; i++) {
		bits = (bits << 8 | id[i]) & 0xfff;
		held += 8;
		while (held >= 5) {
			held -= 5;
			text[size++] = base32[bits >> held & 31];
		}
	}
	text[size++] = base32[bits << (5 - held) & 31];
	text[size] = '\0';
}

static bool is_anonymous(const char *here, uint8_t id[ID_SIZE])
{
	return strncmp(here, PREFIX, strlen(PREFIX)) == 0 &&
	       id_from_base32(here + strlen(PREFIX), id);
}

int name_from_engine(const char *there, char ret_here[NAME_HERE_MOST], struct caisson_error *err)
{
	char text[NAME_THERE_MOST];
	uint8_t id[ID_SIZE];

	if (strlen(there) > GIVEN_MOST)
		return caisson_refuse(err, EINVAL,
			"the name of a volume has at most 63 characters, not %zu", strlen(there));
	if (id_from_hex(there, id)) {
		id_to_base32(id, text);
		snprintf(ret_here, NAME_HERE_MOST, PREFIX "%s", text);
		return 0;
	}
	if (is_anonymous(there, id)) {
		name_to_engine(there, text);
		return caisson_refuse(err, EINVAL,
			"%s is what the anonymous volume %.12s... is called by caisson: use its own "
			"name",
			there, text);
	}
	if (!name_valid(there))
		return name_check("volume", there, err);
	memcpy(ret_here, there, strlen(there) + 1);
	return 0;
}

void name_to_engine(const char *here, char ret_there[NAME_THERE_MOST])
{
	uint8_t id[ID_SIZE];

	if (!is_anonymous(here, id)) {
		snprintf(ret_there, NAME_THERE_MOST, "%s", here);
		return;
	}
	for (size_t i = 0; i < ID_SIZE; i++) {
		ret_there[2 * i] = hex[id[i] >> 4];
		ret_there[2 * i + 1] = hex[id[i] & 15];
	}
	ret_there[ID_HEX] = '\0';
}
