/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One gzip member (RFC 1952), as the kernel's gunzip() takes it: it reads no second one, hence one
 * thread. */
#include <errno.h>
#include <limits.h>
#include <zlib.h>

#include "boot/compress_engine.h"

enum { OUT_SIZE = 128 << 10, GZIP_HEADER = 16, MEMORY_LEVEL = 8 };

struct gzip {
	struct compressor base;
	z_stream stream;
	uint8_t out[OUT_SIZE];
};

static void gzip_free(struct compressor *compressor)
{
	struct gzip *gzip = (struct gzip *)compressor;

	deflateEnd(&gzip->stream);
	free(gzip);
}

/* zlib's own header holds no time and no name. */
static int gzip_open(struct compressor **ret_compressor, const struct compressor_options *options,
	struct caisson_error *err)
{
	_cleanup_free_ struct gzip *gzip = calloc(1, sizeof(*gzip));

	if (gzip == NULL ||
		deflateInit2(&gzip->stream, options->level, Z_DEFLATED, MAX_WBITS + GZIP_HEADER,
			MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		return caisson_fail(err, ENOMEM, "compress");
	*ret_compressor = &take_ptr(gzip)->base;
	return 0;
}

static int feed(struct gzip *gzip, int mode, struct caisson_error *err)
{
	int status, r;

	do {
		gzip->stream.next_out = gzip->out;
		gzip->stream.avail_out = sizeof(gzip->out);
		status = deflate(&gzip->stream, mode);
		/* Z_BUF_ERROR: there was nothing left to do. */
		if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
			return caisson_refuse(err, EIO, "zlib failed: %d", status);
		r = compress_emit(
			&gzip->base, gzip->out, sizeof(gzip->out) - gzip->stream.avail_out, err);
		if (r < 0)
			return r;
	} while (mode == Z_FINISH ? status != Z_STREAM_END : gzip->stream.avail_out == 0);
	return 0;
}

static int gzip_write(
	struct compressor *compressor, const void *data, size_t size, struct caisson_error *err)
{
	struct gzip *gzip = (struct gzip *)compressor;
	const uint8_t *from = data;

	while (size > 0) {
		size_t part = MIN(size, (size_t)INT_MAX);
		int r;

		gzip->stream.next_in = (Bytef *)from;
		gzip->stream.avail_in = (uInt)part;
		r = feed(gzip, Z_NO_FLUSH, err);
		if (r < 0)
			return r;
		from += part;
		size -= part;
	}
	return 0;
}

static int gzip_finish(struct compressor *compressor, struct caisson_error *err)
{
	struct gzip *gzip = (struct gzip *)compressor;

	gzip->stream.avail_in = 0;
	return feed(gzip, Z_FINISH, err);
}

const struct compress_engine compress_gzip = {gzip_open, gzip_write, gzip_finish, gzip_free};
