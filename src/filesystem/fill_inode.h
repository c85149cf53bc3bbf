/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inodes of what a source tells; inside filesystem/ only. */
#pragma once

#include "filesystem/ext4_writer.h"
#include "filesystem/fill.h"

/* Where pieces of files are read to. */
#define FILL_BUFFER_SIZE (1u << 20)

/* EXT2_FT_..., 0 for what has no place in a filesystem. */
uint8_t fill_type(mode_t mode);
/* Owner, mode, times and extended attributes; the rest of @inode stays. */
int fill_attributes(struct ext4_writer *writer, ext2_ino_t number, union ext4_inode *inode,
	const struct fill_entry *entry, struct caisson_error *err);
/* A new inode for @entry with all that it holds (folders: nothing so far). @buffer:
 * FILL_BUFFER_SIZE. */
int fill_inode(struct ext4_writer *writer, struct fill_source *source,
	const struct fill_entry *entry, uint8_t *buffer, ext2_ino_t *ret_number,
	struct caisson_error *err);
/* The next range of data in @fd at or behind @offset, in whole blocks, but not beyond @size.
   1, or 0 when there is none. */
int fill_next_data(int fd, const struct stat *st, uint64_t offset, uint64_t *ret_start,
	uint64_t *ret_end, struct caisson_error *err);
