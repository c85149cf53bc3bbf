/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filesystem/ext4_folder.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "filesystem/ext4_io.h"
#include "filesystem/ext4_map.h"

#define TAIL_SIZE  ((uint32_t)sizeof(struct ext2_dir_entry_tail))
#define DOTS_SIZE  24u
#define INFO_SIZE  8u
#define ENTRY_SIZE ((uint32_t)sizeof(struct ext2_dx_entry))
#define INDEX_TAIL ((uint32_t)sizeof(struct ext2_dx_tail))
#define ROOT_MOST  ((EXT4_BLOCK_SIZE - DOTS_SIZE - INFO_SIZE - INDEX_TAIL) / ENTRY_SIZE)
#define NODE_MOST  ((EXT4_BLOCK_SIZE - 8 - INDEX_TAIL) / ENTRY_SIZE)
/* A fifth stays free, so that the first new names do not split every block. */
#define LEAF_FILL ((EXT4_BLOCK_SIZE - TAIL_SIZE) * 4 / 5)
#define NODE_FILL (NODE_MOST * 4 / 5)

/* Names from @first on are in one block, and none of them hashes to less than @hash. */
struct leaf {
	size_t first;
	uint32_t hash;
};

/* Blocks in this order: the root, @nodes inner nodes, the leaves. */
struct folder {
	ext2_filsys fs;
	ext2_ino_t number, parent;
	struct ext4_name *names;
	size_t count;
	bool checksums;
	struct leaf *leaves;
	size_t leaf_count, nodes;
};

static void put_entry(uint8_t *at, ext2_ino_t inode, uint32_t length, const char *name,
	uint32_t name_length, unsigned type)
{
	struct ext2_dir_entry *entry = (void *)at;

	entry->inode = htole32(inode);
	entry->rec_len = htole16((uint16_t)length);
	entry->name_len = htole16((uint16_t)(name_length | type << 8));
	memcpy(entry->name, name, name_length);
}

static uint32_t tail_size(const struct folder *folder)
{
	return folder->checksums ? TAIL_SIZE : 0;
}

/* Names [first, end) into @block from @at on; the last one reaches to the tail. */
static void put_names(
	const struct folder *folder, uint8_t *block, uint32_t at, size_t first, size_t end)
{
	uint32_t stop = EXT4_BLOCK_SIZE - tail_size(folder);

	for (size_t i = first; i < end; i++) {
		const struct ext4_name *name = &folder->names[i];
		uint32_t length = i + 1 < end ? ext4_name_size(name->length) : stop - at;

		put_entry(block + at, name->inode, length, name->name, name->length, name->type);
		at += length;
	}
	if (folder->checksums)
		ext2fs_initialize_dirent_tail(
			folder->fs, (struct ext2_dir_entry_tail *)(void *)(block + stop));
}

/* Returns where the next entry goes. */
static uint32_t put_dots(const struct folder *folder, uint8_t *block, uint32_t second)
{
	put_entry(block, folder->number, 12, ".", 1, EXT2_FT_DIR);
	put_entry(block + 12, folder->parent, second, "..", 2, EXT2_FT_DIR);
	return 12 + second;
}

static bool is_small(const struct folder *folder)
{
	uint32_t size = DOTS_SIZE + tail_size(folder);

	for (size_t i = 0; i < folder->count; i++) {
		size += ext4_name_size(folder->names[i].length);
		if (size > EXT4_BLOCK_SIZE)
			return false;
	}
	return true;
}

static void put_list(const struct folder *folder, uint8_t *block)
{
	uint32_t rest = EXT4_BLOCK_SIZE - tail_size(folder) - 12;

	put_names(folder, block, put_dots(folder, block, folder->count > 0 ? 12 : rest), 0,
		folder->count);
}

/* Indexes of @count children from block @first on, as many as @most fit; @hashes stride apart. */
static void put_index(const struct folder *folder, uint8_t *at, uint32_t most, size_t child,
	size_t block, size_t step, size_t count)
{
	struct ext2_dx_entry *entries = (void *)at;
	struct ext2_dx_countlimit counts = {
		.limit = htole16((uint16_t)most), .count = htole16((uint16_t)count)};

	for (size_t i = 0; i < count; i++) {
		entries[i].hash = htole32(folder->leaves[child + i * step].hash);
		entries[i].block = htole32((uint32_t)(block + i));
	}
	/* The first one's hash is nowhere needed. */
	memcpy(entries, &counts, sizeof(counts));
}

static void put_root(const struct folder *folder, uint8_t *block)
{
	struct ext2_dx_root_info info = {
		.hash_version = folder->fs->super->s_def_hash_version,
		.info_length = INFO_SIZE,
		.indirect_levels = folder->nodes > 0,
	};
	uint32_t most = folder->checksums ? ROOT_MOST : ROOT_MOST + 1;

	put_dots(folder, block, EXT4_BLOCK_SIZE - 12);
	memcpy(block + DOTS_SIZE, &info, sizeof(info));
	if (folder->nodes > 0)
		put_index(folder, block + DOTS_SIZE + INFO_SIZE, most, 0, 1, NODE_FILL,
			folder->nodes);
	else
		put_index(folder, block + DOTS_SIZE + INFO_SIZE, most, 0, 1, 1, folder->leaf_count);
}

static void put_node(const struct folder *folder, uint8_t *block, size_t node)
{
	size_t first = node * NODE_FILL;

	/* An unused entry that is as long as the block. */
	put_entry(block, 0, EXT4_BLOCK_SIZE, "", 0, 0);
	put_index(folder, block + 8, folder->checksums ? NODE_MOST : NODE_MOST + 1, first,
		1 + folder->nodes + first, 1, MIN(folder->leaf_count - first, (size_t)NODE_FILL));
}

