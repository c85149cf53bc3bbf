/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/compress.h"

#include <errno.h>
#include <zstd.h>

#include "base/io.h"

/* The kernel takes windows up to 8 MiB (lib/decompress_unzstd.c) and allocates what the frame asks
   for: 4 MiB lose nothing on archives of this size and leave memory to a small guest. */
enum { WINDOW_LOG = 22 };

struct compressor {
	ZSTD_CCtx *context;
	struct sink to;
	size_t chunk_size;
	uint8_t chunk[];
};

static int file_write(void *userdata, const void *data, size_t size, struct caisson_error *err)
{
	struct file_sink *file = userdata;

	file->written += size;
	return write_all(file->fd, data, size, file->what, err);
}

struct sink file_sink(struct file_sink *file)
{
	return (struct sink){file_write, file};
}

static bool set(ZSTD_CCtx *context, ZSTD_cParameter parameter, int value)
{
	return !ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value));
}

int compressor_new(
	struct compressor **ret_compressor, int level, struct sink to, struct caisson_error *err)
{
	size_t size = ZSTD_CStreamOutSize();
	_cleanup_(compressor_freep) struct compressor *compressor = NULL;

	if (level < 0 || level > COMPRESS_LEVEL_MOST)
		return caisson_refuse(err, EINVAL, "zstd has the levels 1 to %d, not %d",
			COMPRESS_LEVEL_MOST, level);
	compressor = calloc(1, sizeof(*compressor) + size);
	if (compressor == NULL)
		return caisson_fail(err, ENOMEM, "compress");
	compressor->to = to;
	compressor->chunk_size = size;
	compressor->context = ZSTD_createCCtx();
	if (compressor->context == NULL)
		return caisson_fail(err, ENOMEM, "compress");
	/* No workers: where they cut the stream would depend on their timing. */
	if (!set(compressor->context, ZSTD_c_compressionLevel,
		    level != 0 ? level : COMPRESS_LEVEL_DEFAULT) ||
		!set(compressor->context, ZSTD_c_windowLog, WINDOW_LOG) ||
		!set(compressor->context, ZSTD_c_checksumFlag, 1))
		return caisson_refuse(err, EINVAL, "libzstd does not take the level %d", level);
	*ret_compressor = take_ptr(compressor);
	return 0;
}

/* Feeds @input until all of it is taken, or with ZSTD_e_end until the frame is out. */
static int feed(struct compressor *compressor, ZSTD_inBuffer *input, ZSTD_EndDirective mode,
	struct caisson_error *err)
{
	for (;;) {
		ZSTD_outBuffer output = {compressor->chunk, compressor->chunk_size, 0};
		size_t left = ZSTD_compressStream2(compressor->context, &output, input, mode);
		int r = 0;

		if (ZSTD_isError(left))
			return caisson_refuse(
				err, EIO, "libzstd failed: %s", ZSTD_getErrorName(left));
		if (output.pos > 0)
			r = compressor->to.write(
				compressor->to.userdata, output.dst, output.pos, err);
		if (r < 0)
			return r;
		if (mode == ZSTD_e_end ? left == 0 : input->pos == input->size)
			return 0;
	}
}

static int compress_write(void *userdata, const void *data, size_t size, struct caisson_error *err)
{
	ZSTD_inBuffer input = {data, size, 0};

	return feed(userdata, &input, ZSTD_e_continue, err);
}

struct sink compressor_sink(struct compressor *compressor)
{
	return (struct sink){compress_write, compressor};
}

int compressor_finish(struct compressor *compressor, struct caisson_error *err)
{
	ZSTD_inBuffer input = {NULL, 0, 0};

	return feed(compressor, &input, ZSTD_e_end, err);
}

void compressor_free(struct compressor *compressor)
{
	if (compressor == NULL)
		return;
	ZSTD_freeCCtx(compressor->context);
	free(compressor);
}
