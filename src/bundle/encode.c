/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bundle/encode.h"

#include <endian.h>
#include <errno.h>
#include <lz4hc.h>
#include <lzma.h>
#include <stdint.h>
#include <string.h>

#include "base/io.h"

enum {
	CHUNK = 256 << 10,
	LZ4_BLOCK = 8 << 20, /* of a legacy frame, but for the last */
	LZ4_MAGIC = 0x184c2102,
	LZ4_LEVEL = 9,
	XZ_LEVEL = 6,
};

struct encoder {
	enum encode_kind kind;
	int fd;
	const char *what;
	lzma_stream xz;
	uint8_t *block; /* of LZ4, filled up to @filled */
	size_t filled;
	uint8_t *packed; /* what comes out */
	size_t room;
};

void encoder_free(struct encoder *encoder)
{
	if (encoder->kind == ENCODE_XZ)
		lzma_end(&encoder->xz);
	free(encoder->block);
	free(encoder->packed);
	free(encoder);
}

static int put_word(const struct encoder *encoder, uint32_t word, struct caisson_error *err)
{
	word = htole32(word);
	return write_all(encoder->fd, &word, sizeof(word), encoder->what, err);
}

int encoder_new(struct encoder **ret_encoder, enum encode_kind kind, int fd, const char *what,
	struct caisson_error *err)
{
	_cleanup_(encoder_freep) struct encoder *encoder = calloc(1, sizeof(*encoder));
	int r = 0;

	if (encoder == NULL)
		return caisson_fail(err, ENOMEM, "compress %s", what);
	encoder->kind = kind;
	encoder->fd = fd;
	encoder->what = what;
	encoder->room = kind == ENCODE_LZ4 ? (size_t)LZ4_compressBound(LZ4_BLOCK) : CHUNK;
	encoder->packed = malloc(encoder->room);
	if (kind == ENCODE_LZ4)
		encoder->block = malloc(LZ4_BLOCK);
	if (encoder->packed == NULL || (kind == ENCODE_LZ4 && encoder->block == NULL))
		return caisson_fail(err, ENOMEM, "compress %s", what);
	if (kind == ENCODE_XZ &&
		lzma_easy_encoder(&encoder->xz, XZ_LEVEL, LZMA_CHECK_CRC32) != LZMA_OK)
		return caisson_fail(err, ENOMEM, "compress %s", what);
	if (kind == ENCODE_LZ4)
		r = put_word(encoder, LZ4_MAGIC, err);
	if (r >= 0)
		*ret_encoder = take_ptr(encoder);
	return r;
}

static int run_xz(struct encoder *encoder, const void *data, size_t size, lzma_action action,
	struct caisson_error *err)
{
	lzma_stream *xz = &encoder->xz;
	lzma_ret status;

	xz->next_in = data;
	xz->avail_in = size;
	do {
		int r;

		xz->next_out = encoder->packed;
		xz->avail_out = encoder->room;
		status = lzma_code(xz, action);
		if (status != LZMA_OK && status != LZMA_STREAM_END)
			return caisson_refuse(err, status == LZMA_MEM_ERROR ? ENOMEM : EIO,
				"compress %s: xz failed (%d)", encoder->what, (int)status);
		r = write_all(encoder->fd, encoder->packed, encoder->room - xz->avail_out,
			encoder->what, err);
		if (r < 0)
			return r;
	} while (xz->avail_in > 0 || (action == LZMA_FINISH && status != LZMA_STREAM_END));
	return 0;
}

static int flush_lz4(struct encoder *encoder, struct caisson_error *err)
{
	int n, r;

	if (encoder->filled == 0)
		return 0;
	n = LZ4_compress_HC((const char *)encoder->block, (char *)encoder->packed,
		(int)encoder->filled, (int)encoder->room, LZ4_LEVEL);
	if (n <= 0)
		return caisson_refuse(err, EIO, "compress %s: LZ4 failed", encoder->what);
	r = put_word(encoder, (uint32_t)n, err);
	if (r >= 0)
		r = write_all(encoder->fd, encoder->packed, (size_t)n, encoder->what, err);
	encoder->filled = 0;
	return r;
}

int encoder_add(struct encoder *encoder, const void *data, size_t size, struct caisson_error *err)
{
	const uint8_t *from = data;

	if (encoder->kind == ENCODE_NONE)
		return write_all(encoder->fd, data, size, encoder->what, err);
	if (encoder->kind == ENCODE_XZ)
		return run_xz(encoder, data, size, LZMA_RUN, err);
	while (size > 0) {
		size_t n = MIN(size, LZ4_BLOCK - encoder->filled);
		int r = 0;

		memcpy(encoder->block + encoder->filled, from, n);
		encoder->filled += n;
		from += n;
		size -= n;
		if (encoder->filled == LZ4_BLOCK)
			r = flush_lz4(encoder, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int encoder_finish(struct encoder *encoder, struct caisson_error *err)
{
	if (encoder->kind == ENCODE_XZ)
		return run_xz(encoder, NULL, 0, LZMA_FINISH, err);
	return encoder->kind == ENCODE_LZ4 ? flush_lz4(encoder, err) : 0;
}
