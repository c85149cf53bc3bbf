/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ext2, ext3 and ext4: which of their blocks mean anything; inside filesystem/ only. */
#pragma once

#include "base/blocks.h"
#include "base/extent.h"

/*
 * What a filesystem relies on, in order: blocks that it counts as used, also where they hold zeros,
 * less what ext4 writes before it reads: inode tables that are marked as not initialised, a clean
 * journal behind its superblock, and the backups of group descriptors that are only reserved; and
 * what stands before it and behind it. -EBADMSG when the bitmaps may not be relied on: errors, a
 * journal to be replayed, something unknown, damage.
 */
int ext_extents(struct blocks *image, struct extents *ret_extents, struct caisson_error *err);
