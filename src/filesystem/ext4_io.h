/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libext2fs on a `struct blocks`: a filesystem in an encrypted payload is worked on where it is. */
#pragma once

#include <caisson/error.h>
#include <ext2fs/ext2fs.h>

#include "base/blocks.h"

/*
 * Opens the filesystem on @blocks (borrowed, for as long as it is open) for writing unless
 * @read_only or they are. What a writer reads and writes passes through a cache that is written
 * back in runs when it is full, when libext2fs flushes, and at the end; nothing is synced. Errors
 * as ext4_io_fail()'s.
 */
int ext4_io_open(
	struct blocks *blocks, bool read_only, ext2_filsys *ret_fs, struct caisson_error *err);
/* Writes back what is dirty and forgets all of the cache: for blocks that others write to. */
int ext4_io_forget(ext2_filsys fs, struct caisson_error *err);
/* The sentence for @code, 0 for none: why the blocks failed, when they did, with their errno;
   -ENOMEM, -ENOSPC or an errno that libext2fs gave; otherwise -EBADMSG and "@what: libext2fs error
   N". */
int ext4_io_fail(ext2_filsys fs, errcode_t code, const char *what, struct caisson_error *err);
/* Writes superblock, descriptors and bitmaps if they changed, and frees @fs in any case. */
int ext4_io_close(ext2_filsys fs, struct caisson_error *err);
/* Frees it; what was not written is lost. */
void ext4_io_abandon(ext2_filsys fs);
DEFINE_CLEANUP(ext2_filsys, ext4_io_abandon);

#define _cleanup_ext4_io_ _cleanup_(ext4_io_abandonp)
