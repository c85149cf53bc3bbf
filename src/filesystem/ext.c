/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filesystem/ext.h"

#include <errno.h>

#include "filesystem/ext4_io.h"

#define GROUPS_MOST (4u << 20) /* 512 TiB at 4096 bytes a block */
/* Up to here, one bit a block takes no more than 64 MiB, whatever is on; beyond, a tree of ranges.
 */
#define BITS_MOST (1ull << 29)
/* Writing so much too much is cheaper than writing twice. */
#define GAP 16384u

static int doubtful(struct caisson_error *err, const char *why)
{
	return caisson_refuse(err, EBADMSG, "the filesystem's bitmaps may not be right: %s", why);
}

/* libext2fs takes room for what a superblock says: it is read before. */
static int check_superblock(struct blocks *image, struct caisson_error *err)
{
	struct ext2_super_block super;
	uint64_t blocks, block_size, groups;
	int r = blocks_read(image, SUPERBLOCK_OFFSET, &super, sizeof(super), err);

	if (r < 0)
		return r;
	if (ext2fs_le16_to_cpu(super.s_magic) != EXT2_SUPER_MAGIC)
		return doubtful(err, "there is no superblock");
	if (ext2fs_le32_to_cpu(super.s_log_block_size) > 6)
		return doubtful(err, "the size of a block is absurd");
	block_size = UINT64_C(1024) << ext2fs_le32_to_cpu(super.s_log_block_size);
	blocks = ext2fs_le32_to_cpu(super.s_blocks_count);
	if (ext2fs_le32_to_cpu(super.s_feature_incompat) & EXT4_FEATURE_INCOMPAT_64BIT)
		blocks |= (uint64_t)ext2fs_le32_to_cpu(super.s_blocks_count_hi) << 32;
	if (blocks == 0 || blocks > image->size / block_size)
		return doubtful(err, "it is larger than what it is in");
	groups = ext2fs_le32_to_cpu(super.s_blocks_per_group);
	if (groups < 8 || blocks / groups >= GROUPS_MOST)
		return doubtful(err, "it has too many groups");
	return 0;
}

static int check_health(ext2_filsys fs, struct caisson_error *err)
{
	if ((fs->super->s_state & EXT2_VALID_FS) == 0 ||
		ext2fs_has_feature_journal_needs_recovery(fs->super))
		return doubtful(err, "it was not unmounted");
	if ((fs->super->s_state & EXT2_ERROR_FS) != 0)
		return doubtful(err, "it has errors");
	for (dgrp_t group = 0; group < fs->group_desc_count; group++)
		if (!ext2fs_group_desc_csum_verify(fs, group))
			return doubtful(err, "a checksum of a group is wrong");
	return 0;
}

/* Inodes behind the last used one of a group are not there until the kernel has zeroed them:
   bg_itable_unused says where they begin, under a checksum. */
static void drop_unused_inodes(ext2_filsys fs, ext2fs_block_bitmap used)
{
	for (dgrp_t group = 0; group < fs->group_desc_count; group++) {
		blk64_t table = ext2fs_inode_table_loc(fs, group), keep;
		uint32_t inodes = fs->super->s_inodes_per_group;
		uint32_t unused = ext2fs_bg_flags_test(fs, group, EXT2_BG_INODE_UNINIT)
					  ? inodes
					  : ext2fs_bg_itable_unused(fs, group);

		if (ext2fs_bg_flags_test(fs, group, EXT2_BG_INODE_ZEROED) || unused > inodes)
			continue;
		keep = ext2fs_div64_ceil(
			(uint64_t)(inodes - unused) * EXT2_INODE_SIZE(fs->super), fs->blocksize);
		if (keep < fs->inode_blocks_per_group && table >= fs->super->s_first_data_block &&
			table + fs->inode_blocks_per_group <= ext2fs_blocks_count(fs->super))
			ext2fs_unmark_block_bitmap_range2(used, table + keep,
				(unsigned int)(fs->inode_blocks_per_group - keep));
	}
}

struct drop {
	ext2fs_block_bitmap used;
	e2_blkcnt_t keep; /* blocks at the front of the file that stay */
	uint64_t seen, most;
};

/* Ends what would go round in circles. */
static int drop_block(ext2_filsys fs, blk64_t *block, e2_blkcnt_t count, blk64_t reference _unused_,
	int offset _unused_, void *userdata)
{
	struct drop *drop = userdata;

	if (drop->seen++ == drop->most)
		return BLOCK_ABORT;
	if (count >= drop->keep && *block >= fs->super->s_first_data_block &&
		*block < ext2fs_blocks_count(fs->super))
		ext2fs_unmark_block_bitmap2(drop->used, *block);
	return 0;
}

