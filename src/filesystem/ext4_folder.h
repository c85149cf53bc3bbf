/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A whole directory at once: what fits one block is a list, what does not has a hash tree
 * (dir_index). */
#pragma once

#include "filesystem/ext4_writer.h"

#define EXT4_NAME_MOST 255u

struct ext4_name {
	const char *name;     /* not terminated */
	uint8_t length, type; /* EXT2_FT_... */
	ext2_ino_t inode;
	uint32_t hash, minor; /* ext4_write_folder()'s */
};

/* What a name takes of a block, bytes. */
static inline uint32_t ext4_name_size(uint32_t length)
{
	return (length + 8 + 3) & ~3u;
}

/*
 * Writes "." (@number), ".." (@parent) and @names, which are sorted on the way, and lets @inode,
 * which has no data, have the blocks and the size. -E2BIG for more names than ext4 can index.
 */
int ext4_write_folder(struct ext4_writer *writer, ext2_ino_t number, ext2_ino_t parent,
	struct ext4_name *names, size_t count, union ext4_inode *inode, struct caisson_error *err);
