/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a file's blocks are: the tree of extents, built from its leaves in ascending order. */
#pragma once

#include "filesystem/ext4_writer.h"

#define EXT4_MAP_LEVELS 6u /* ext4 goes to depth 5 */

/* One node of each level is in memory; a node gets its block when it is full. */
struct ext4_map {
	struct ext4_writer *writer;
	ext2_ino_t inode;
	struct {
		uint32_t logical, count;
		uint64_t block;
	} last; /* may still grow */
	uint8_t *levels[EXT4_MAP_LEVELS];
	uint64_t blocks; /* the file's, and the tree's own */
};

int ext4_map_add(struct ext4_map *map, uint64_t logical, uint64_t block, uint32_t count,
	struct caisson_error *err);
/* Lets @inode have the tree, and counts its blocks there. */
int ext4_map_finish(struct ext4_map *map, union ext4_inode *inode, struct caisson_error *err);
void ext4_map_done(struct ext4_map *map);
