/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libext2fs on anything that has blocks, for reading alone; inside filesystem/ only. */
#pragma once

#include <ext2fs/ext2fs.h>

#include "base/blocks.h"

/*
 * ext2fs_open() of @blocks. @err says why a read failed, whenever that is, until @ret_fs is closed;
 * failures of libext2fs's own are put into words by blocks_io_failed().
 */
errcode_t blocks_io_open(
	struct blocks *blocks, int flags, ext2_filsys *ret_fs, struct caisson_error *err);
/* A negative errno for @code: what @err says already, or a sentence of its own. */
int blocks_io_failed(errcode_t code, struct caisson_error *err);

static inline void blocks_io_closep(ext2_filsys *fs)
{
	if (*fs != NULL)
		(void)ext2fs_close_free(fs);
}

#define _cleanup_ext2_ _cleanup_(blocks_io_closep)
