/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A new filesystem, made plain in memory (an empty one holds nothing secret), to be encrypted from
 * there. */
#pragma once

#include <caisson/error.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"
#include "luks/encrypt.h"

struct mkfs {
	int image;  /* sparse, as large as the payload */
	int errors; /* what mke2fs says */
	pid_t pid;  /* 0 when it has ended */
};

#define MKFS_NONE ((struct mkfs){.image = -1, .errors = -1})

/* Starts mke2fs for a filesystem of @size bytes that is called @label; it runs beside us. */
int mkfs_start(struct mkfs *ret_mkfs, uint64_t size, const char *label, struct caisson_error *err);
int mkfs_wait(struct mkfs *mkfs, struct caisson_error *err);
/*
 * The blocks that the filesystem relies on, in order: those that it counts as used, also where they
 * hold zeros, less what ext4 writes before it reads: inode tables that are marked as not
 * initialised, the journal behind its superblock, and the backups of group descriptors that are
 * only reserved. Owned by the caller.
 */
int mkfs_extents(const struct mkfs *mkfs, struct luks_extent **ret_extents, size_t *ret_count,
	struct caisson_error *err);
/* Ends mke2fs if it still runs. */
void mkfs_done(struct mkfs *mkfs);

#define _cleanup_mkfs_ _cleanup_(mkfs_done)
