/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One kind of compression each: compress.c knows them by these tables. */
#pragma once

#include <caisson/error.h>
#include <stddef.h>

#include "boot/compress.h"

struct compress_engine {
	/* @options has the level and the threads that are used. */
	int (*open)(struct compressor **ret_compressor, const struct compressor_options *options,
		struct caisson_error *err);
	int (*write)(struct compressor *compressor, const void *data, size_t size,
		struct caisson_error *err);
	int (*finish)(struct compressor *compressor, struct caisson_error *err);
	void (*free)(struct compressor *compressor);
};

/* The first member of each engine's own object. */
struct compressor {
	const struct compress_engine *engine;
	struct sink to;
};

extern const struct compress_engine compress_zstd, compress_gzip, compress_xz, compress_lz4;

static inline int compress_emit(
	struct compressor *compressor, const void *data, size_t size, struct caisson_error *err)
{
	return size == 0 ? 0 : compressor->to.write(compressor->to.userdata, data, size, err);
}
