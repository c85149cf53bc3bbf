/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which bytes of a filesystem must be written for it to be the same elsewhere. */
#pragma once

#include "base/blocks.h"
#include "base/extent.h"
#include "filesystem/probe.h"

struct filesystem_image {
	struct blocks *blocks; /* plain */
	/* Where byte 0 of it stands, for its holes: that file or device. -1: nothing is known of
	   holes. */
	int fd;
	uint64_t base;
	/* @fd holds it encrypted: what is a hole there was never written. Holes of a plain one are
	   zeros, which a filesystem may rely on. */
	bool encrypted;
};

/*
 * In order. Of ext2, ext3 and ext4 that are clean: what their bitmaps say; of anything else all,
 * less what was never written. All are whole blocks of 512 bytes; what is between two of them may
 * be listed too.
 * @ret_kind: as filesystem_kind() has it.
 */
int filesystem_extents(const struct filesystem_image *image,
	char ret_kind[static FILESYSTEM_KIND_SIZE], struct extents *ret_extents,
	struct caisson_error *err);
