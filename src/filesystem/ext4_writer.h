/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing into an ext4 filesystem that nobody has mounted: blocks, inodes, files. What libext2fs
 * keeps (descriptors, bitmaps) goes through ext4_io; contents go to a transfer, in large pieces.
 */
#pragma once

#include <caisson/error.h>
#include <ext2fs/ext2fs.h>
#include <sys/stat.h>
#include <time.h>

#include "base/blocks.h"
#include "luks/transfer.h"

#define EXT4_BLOCK_SIZE   4096u
#define EXT4_INODE_SIZE   256u
#define EXT4_CHUNK_BLOCKS 256u /* what a writer gathers before it hands it on: 1 MiB */
#define EXT4_LINKS_MOST   65000u

struct ext4_writer;

/* All of an inode, with room for extended attributes behind its fields. */
union ext4_inode {
	struct ext2_inode_large fields;
	uint8_t bytes[EXT4_INODE_SIZE];
};

/* Both are borrowed. The filesystem has blocks of EXT4_BLOCK_SIZE and inodes of EXT4_INODE_SIZE. */
int ext4_writer_open(struct blocks *payload, struct transfer *bulk, struct ext4_writer **ret_writer,
	struct caisson_error *err);
ext2_filsys ext4_writer_fs(const struct ext4_writer *writer);
uint64_t ext4_free_blocks(const struct ext4_writer *writer);
/* -ENOSPC came of the filesystem, and not of the disk that it is on. */
bool ext4_is_full(const struct ext4_writer *writer);
/* Everything is written when this returns (not: synced); nothing may follow but freeing. */
int ext4_writer_finish(struct ext4_writer *writer, struct caisson_error *err);
void ext4_writer_free(struct ext4_writer *writer);
DEFINE_CLEANUP(struct ext4_writer *, ext4_writer_free);

/* 1 to @want blocks that lie together, behind those given out before. -ENOSPC. */
int ext4_allocate(struct ext4_writer *writer, uint64_t want, uint64_t *ret_block,
	uint32_t *ret_count, struct caisson_error *err);
/* Gives back everything that an inode has, and the inode. */
int ext4_remove_inode(struct ext4_writer *writer, ext2_ino_t number, struct caisson_error *err);
/* Gives back an inode's blocks of data, and lets it have none. */
int ext4_remove_data(struct ext4_writer *writer, ext2_ino_t number, union ext4_inode *inode,
	struct caisson_error *err);
/* Queues contents; neighbours are joined. A block's rest becomes zeros. */
int ext4_queue(struct ext4_writer *writer, uint64_t block, const void *data, size_t size,
	struct caisson_error *err);
/* EXT4_CHUNK_BLOCKS blocks for whoever writes a file: one at a time. */
uint8_t *ext4_chunk(struct ext4_writer *writer);
/* A block that is read again in this run: through ext4_io. */
int ext4_write_block(
	struct ext4_writer *writer, uint64_t block, const void *data, struct caisson_error *err);
/*
 * Queues whole blocks of the regular file @fd, which the writer owns from here on, also when this
 * fails; it says so when @path changes while it is read. @wanted is what fstat() said at first.
 */
int ext4_lend(struct ext4_writer *writer, int fd, const char *path, const struct stat *wanted,
	uint32_t *ret_loan, struct caisson_error *err);
int ext4_queue_copy(struct ext4_writer *writer, uint32_t loan, uint64_t offset, uint64_t block,
	uint64_t count, struct caisson_error *err);
/* "@path changed while it was read" when @fd is no longer what it was. */
int ext4_unchanged(int fd, const char *path, const struct stat *wanted, struct caisson_error *err);

/* An unused inode, whose place in the table is there to be written. -ENOSPC. */
int ext4_new_inode(
	struct ext4_writer *writer, bool folder, ext2_ino_t *ret_number, struct caisson_error *err);
int ext4_read_inode(struct ext4_writer *writer, ext2_ino_t number, union ext4_inode *ret_inode,
	struct caisson_error *err);
int ext4_write_inode(struct ext4_writer *writer, ext2_ino_t number, union ext4_inode *inode,
	struct caisson_error *err);
/* Access, change, modification and birth. */
void ext4_set_times(union ext4_inode *inode, struct timespec time);
void ext4_set_size(union ext4_inode *inode, uint64_t size);
/* What of it occupies blocks: data, its map, extended attributes. */
void ext4_add_blocks(union ext4_inode *inode, uint64_t count);
