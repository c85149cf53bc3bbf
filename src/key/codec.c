/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "key/codec.h"

#include <string.h>

void encode_bytes(struct encoder *to, const void *data, size_t size)
{
	if (to->failed || size > to->capacity - to->size) {
		to->failed = true;
		return;
	}
	if (size > 0)
		memcpy(to->data + to->size, data, size);
	to->size += size;
}

static void encode_number(struct encoder *to, uint64_t value, size_t size)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	encode_bytes(to, bytes, size);
}

void encode_u8(struct encoder *to, uint8_t value)
{
	encode_number(to, value, 1);
}

void encode_u16(struct encoder *to, uint16_t value)
{
	encode_number(to, value, 2);
}

void encode_u32(struct encoder *to, uint32_t value)
{
	encode_number(to, value, 4);
}

void encode_u64(struct encoder *to, uint64_t value)
{
	encode_number(to, value, 8);
}

static bool is_plain(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '!' || text[i] > '~')
			return false;
	}
	return true;
}

void encode_text(struct encoder *to, const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	if (length == 0 || length >= size || length > UINT8_MAX || !is_plain(text, length)) {
		to->failed = true;
		return;
	}
	encode_u8(to, (uint8_t)length);
	encode_bytes(to, text, length);
}

const uint8_t *decode_span(struct decoder *from, size_t size)
{
	const uint8_t *span = from->data;

	if (from->failed || size > from->size) {
		from->failed = true;
		return NULL;
	}
	from->data += size;
	from->size -= size;
	return span;
}

void decode_bytes(struct decoder *from, void *ret_data, size_t size)
{
	const uint8_t *span = decode_span(from, size);

	if (span != NULL)
		memcpy(ret_data, span, size);
	else
		memset(ret_data, 0, size);
}

static uint64_t decode_number(struct decoder *from, size_t size)
{
	uint8_t bytes[8];
	uint64_t value = 0;

	decode_bytes(from, bytes, size);
	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

uint8_t decode_u8(struct decoder *from)
{
	return (uint8_t)decode_number(from, 1);
}

uint16_t decode_u16(struct decoder *from)
{
	return (uint16_t)decode_number(from, 2);
}

uint32_t decode_u32(struct decoder *from)
{
	return (uint32_t)decode_number(from, 4);
}

uint64_t decode_u64(struct decoder *from)
{
	return decode_number(from, 8);
}

void decode_text(struct decoder *from, char *ret_text, size_t size)
{
	size_t length = decode_u8(from);
	const uint8_t *span = decode_span(from, length);

	memset(ret_text, 0, size);
	if (span == NULL)
		return;
	if (length == 0 || length >= size || !is_plain((const char *)span, length)) {
		from->failed = true;
		return;
	}
	memcpy(ret_text, span, length);
}

bool decode_complete(const struct decoder *from)
{
	return !from->failed && from->size == 0;
}
