/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filesystem/ext4_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The checksum stands behind the last entry that fits. */
#define ENTRY_SIZE     sizeof(struct ext3_extent)
#define HEADER_SIZE    sizeof(struct ext3_extent_header)
#define BLOCK_ENTRIES  ((EXT4_BLOCK_SIZE - HEADER_SIZE) / ENTRY_SIZE)
#define INODE_ENTRIES  4u
#define BLOCK_HIGH(at) ((uint16_t)((at) >> 32))

static struct ext3_extent_header *header_of(const struct ext4_map *map, unsigned level)
{
	return (struct ext3_extent_header *)(void *)map->levels[level];
}

/* Little endian as it is on the disk: libext2fs swaps inodes and nothing else of ours. */
static void set_header(uint8_t *node, uint16_t entries, uint16_t most, unsigned level)
{
	struct ext3_extent_header header = {
		.eh_magic = htole16(EXT3_EXT_MAGIC),
		.eh_entries = htole16(entries),
		.eh_max = htole16(most),
		.eh_depth = htole16((uint16_t)level),
	};

	memcpy(node, &header, sizeof(header));
}

static int begin_node(struct ext4_map *map, unsigned level, struct caisson_error *err)
{
	if (level >= EXT4_MAP_LEVELS)
		return caisson_refuse(err, EFBIG, "a file is in too many pieces");
	if (map->levels[level] == NULL)
		map->levels[level] = aligned_alloc(EXT4_BLOCK_SIZE, EXT4_BLOCK_SIZE);
	if (map->levels[level] == NULL)
		return caisson_fail(err, ENOMEM, "fill a filesystem");
	memset(map->levels[level], 0, EXT4_BLOCK_SIZE);
	set_header(map->levels[level], 0, BLOCK_ENTRIES, level);
	return 0;
}

static int add_entry(
	struct ext4_map *map, unsigned level, const void *entry, struct caisson_error *err);

/* Gives the node of @level a block, and the level above an entry that leads to it. */
static int write_node(struct ext4_map *map, unsigned level, struct caisson_error *err)
{
	ext2_filsys fs = ext4_writer_fs(map->writer);
	struct ext3_extent_idx index = {0};
	uint64_t block;
	uint32_t count;
	int r = ext4_allocate(map->writer, 1, &block, &count, err);

	if (r < 0)
		return r;
	map->blocks++;
	(void)ext2fs_extent_block_csum_set(fs, map->inode, header_of(map, level));
	r = ext4_write_block(map->writer, block, map->levels[level], err);
	if (r < 0)
		return r;
	/* Extents and indexes begin with the same field. */
	memcpy(&index.ei_block, map->levels[level] + HEADER_SIZE, sizeof(index.ei_block));
	index.ei_leaf = htole32((uint32_t)block);
	index.ei_leaf_hi = htole16(BLOCK_HIGH(block));
	r = begin_node(map, level, err);
	return r < 0 ? r : add_entry(map, level + 1, &index, err);
}

static int add_entry(
	struct ext4_map *map, unsigned level, const void *entry, struct caisson_error *err)
{
	uint16_t entries;
	int r = 0;

	if (level >= EXT4_MAP_LEVELS || map->levels[level] == NULL)
		r = begin_node(map, level, err);
	if (r == 0 && le16toh(header_of(map, level)->eh_entries) == BLOCK_ENTRIES)
		r = write_node(map, level, err);
	if (r < 0)
		return r;
	entries = le16toh(header_of(map, level)->eh_entries);
	memcpy(map->levels[level] + HEADER_SIZE + entries * ENTRY_SIZE, entry, ENTRY_SIZE);
	header_of(map, level)->eh_entries = htole16(entries + 1);
	return 0;
}

static int settle_last(struct ext4_map *map, struct caisson_error *err)
{
	struct ext3_extent extent = {
		.ee_block = htole32(map->last.logical),
		.ee_len = htole16((uint16_t)map->last.count),
		.ee_start = htole32((uint32_t)map->last.block),
		.ee_start_hi = htole16(BLOCK_HIGH(map->last.block)),
	};

	if (map->last.count == 0)
		return 0;
	map->last.count = 0;
	return add_entry(map, 0, &extent, err);
}

int ext4_map_add(struct ext4_map *map, uint64_t logical, uint64_t block, uint32_t count,
	struct caisson_error *err)
{
	int r;

	map->blocks += count;
	if (map->last.count > 0 && logical == (uint64_t)map->last.logical + map->last.count &&
		block == map->last.block + map->last.count &&
		map->last.count + count <= EXT_INIT_MAX_LEN) {
		map->last.count += count;
		return 0;
	}
	r = settle_last(map, err);
	map->last.logical = (uint32_t)logical;
	map->last.block = block;
	map->last.count = count;
	return r;
}

int ext4_map_finish(struct ext4_map *map, union ext4_inode *inode, struct caisson_error *err)
{
	uint8_t *root = (uint8_t *)inode->fields.i_block;
	unsigned top = 0;
	uint16_t entries = 0;
	int r = settle_last(map, err);

	/* Up to the level that fits into the inode. */
	while (r == 0 && map->levels[top] != NULL) {
		entries = le16toh(header_of(map, top)->eh_entries);
		if (entries <= INODE_ENTRIES &&
			(top + 1 == EXT4_MAP_LEVELS || map->levels[top + 1] == NULL))
			break;
		r = write_node(map, top++, err);
	}
	if (r < 0)
		return r;
	memset(inode->fields.i_block, 0, sizeof(inode->fields.i_block));
	set_header(root, entries, INODE_ENTRIES, top);
	if (entries > 0)
		memcpy(root + HEADER_SIZE, map->levels[top] + HEADER_SIZE, entries * ENTRY_SIZE);
	inode->fields.i_flags |= EXT4_EXTENTS_FL;
	ext4_add_blocks(inode, map->blocks);
	map->blocks = 0;
	return 0;
}

void ext4_map_done(struct ext4_map *map)
{
	for (unsigned level = 0; level < EXT4_MAP_LEVELS; level++) {
		free(map->levels[level]);
		map->levels[level] = NULL;
	}
}
