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
	int errors; /* what mke2fs says */
	pid_t pid;  /* 0 when it has ended */
};

#define MKFS_NONE ((struct mkfs){.image = -1, .errors = -1})

/* Starts mke2fs for a filesystem of @size bytes that is called @label; it runs beside us. */
int mkfs_start(struct mkfs *ret_mkfs, uint64_t size, const char *label, struct caisson_error *err);
int mkfs_wait(struct mkfs *mkfs, struct caisson_error *err);
/* What must be written of it, in order: see ext_extents(). */
int mkfs_extents(const struct mkfs *mkfs, struct extents *ret_extents, struct caisson_error *err);
/* Ends mke2fs if it still runs. */
void mkfs_done(struct mkfs *mkfs);

#define _cleanup_mkfs_ _cleanup_(mkfs_done)