static void put_block(const struct folder *folder, uint8_t *block, size_t index)
{
	memset(block, 0, EXT4_BLOCK_SIZE);
	if (folder->leaf_count == 0) {
		put_list(folder, block);
	} else if (index == 0) {
		put_root(folder, block);
	} else if (index <= folder->nodes) {
		put_node(folder, block, index - 1);
	} else {
		size_t leaf = index - folder->nodes - 1;

		put_names(folder, block, 0, folder->leaves[leaf].first,
			leaf + 1 < folder->leaf_count ? folder->leaves[leaf + 1].first
						      : folder->count);
	}
}

static int by_hash(const void *a, const void *b)
{
	const struct ext4_name *left = a, *right = b;

	if (left->hash != right->hash)
		return left->hash < right->hash ? -1 : 1;
	return left->minor < right->minor ? -1 : left->minor > right->minor;
}

static int hash_names(const struct folder *folder, struct caisson_error *err)
{
	const struct ext2_super_block *super = folder->fs->super;
	int version = super->s_def_hash_version;

	/* Whether the hash takes bytes above 0x7f as negative: as the maker's processor did. */
	if (version <= EXT2_HASH_TEA && (super->s_flags & EXT2_FLAGS_UNSIGNED_HASH) != 0)
		version += 3;
	for (size_t i = 0; i < folder->count; i++) {
		struct ext4_name *name = &folder->names[i];
		errcode_t code = ext2fs_dirhash(version, name->name, name->length,
			super->s_hash_seed, &name->hash, &name->minor);

		if (code != 0)
			return ext4_io_fail(folder->fs, code, "index a folder", err);
	}
	qsort(folder->names, folder->count, sizeof(*folder->names), by_hash);
	return 0;
}

/* Cuts the sorted names into blocks. */
static int make_leaves(struct folder *folder, struct caisson_error *err)
{
	size_t bytes = 0, capacity;
	uint32_t used = UINT32_MAX;
	const struct ext4_name *names = folder->names;

	for (size_t i = 0; i < folder->count; i++)
		bytes += ext4_name_size(names[i].length);
	/* Each leaf but the last has more in it than what is left free for the longest name. */
	capacity = bytes / (LEAF_FILL - ext4_name_size(EXT4_NAME_MOST)) + 2;
	folder->leaves = calloc(capacity, sizeof(*folder->leaves));
	if (folder->leaves == NULL)
		return caisson_fail(err, ENOMEM, "index a folder");
	for (size_t i = 0; i < folder->count; i++) {
		uint32_t size = ext4_name_size(names[i].length);

		if (used > LEAF_FILL - size) {
			/* The lowest bit: names of this hash began in the block before. */
			bool goes_on = i > 0 && names[i - 1].hash == names[i].hash;

			folder->leaves[folder->leaf_count++] =
				(struct leaf){.first = i, .hash = names[i].hash | goes_on};
			used = 0;
		}
		used += size;
	}
	return 0;
}

static int make_tree(struct folder *folder, struct caisson_error *err)
{
	int r = hash_names(folder, err);

	if (r == 0)
		r = make_leaves(folder, err);
	if (r < 0)
		return r;
	if (folder->leaf_count > ROOT_MOST)
		folder->nodes = (folder->leaf_count + NODE_FILL - 1) / NODE_FILL;
	if (folder->nodes > ROOT_MOST)
		return caisson_refuse(err, E2BIG, "a folder has more names than ext4 can index");
	return 0;
}

static int write_blocks(const struct folder *folder, struct ext4_writer *writer, size_t blocks,
	struct ext4_map *map, struct caisson_error *err)
{
	_cleanup_free_ uint8_t *image = aligned_alloc(EXT4_BLOCK_SIZE, EXT4_BLOCK_SIZE);
	size_t done = 0;
	int r = image != NULL ? 0 : caisson_fail(err, ENOMEM, "write a folder");

	while (r == 0 && done < blocks) {
		uint64_t block;
		uint32_t count;

		r = ext4_allocate(writer, blocks - done, &block, &count, err);
		if (r == 0)
			r = ext4_map_add(map, done, block, count, err);
		for (uint32_t i = 0; r == 0 && i < count; i++) {
			put_block(folder, image, done + i);
			r = ext4_io_fail(folder->fs,
				ext2fs_dir_block_csum_set(
					folder->fs, folder->number, (void *)image),
				"sum up a folder", err);
			if (r == 0)
				r = ext4_queue(writer, block + i, image, EXT4_BLOCK_SIZE, err);
		}
		done += count;
	}
	return r;
}

int ext4_write_folder(struct ext4_writer *writer, ext2_ino_t number, ext2_ino_t parent,
	struct ext4_name *names, size_t count, union ext4_inode *inode, struct caisson_error *err)
{
	struct ext4_map map = {.writer = writer, .inode = number};
	struct folder folder = {.fs = ext4_writer_fs(writer),
		.number = number,
		.parent = parent,
		.names = names,
		.count = count};
	size_t blocks;
	int r = 0;

	folder.checksums = ext2fs_has_feature_metadata_csum(folder.fs->super);
	inode->fields.i_flags &= ~(uint32_t)EXT2_INDEX_FL;
	if (!is_small(&folder)) {
		r = make_tree(&folder, err);
		inode->fields.i_flags |= EXT2_INDEX_FL;
	}
	blocks = folder.leaf_count > 0 ? 1 + folder.nodes + folder.leaf_count : 1;
	if (r == 0)
		r = write_blocks(&folder, writer, blocks, &map, err);
	if (r == 0)
		r = ext4_map_finish(&map, inode, err);
	if (r == 0)
		ext4_set_size(inode, blocks * EXT4_BLOCK_SIZE);
	ext4_map_done(&map);
	free(folder.leaves);
	return r;
}
