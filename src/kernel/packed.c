/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/packed.h"

#include <bzlib.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bytes.h"

enum { CHUNK = 256 << 10 };

/* Of zstd: ZSTD_WINDOWSIZE_MAX of the kernel's lib/decompress_unzstd.c. */
#define ZSTD_WINDOW_MOST (1ull << 27)

DEFINE_CLEANUP(ZSTD_DCtx *, ZSTD_freeDCtx);

/* The kernel's table (lib/decompress.c): two bytes decide. */
static const struct {
	uint8_t magic[2];
	enum packed_form form;
} magics[] = {
	{{0x1f, 0x8b}, PACKED_GZIP},
	{{0x42, 0x5a}, PACKED_BZIP2},
	{{0x5d, 0x00}, PACKED_LZMA},
	{{0xfd, 0x37}, PACKED_XZ},
	{{0x89, 0x4c}, PACKED_LZO},
	{{0x02, 0x21}, PACKED_LZ4},
	{{0x28, 0xb5}, PACKED_ZSTD},
};

static const uint8_t lz4_frame_magic[] = {0x04, 0x22, 0x4d, 0x18};

static const struct {
	const char *name, *option;
} forms[PACKED_FORMS] = {
	[PACKED_NONE] = {"none", NULL},
	[PACKED_GZIP] = {"gzip", "CONFIG_RD_GZIP"},
	[PACKED_BZIP2] = {"bzip2", "CONFIG_RD_BZIP2"},
	[PACKED_LZMA] = {"lzma", "CONFIG_RD_LZMA"},
	[PACKED_XZ] = {"xz", "CONFIG_RD_XZ"},
	[PACKED_LZO] = {"lzo", "CONFIG_RD_LZO"},
	[PACKED_LZ4] = {"lz4", "CONFIG_RD_LZ4"},
	[PACKED_ZSTD] = {"zstd", "CONFIG_RD_ZSTD"},
};

enum packed_form packed_form(const uint8_t *data, size_t size)
{
	for (size_t i = 0; size >= 2 && i < ARRAY_SIZE(magics); i++) {
		if (memcmp(data, magics[i].magic, 2) == 0)
			return magics[i].form;
	}
	if (size >= sizeof(lz4_frame_magic) &&
		memcmp(data, lz4_frame_magic, sizeof(lz4_frame_magic)) == 0)
		return PACKED_LZ4;
	return PACKED_NONE;
}

const char *packed_name(enum packed_form form)
{
	return forms[form].name;
}

const char *packed_option(enum packed_form form)
{
	return forms[form].option;
}

int packed_damaged(const struct packed *stream, const char *why, struct caisson_error *err)
{
	return caisson_refuse(err, EBADMSG, "%s cannot be uncompressed (%s): %s", stream->what,
		packed_name(stream->facts.form), why);
}

void *packed_room(struct packed *stream, size_t size, struct caisson_error *err)
{
	void *room = strbuf_reserve(stream->buffer, size);

	if (room == NULL)
		caisson_fail(err, ENOMEM, "uncompress %s", stream->what);
	return room;
}

int packed_commit(struct packed *stream, size_t size, struct caisson_error *err)
{
	strbuf_commit(stream->buffer, size);
	if (stream->buffer->size - stream->start > stream->most)
		return caisson_refuse(err, EFBIG,
			"%s holds more than the %llu bytes that are allowed", stream->what,
			(unsigned long long)stream->most);
	return 0;
}

static int inflate_all(struct packed *stream, z_stream *zlib, struct caisson_error *err)
{
	for (;;) {
		int r, status;

		zlib->next_out = packed_room(stream, CHUNK, err);
		if (zlib->next_out == NULL)
			return -ENOMEM;
		zlib->avail_out = CHUNK;
		status = inflate(zlib, Z_NO_FLUSH);
		if (status == Z_MEM_ERROR)
			return caisson_fail(err, ENOMEM, "uncompress %s", stream->what);
		if (status == Z_BUF_ERROR)
			return packed_damaged(stream, "it is cut", err);
		if (status != Z_OK && status != Z_STREAM_END)
			return packed_damaged(
				stream, zlib->msg != NULL ? zlib->msg : "it is damaged", err);
		r = packed_commit(stream, CHUNK - zlib->avail_out, err);
		if (r < 0)
			return r;
		if (status == Z_STREAM_END) {
			stream->used = stream->size - zlib->avail_in;
			return 0;
		}
	}
}

static int read_gzip(struct packed *stream, struct caisson_error *err)
{
	z_stream zlib = {0};
	int r;

	/* 16: a gzip header, and no other. */
	if (inflateInit2(&zlib, 16 + MAX_WBITS) != Z_OK)
		return caisson_fail(err, ENOMEM, "uncompress %s", stream->what);
	stream->facts.check = "crc32";
	zlib.next_in = (Bytef *)stream->data;
	zlib.avail_in = (uInt)stream->size;
	r = inflate_all(stream, &zlib, err);
	inflateEnd(&zlib);
	return r;
}