/* Contents of one of the filesystem's own files, not the blocks that say where they are (whose
   count is negative). */
static errcode_t drop_file(
	ext2_filsys fs, ext2_ino_t inode, e2_blkcnt_t keep, ext2fs_block_bitmap used)
{
	struct drop drop = {.used = used, .keep = keep, .most = ext2fs_blocks_count(fs->super)};
	errcode_t code =
		ext2fs_block_iterate3(fs, inode, BLOCK_FLAG_READ_ONLY, NULL, drop_block, &drop);

	return code == 0 && drop.seen > drop.most ? EXT2_ET_INODE_CORRUPTED : code;
}

static errcode_t drop_unused_files(ext2_filsys fs, ext2fs_block_bitmap used)
{
	errcode_t code = 0;

	/*
	 * A clean journal is its superblock; the rest is overwritten before it is read.
	 * lazy_journal_init has one known risk, an old journal's blocks that a replay takes for new
	 * ones: what stands here instead is a decryption of zeros, which no record's magic,
	 * sequence number and checksum match.
	 */
	if (ext2fs_has_feature_journal(fs->super) && fs->super->s_journal_inum == EXT2_JOURNAL_INO)
		code = drop_file(fs, EXT2_JOURNAL_INO, 1, used);
	/*
	 * What the resize inode holds are the backups of group descriptors to come, written when
	 * they come; only its indirect blocks, which are the first copy, mean anything today.
	 */
	if (code == 0 && ext2fs_has_feature_resize_inode(fs->super))
		code = drop_file(fs, EXT2_RESIZE_INO, 0, used);
	return code;
}

static int collect(
	ext2_filsys fs, uint64_t size, struct extents *extents, struct caisson_error *err)
{
	ext2fs_block_bitmap used = fs->block_map;
	blk64_t blocks = ext2fs_blocks_count(fs->super), at = fs->super->s_first_data_block;
	uint64_t end_of_it = blocks * fs->blocksize;
	/* A boot sector, with blocks of 1024 bytes. */
	int r = extents_add(extents, 0, at * fs->blocksize, err);

	while (r == 0 && at < blocks) {
		blk64_t start, end;

		if (ext2fs_find_first_set_block_bitmap2(used, at, blocks - 1, &start) != 0)
			break;
		start = MAX(start, at);
		if (ext2fs_find_first_zero_block_bitmap2(used, start, blocks - 1, &end) != 0)
			end = blocks;
		r = extents_add(extents, start * fs->blocksize, (end - start) * fs->blocksize, err);
		at = end;
	}
	return r < 0 ? r : extents_add(extents, end_of_it, size - end_of_it, err);
}

int ext_extents(struct blocks *image, struct extents *ret_extents, struct caisson_error *err)
{
	_cleanup_extents_ struct extents extents = {.gap = GAP};
	_cleanup_ext4_io_ ext2_filsys fs = NULL;
	int r = check_superblock(image, err);
	errcode_t code;

	if (r < 0)
		return r;
	r = ext4_io_open(image, true, &fs, err);
	if (r == 0)
		r = check_health(fs, err);
	if (r < 0)
		return r;
	/* Ranges and not bits, where a volume is so large: it is nearly empty. */
	fs->default_bitmap_type = ext2fs_blocks_count(fs->super) > BITS_MOST
					  ? EXT2FS_BMAP64_RBTREE
					  : EXT2FS_BMAP64_BITARRAY;
	code = ext2fs_read_block_bitmap(fs);
	if (code != 0)
		return ext4_io_fail(fs, code, "read the filesystem", err);
	/* The bitmap in memory is ours to change: the filesystem is open for reading only. Where
	   its bits are clusters, one holds more than what could be dropped. */
	if (!ext2fs_has_feature_bigalloc(fs->super)) {
		if (ext2fs_has_group_desc_csum(fs))
			drop_unused_inodes(fs, fs->block_map);
		code = drop_unused_files(fs, fs->block_map);
	}
	if (code != 0)
		return ext4_io_fail(fs, code, "read the filesystem", err);
	r = collect(fs, image->size, &extents, err);
	if (r < 0)
		return r;
	*ret_extents = extents;
	extents = EXTENTS_NONE;
	return 0;
}
