/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sinks for an archive: a file as it is, or a zstd frame (RFC 8878) that the kernel's unzstd()
 * takes. */
#pragma once

#include "base/macros.h"
#include "boot/cpio.h"

/*
 * Of an archive of 13.6 MB (guest, e2fsck, cryptsetup, their closures, 18 modules), on one core:
 *
 *   level    1        3        6        9        15       19
 *   MB       5.98     5.45     5.15     5.04     4.98     4.51
 *   s        0.09     0.21     0.48     0.82     4.6      11
 *
 * The guest unpacks all of them about equally fast. Beyond 6, a new build costs more than is saved.
 */
#define COMPRESS_LEVEL_DEFAULT 6
#define COMPRESS_LEVEL_MOST    19

/* A file: appended to at its position. */
struct file_sink {
	int fd;
	const char *what;
	uint64_t written;
};

struct sink file_sink(struct file_sink *file);

struct compressor;

/* One zstd frame into @to. @level: 1 to COMPRESS_LEVEL_MOST, 0 for the default. */
int compressor_new(
	struct compressor **ret_compressor, int level, struct sink to, struct caisson_error *err);
struct sink compressor_sink(struct compressor *compressor);
/* Ends the frame. */
int compressor_finish(struct compressor *compressor, struct caisson_error *err);
void compressor_free(struct compressor *compressor);
DEFINE_CLEANUP(struct compressor *, compressor_free);
