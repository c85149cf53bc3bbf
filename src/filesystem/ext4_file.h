/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file's contents, in ascending order; what is left out is a hole. */
#pragma once

#include "filesystem/ext4_map.h"

#define EXT4_FILE_BLOCKS_MOST UINT64_C(0xffffffff) /* what an extent's block number reaches */

struct ext4_file {
	struct ext4_map map;
	uint64_t end; /* what comes next begins no earlier, bytes */
	/* Contents without a place so far. */
	uint8_t *chunk;    /* the writer's */
	uint64_t chunk_at; /* bytes, of whole blocks */
	size_t chunk_size;
};

void ext4_file_init(struct ext4_file *file, struct ext4_writer *writer, ext2_ino_t inode);
/* -EBADMSG when @offset lies before what was written; -EFBIG; -ENOSPC. */
int ext4_file_write(struct ext4_file *file, uint64_t offset, const void *data, size_t size,
	struct caisson_error *err);
/* The same from what was lent to the writer; @offset and @length are of whole blocks. */
int ext4_file_copy(struct ext4_file *file, uint32_t loan, uint64_t offset, uint64_t length,
	struct caisson_error *err);
/* Writes what is left, and lets @inode have it all. Its size is the caller's. */
int ext4_file_finish(struct ext4_file *file, union ext4_inode *inode, struct caisson_error *err);
void ext4_file_done(struct ext4_file *file);

#define _cleanup_ext4_file_ _cleanup_(ext4_file_done)