static int bunzip_all(struct packed *stream, bz_stream *bzip, struct caisson_error *err)
{
	for (;;) {
		unsigned int before = bzip->avail_in;
		int r, status;

		bzip->next_out = packed_room(stream, CHUNK, err);
		if (bzip->next_out == NULL)
			return -ENOMEM;
		bzip->avail_out = CHUNK;
		status = BZ2_bzDecompress(bzip);
		if (status == BZ_MEM_ERROR)
			return caisson_fail(err, ENOMEM, "uncompress %s", stream->what);
		if (status != BZ_OK && status != BZ_STREAM_END)
			return packed_damaged(stream, "it is damaged", err);
		r = packed_commit(stream, CHUNK - bzip->avail_out, err);
		if (r < 0)
			return r;
		if (status == BZ_STREAM_END) {
			stream->used = stream->size - bzip->avail_in;
			return 0;
		}
		if (bzip->avail_out == CHUNK && bzip->avail_in == before)
			return packed_damaged(stream, "it is cut", err);
	}
}

static int read_bzip2(struct packed *stream, struct caisson_error *err)
{
	bz_stream bzip = {0};
	int r;

	if (BZ2_bzDecompressInit(&bzip, 0, 0) != BZ_OK)
		return caisson_fail(err, ENOMEM, "uncompress %s", stream->what);
	stream->facts.check = "crc32";
	bzip.next_in = (char *)stream->data;
	bzip.avail_in = (unsigned int)stream->size;
	r = bunzip_all(stream, &bzip, err);
	BZ2_bzDecompressEnd(&bzip);
	return r;
}

/* The frame header of RFC 8878, section 3.1.1.1. */
static void zstd_facts(struct packed *stream)
{
	static const unsigned int size_bytes[] = {0, 2, 4, 8}, id_bytes[] = {0, 1, 2, 4};
	const uint8_t *header = stream->data + 4;
	unsigned int at;
	uint64_t window = 0;

	if (stream->size < 4 + 14)
		return;
	stream->facts.check = (header[0] & 4) != 0 ? "xxh64" : "none";
	if ((header[0] & 0x20) == 0) {
		window = 1ull << (10 + (header[1] >> 3));
		window += window / 8 * (header[1] & 7);
	} else {
		/* One segment: the window is the whole content. */
		at = 1 + id_bytes[header[0] & 3];
		switch (size_bytes[header[0] >> 6]) {
		case 0:
			window = header[at];
			break;
		case 2:
			window = get_le16(header + at) + 256u;
			break;
		case 4:
			window = get_le32(header + at);
			break;
		default:
			window = get_le64(header + at);
		}
	}
	stream->facts.window = window;
	if (window > ZSTD_WINDOW_MOST)
		stream->facts.refused = "its zstd window is above 128 MiB";
	else if ((header[0] & 3) != 0)
		stream->facts.refused = "its zstd frame wants a dictionary";
}

static int read_zstd(struct packed *stream, struct caisson_error *err)
{
	_cleanup_(ZSTD_freeDCtxp) ZSTD_DCtx *context = ZSTD_createDCtx();
	ZSTD_inBuffer input = {stream->data, stream->size, 0};
	size_t more = 1;
	int r;

	if (context == NULL)
		return caisson_fail(err, ENOMEM, "uncompress %s", stream->what);
	zstd_facts(stream);
	while (more != 0) {
		ZSTD_outBuffer output = {packed_room(stream, CHUNK, err), CHUNK, 0};
		size_t before = input.pos;

		if (output.dst == NULL)
			return -ENOMEM;
		more = ZSTD_decompressStream(context, &output, &input);
		if (ZSTD_isError(more))
			return packed_damaged(stream,
				stream->facts.refused != NULL ? stream->facts.refused
							      : ZSTD_getErrorName(more),
				err);
		r = packed_commit(stream, output.pos, err);
		if (r < 0)
			return r;
		if (more != 0 && output.pos == 0 && input.pos == before)
			return packed_damaged(stream, "it is cut", err);
	}
	stream->used = input.pos;
	return 0;
}

static int read_unknown(struct packed *stream, struct caisson_error *err)
{
	return caisson_refuse(
		err, ENOTSUP, "%s is neither cpio nor compressed as is known", stream->what);
}

int packed_read(const uint8_t *data, size_t size, uint64_t most, const char *what,
	struct strbuf *buffer, struct packed_facts *ret_facts, size_t *ret_used,
	struct caisson_error *err)
{
	static int (*const readers[PACKED_FORMS])(struct packed *, struct caisson_error *) = {
		[PACKED_NONE] = read_unknown,
		[PACKED_GZIP] = read_gzip,
		[PACKED_BZIP2] = read_bzip2,
		[PACKED_LZMA] = packed_read_lzma,
		[PACKED_XZ] = packed_read_lzma,
		[PACKED_LZO] = packed_read_lzo,
		[PACKED_LZ4] = packed_read_lz4,
		[PACKED_ZSTD] = read_zstd,
	};
	struct packed stream = {.data = data,
		.size = size,
		.most = most,
		.what = what,
		.buffer = buffer,
		.start = buffer->size,
		.facts = {.form = packed_form(data, size)}};
	int r;

	if (size > INT_MAX)
		return caisson_refuse(err, EFBIG, "%s is too large", what);
	r = readers[stream.facts.form](&stream, err);
	if (r < 0)
		return r;
	*ret_facts = stream.facts;
	*ret_used = stream.used;
	return 0;
}
