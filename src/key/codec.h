/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes of messages and records: little-endian numbers and length-prefixed text in a span of fixed
 * size. What does not fit, or is not there, is sticky: put or get everything, then ask once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct encoder {
	uint8_t *data;
	size_t capacity;
	size_t size; /* bytes put */
	bool failed;
};

void encode_bytes(struct encoder *to, const void *data, size_t size);
void encode_u8(struct encoder *to, uint8_t value);
void encode_u16(struct encoder *to, uint16_t value);
void encode_u32(struct encoder *to, uint32_t value);
void encode_u64(struct encoder *to, uint64_t value);
/* A u8 length and that many bytes, from an array of @size: 1 to @size - 1 printable ASCII
   characters without spaces, and a NUL. */
void encode_text(struct encoder *to, const char *text, size_t size);

struct decoder {
	const uint8_t *data;
	size_t size; /* bytes left */
	bool failed;
};

/* Zeros are read where bytes are missing. */
void decode_bytes(struct decoder *from, void *ret_data, size_t size);
uint8_t decode_u8(struct decoder *from);
uint16_t decode_u16(struct decoder *from);
uint32_t decode_u32(struct decoder *from);
uint64_t decode_u64(struct decoder *from);
/* What encode_text() wrote, with a NUL, into an array of @size. */
void decode_text(struct decoder *from, char *ret_text, size_t size);
/* @size bytes in place; NULL when they are not there. */
const uint8_t *decode_span(struct decoder *from, size_t size);
/* All was there, and nothing is left. */
bool decode_complete(const struct decoder *from);
