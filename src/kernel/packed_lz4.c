/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <lz4.h>
#include <lz4frame.h>

#include "base/bytes.h"
#include "kernel/packed.h"

enum {
	LEGACY_CHUNK = 8 << 20, /* LZ4_DEFAULT_UNCOMPRESSED_CHUNK_SIZE of the kernel */
	FRAME_CHUNK = 256 << 10,
};

#define LEGACY_MAGIC 0x184c2102u

static void free_frame(LZ4F_dctx **context)
{
	LZ4F_freeDecompressionContext(*context);
}

static int read_frame(struct packed *stream, struct caisson_error *err)
{
	_cleanup_(free_frame) LZ4F_dctx *context = NULL;
	size_t more = 1;

	stream->facts.refused = "it is an LZ4 frame; kernels know the legacy form alone (lz4 -l)";
	if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
		return caisson_fail(err, ENOMEM, "uncompress %s", stream->what);
	while (more != 0) {
		size_t out = FRAME_CHUNK, in = stream->size - stream->used;
		void *room = packed_room(stream, FRAME_CHUNK, err);
		int r;

		if (room == NULL)
			return -ENOMEM;
		more = LZ4F_decompress(context, room, &out, stream->data + stream->used, &in, NULL);
		if (LZ4F_isError(more))
			return packed_damaged(stream, LZ4F_getErrorName(more), err);
		r = packed_commit(stream, out, err);
		if (r < 0)
			return r;
		if (more != 0 && in == 0 && out == 0)
			return packed_damaged(stream, "it is cut", err);
		stream->used += in;
	}
	return 0;
}

static int read_chunk(struct packed *stream, uint32_t size, struct caisson_error *err)
{
	void *room;
	int out;

	if (size > (uint32_t)LZ4_compressBound(LEGACY_CHUNK))
		return packed_damaged(stream, "a block is larger than any can be", err);
	if (size > stream->size - stream->used)
		return packed_damaged(stream, "it is cut", err);
	room = packed_room(stream, LEGACY_CHUNK, err);
	if (room == NULL)
		return -ENOMEM;
	out = LZ4_decompress_safe(
		(const char *)stream->data + stream->used, room, (int)size, LEGACY_CHUNK);
	if (out < 0)
		return packed_damaged(stream, "it is damaged", err);
	stream->used += size;
	return packed_commit(stream, (size_t)out, err);
}

/* A legacy stream has no end of its own: the kernel (lib/decompress_unlz4.c) takes blocks until the
   file ends, or until a size of 0. */
int packed_read_lz4(struct packed *stream, struct caisson_error *err)
{
	if (stream->size < 4 || get_le32(stream->data) != LEGACY_MAGIC)
		return read_frame(stream, err);
	stream->used = 4;
	while (stream->size - stream->used >= 4) {
		uint32_t size = get_le32(stream->data + stream->used);
		int r;

		if (size == 0)
			break;
		stream->used += 4;
		if (size == LEGACY_MAGIC)
			continue;
		r = read_chunk(stream, size, err);
		if (r < 0)
			return r;
	}
	return 0;
}
