/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One xz stream as the kernel's unxz() takes it (Documentation/staging/xz.rst): CRC32, LZMA2. Its
 * blocks are of one size, so that threads change nothing. The filter for x86 code is left away:
 * modules are mostly relocations, and 60 MB of them with programs get 1.4 % larger by it.
 */
#include <errno.h>
#include <lzma.h>

#include "boot/compress_engine.h"

enum {
	/* The kernel allocates the dictionary. Of 4 MiB it would save 3 %, for twice the memory
	   here. */
	DICTIONARY_MOST = 1 << 20,
	BLOCK_SIZE = 4 << 20,
	OUT_SIZE = 128 << 10,
};

struct xz {
	struct compressor base;
	lzma_stream stream;
	uint8_t out[OUT_SIZE];
};

static void xz_free(struct compressor *compressor)
{
	struct xz *xz = (struct xz *)compressor;

	lzma_end(&xz->stream);
	free(xz);
}

DEFINE_CLEANUP(struct compressor *, xz_free);

static int xz_open(struct compressor **ret_compressor, const struct compressor_options *options,
	struct caisson_error *err)
{
	struct xz *xz = calloc(1, sizeof(*xz));
	_cleanup_(xz_freep) struct compressor *owner = (struct compressor *)xz;
	lzma_options_lzma lzma;
	lzma_filter filters[] = {
		{LZMA_FILTER_LZMA2, &lzma},
		{LZMA_VLI_UNKNOWN, NULL},
	};
	lzma_mt mt = {.threads = options->threads,
		.block_size = BLOCK_SIZE,
		.filters = filters,
		.check = LZMA_CHECK_CRC32};

	if (xz == NULL)
		return caisson_fail(err, ENOMEM, "compress");
	if (lzma_lzma_preset(&lzma, (uint32_t)options->level))
		return caisson_refuse(
			err, EINVAL, "liblzma does not take the level %d", options->level);
	lzma.dict_size = MIN(lzma.dict_size, (uint32_t)DICTIONARY_MOST);
	if (lzma_stream_encoder_mt(&xz->stream, &mt) != LZMA_OK)
		return caisson_fail(err, ENOMEM, "compress");
	*ret_compressor = take_ptr(owner);
	return 0;
}

static int feed(struct xz *xz, lzma_action action, struct caisson_error *err)
{
	for (;;) {
		lzma_ret status;
		int r;

		xz->stream.next_out = xz->out;
		xz->stream.avail_out = sizeof(xz->out);
		status = lzma_code(&xz->stream, action);
		if (status == LZMA_MEM_ERROR)
			return caisson_fail(err, ENOMEM, "compress");
		if (status != LZMA_OK && status != LZMA_STREAM_END)
			return caisson_refuse(err, EIO, "liblzma failed: %d", (int)status);
		r = compress_emit(&xz->base, xz->out, sizeof(xz->out) - xz->stream.avail_out, err);
		if (r < 0)
			return r;
		if (action == LZMA_FINISH ? status == LZMA_STREAM_END : xz->stream.avail_in == 0)
			return 0;
	}
}

static int xz_write(
	struct compressor *compressor, const void *data, size_t size, struct caisson_error *err)
{
	struct xz *xz = (struct xz *)compressor;

	xz->stream.next_in = data;
	xz->stream.avail_in = size;
	return size == 0 ? 0 : feed(xz, LZMA_RUN, err);
}

static int xz_finish(struct compressor *compressor, struct caisson_error *err)
{
	struct xz *xz = (struct xz *)compressor;

	xz->stream.avail_in = 0;
	return feed(xz, LZMA_FINISH, err);
}

const struct compress_engine compress_xz = {xz_open, xz_write, xz_finish, xz_free};
