/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lzop's container, and LZO1X out of it. The library for it is under the GPL alone; the format is
 * described in the kernel's Documentation/staging/lzo.rst.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "kernel/packed.h"

enum {
	BLOCK_MOST = 256 << 10, /* LZO_BLOCK_SIZE of the kernel */
	HAS_FILTER = 0x800,
	VERSION_WITH_LEVEL = 0x940,
	LEAST = 42, /* a header without a name, and the end mark */
};

struct lzo {
	const uint8_t *in, *in_end;
	uint8_t *out, *out_start, *out_end;
};

static uint32_t get_be32(const uint8_t *data)
{
	return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

static bool literals(struct lzo *lzo, size_t count)
{
	if (count > (size_t)(lzo->in_end - lzo->in) || count > (size_t)(lzo->out_end - lzo->out))
		return false;
	memcpy(lzo->out, lzo->in, count);
	lzo->in += count;
	lzo->out += count;
	return true;
}

static bool match(struct lzo *lzo, size_t distance, size_t count)
{
	if (distance > (size_t)(lzo->out - lzo->out_start) ||
		count > (size_t)(lzo->out_end - lzo->out))
		return false;
	/* Byte by byte: they may overlap. */
	for (; count > 0; count--, lzo->out++)
		*lzo->out = *(lzo->out - distance);
	return true;
}

/* A length that does not fit into @bits of the instruction: zero bytes count 255 each. */
static bool long_length(struct lzo *lzo, size_t least, size_t *length)
{
	if (*length != 0)
		return true;
	*length = least;
	while (lzo->in < lzo->in_end && *lzo->in == 0) {
		*length += 255;
		lzo->in++;
	}
	if (lzo->in == lzo->in_end || *length > BLOCK_MOST)
		return false;
	*length += *lzo->in++;
	return true;
}

/* One instruction. Returns 1 to go on, 0 at the end mark, -1 for a damaged stream. @state: how many
   literals came with the last one; 4 for a run of them. */
static int step(struct lzo *lzo, unsigned int *state)
{
	size_t length, distance;
	unsigned int op, trailing;

	if (lzo->in_end - lzo->in < 3)
		return -1;
	op = *lzo->in++;
	if (op < 16 && *state == 0) {
		length = op;
		if (!long_length(lzo, 15, &length) || !literals(lzo, length + 3))
			return -1;
		*state = 4;
		return 1;
	}
	trailing = op & 3;
	if (op < 16) {
		distance = ((size_t)*lzo->in++ << 2) + (op >> 2) + (*state == 4 ? 2049 : 1);
		length = *state == 4 ? 3 : 2;
	} else if (op >= 64) {
		distance = ((size_t)*lzo->in++ << 3) + ((op >> 2) & 7) + 1;
		length = (op >> 5) + 1;
	} else {
		bool near = op >= 32;

		length = op & (near ? 31 : 7);
		if (!long_length(lzo, near ? 31 : 7, &length) || lzo->in_end - lzo->in < 2)
			return -1;
		length += 2;
		trailing = lzo->in[0] & 3;
		distance = (lzo->in[0] | (size_t)lzo->in[1] << 8) >> 2;
		lzo->in += 2;
		distance += near ? 1 : 16384 + ((op & 8) << 11);
		if (!near && distance == 16384)
			return 0;
	}
	*state = trailing;
	return match(lzo, distance, length) && literals(lzo, trailing) ? 1 : -1;
}

static bool unpack_block(const uint8_t *in, size_t size, uint8_t *out, size_t wanted)
{
	struct lzo lzo = {in, in + size, out, out, out + wanted};
	unsigned int state = 0;
	int r;

	if (size < 3)
		return false;
	if (*in > 17) {
		size_t count = *in - 17u;

		lzo.in++;
		if (!literals(&lzo, count))
			return false;
		state = count < 4 ? (unsigned int)count : 4;
	}
	while ((r = step(&lzo, &state)) == 1)
		;
	return r == 0 && lzo.out == lzo.out_end && lzo.in == lzo.in_end;
}

/* Steps over the header as the kernel's parse_header() does, which reads less than lzop wrote. */
static int skip_header(struct packed *stream, struct caisson_error *err)
{
	static const uint8_t magic[] = {0x89, 'L', 'Z', 'O', 0, '\r', '\n', 0x1a, '\n'};
	const uint8_t *data = stream->data;
	size_t at = sizeof(magic) + 7;
	bool level;

	if (stream->size < LEAST || memcmp(data, magic, sizeof(magic)) != 0)
		return packed_damaged(stream, "its header is damaged", err);
	level = (data[sizeof(magic)] << 8 | data[sizeof(magic) + 1]) >= VERSION_WITH_LEVEL;
	at += level;
	at += (get_be32(data + at) & HAS_FILTER) != 0 ? 8 : 4;
	at += level ? 12 : 8; /* mode and times */
	at += 1 + data[at] + 4u;
	if (at > stream->size)
		return packed_damaged(stream, "it is cut", err);
	stream->used = at;
	return 0;
}

/* 1 for a block, 0 at the end. */
static int read_block(struct packed *stream, struct caisson_error *err)
{
	const uint8_t *at = stream->data + stream->used;
	size_t left = stream->size - stream->used;
	uint32_t wanted, size;
	uint8_t *room;
	int r;

	if (left < 4)
		return packed_damaged(stream, "it is cut", err);
	wanted = get_be32(at);
	if (wanted == 0) {
		stream->used += 4;
		return 0;
	}
	if (left < 12)
		return packed_damaged(stream, "it is cut", err);
	size = get_be32(at + 4);
	if (wanted > BLOCK_MOST || size == 0 || size > wanted)
		return packed_damaged(stream, "a block has an impossible size", err);
	if (size > left - 12)
		return packed_damaged(stream, "it is cut", err);
	room = packed_room(stream, wanted, err);
	if (room == NULL)
		return -ENOMEM;
	if (size == wanted)
		memcpy(room, at + 12, size);
	else if (!unpack_block(at + 12, size, room, wanted))
		return packed_damaged(stream, "it is damaged", err);
	stream->used += 12 + (size_t)size;
	r = packed_commit(stream, wanted, err);
	return r < 0 ? r : 1;
}

int packed_read_lzo(struct packed *stream, struct caisson_error *err)
{
	int r = skip_header(stream, err);

	if (r == 0)
		do
			r = read_block(stream, err);
		while (r == 1);
	return r;
}
