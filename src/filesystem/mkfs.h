/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A new filesystem, made plain in memory (an empty one holds nothing secret), to be encrypted from
 * there. */
#pragma once

#include <caisson/error.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/extent.h"
#include "base/macros.h"

struct mkfs {
	int image; /* sparse, as large as the payload */
	uint64_t size;
	char kind[16];
	uint64_t inodes;
	int errors; /* what mkfs says */
	pid_t pid;  /* 0 when it has ended */
};

#define MKFS_NONE ((struct mkfs){.image = -1, .errors = -1})

/* Starts mkfs for a filesystem of @kind ("ext4", "xfs", "btrfs") and @size bytes that is called
   @label, as far as that fits; it runs beside us. @inodes: of an ext4; 0: as many as mke2fs likes.
 */
int mkfs_start(struct mkfs *ret_mkfs, const char *kind, uint64_t size, uint64_t inodes,
	const char *label, struct caisson_error *err);
int mkfs_wait(struct mkfs *mkfs, struct caisson_error *err);
/* What must be written of it, in order: see ext_extents(). */
int mkfs_extents(const struct mkfs *mkfs, struct extents *ret_extents, struct caisson_error *err);
/* The same on the device @path, and waits for it. */
int mkfs_device(const char *path, const char *kind, uint64_t size, const char *label,
	struct caisson_error *err);
/* Ends mkfs if it still runs. */
void mkfs_done(struct mkfs *mkfs);

#define _cleanup_mkfs_ _cleanup_(mkfs_done)
