/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Something that bytes are read from and written to at any offset: a file, a device, the plain side
 * of an encrypted payload, changes that are not written yet. One that stands on another borrows it.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct blocks;

struct blocks_ops {
	int (*read)(struct blocks *blocks, uint64_t offset, void *data, size_t size,
		struct caisson_error *err);
	int (*write)(struct blocks *blocks, uint64_t offset, const void *data, size_t size,
		struct caisson_error *err);
	/* On the disk when it returns. */
	int (*flush)(struct blocks *blocks, struct caisson_error *err);
	/* Gives space back; what is read there afterwards is anything. NULL: cannot. */
	int (*discard)(
		struct blocks *blocks, uint64_t offset, uint64_t length, struct caisson_error *err);
	void (*free)(struct blocks *blocks);
};

/* Embedded at the front of each kind. Calls may come from several threads at once. */
struct blocks {
	const struct blocks_ops *ops;
	uint64_t size; /* bytes */
	bool read_only;
	const char *what; /* what errors call it; lives as long as this does */
};

/* Each of these refuses a range beyond the end (-EINVAL), and writes to what is read-only (-EROFS).
 */
int blocks_read(
	struct blocks *blocks, uint64_t offset, void *data, size_t size, struct caisson_error *err);
int blocks_write(struct blocks *blocks, uint64_t offset, const void *data, size_t size,
	struct caisson_error *err);
int blocks_flush(struct blocks *blocks, struct caisson_error *err);
/* Without complaint where space cannot be given back. */
int blocks_discard(
	struct blocks *blocks, uint64_t offset, uint64_t length, struct caisson_error *err);
/* Zeros that are read as zeros. */
int blocks_zero(struct blocks *blocks, uint64_t offset, uint64_t length, struct caisson_error *err);
void blocks_free(struct blocks *blocks);
DEFINE_CLEANUP(struct blocks *, blocks_free);

#define _cleanup_blocks_ _cleanup_(blocks_freep)

/* A regular file or a block device; @fd is borrowed. */
int blocks_of_file(int fd, uint64_t size, bool read_only, const char *what,
	struct blocks **ret_blocks, struct caisson_error *err);
