/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One zstd frame (RFC 8878), as the kernel's unzstd() takes it. */
#include <errno.h>
#include <zstd.h>

#include "boot/compress_engine.h"

enum {
	/* The kernel takes windows up to 8 MiB (lib/decompress_unzstd.c) and allocates what the
	   frame asks for: 4 MiB lose nothing on archives of this size and leave memory to a small
	   guest. */
	WINDOW_LOG = 22,
	/*
	 * The stream is cut into jobs of this size, and each sees 2^(22 - 9 + OVERLAP_LOG) bytes of
	 * what is before it. Cuts depend on the count of bytes alone (ZSTDMT_compressStream_generic
	 * in libzstd makes a job when its buffer is full), never on who was ready when: any number
	 * of workers from one on gives the same bytes. No workers at all would give others.
	 */
	JOB_SIZE = 1 << 20,
	OVERLAP_LOG = 7,
	OUT_SIZE = 128 << 10,
};

struct zstd {
	struct compressor base;
	ZSTD_CCtx *context;
	uint8_t out[OUT_SIZE];
};

static void zstd_free(struct compressor *compressor)
{
	struct zstd *zstd = (struct zstd *)compressor;

	ZSTD_freeCCtx(zstd->context);
	free(zstd);
}

DEFINE_CLEANUP(struct compressor *, zstd_free);

static bool set(ZSTD_CCtx *context, ZSTD_cParameter parameter, int value)
{
	return !ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value));
}

static int zstd_open(struct compressor **ret_compressor, const struct compressor_options *options,
	struct caisson_error *err)
{
	struct zstd *zstd = calloc(1, sizeof(*zstd));
	_cleanup_(zstd_freep) struct compressor *owner = (struct compressor *)zstd;

	if (zstd == NULL || (zstd->context = ZSTD_createCCtx()) == NULL)
		return caisson_fail(err, ENOMEM, "compress");
	if (!set(zstd->context, ZSTD_c_compressionLevel, options->level) ||
		!set(zstd->context, ZSTD_c_windowLog, WINDOW_LOG) ||
		!set(zstd->context, ZSTD_c_checksumFlag, 1) ||
		!set(zstd->context, ZSTD_c_nbWorkers, (int)options->threads) ||
		!set(zstd->context, ZSTD_c_jobSize, JOB_SIZE) ||
		!set(zstd->context, ZSTD_c_overlapLog, OVERLAP_LOG))
		return caisson_refuse(err, EINVAL,
			"libzstd does not take the level %d, or was built without threads",
			options->level);
	*ret_compressor = take_ptr(owner);
	return 0;
}

/* Feeds @input until all of it is taken, or with ZSTD_e_end until the frame is out. */
static int feed(
	struct zstd *zstd, ZSTD_inBuffer *input, ZSTD_EndDirective mode, struct caisson_error *err)
{
	for (;;) {
		ZSTD_outBuffer output = {zstd->out, sizeof(zstd->out), 0};
		size_t left = ZSTD_compressStream2(zstd->context, &output, input, mode);
		int r;

		if (ZSTD_isError(left))
			return caisson_refuse(
				err, EIO, "libzstd failed: %s", ZSTD_getErrorName(left));
		r = compress_emit(&zstd->base, output.dst, output.pos, err);
		if (r < 0)
			return r;
		if (mode == ZSTD_e_end ? left == 0 : input->pos == input->size)
			return 0;
	}
}

static int zstd_write(
	struct compressor *compressor, const void *data, size_t size, struct caisson_error *err)
{
	ZSTD_inBuffer input = {data, size, 0};

	return feed((struct zstd *)compressor, &input, ZSTD_e_continue, err);
}

static int zstd_finish(struct compressor *compressor, struct caisson_error *err)
{
	ZSTD_inBuffer input = {NULL, 0, 0};

	return feed((struct zstd *)compressor, &input, ZSTD_e_end, err);
}

const struct compress_engine compress_zstd = {zstd_open, zstd_write, zstd_finish, zstd_free};
