/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/filesystem.h"

#include <errno.h>
#include <ext2fs/ext2fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "base/process.h"

/*
 * Written out, so that a volume is the same whatever /etc/mke2fs.conf says on this host: what
 * mke2fs 1.46 and 1.47 make by default, which every kernel since 4.5 mounts.
 */
#define FEATURES \
	"none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg," \
	"sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum"
/* 4096: no smaller than dm-crypt's sector. No blocks kept for root: as a rule the workload is root,
   and its volume is not what the system runs on. */
#define BLOCK_SIZE_TEXT "4096"
#define BLOCK_BYTES     4096u
#define EXTENDED        "nodiscard,lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0"
#define LABEL_MOST      16
#define ERRORS_MOST     4096

int mkfs_start(struct mkfs *ret_mkfs, uint64_t size, const char *label, struct caisson_error *err)
{
	struct process_options options = PROCESS_OPTIONS_INIT;
	_cleanup_mkfs_ struct mkfs mkfs = MKFS_NONE;
	char path[32], name[LABEL_MOST + 1];
	const char *const argv[] = {"mke2fs", "-q", "-F", "-t", "ext4", "-b", BLOCK_SIZE_TEXT, "-I",
		"256", "-m", "0", "-O", FEATURES, "-E", EXTENDED, "-L", name, path, NULL};

	mkfs.image = memfd_create("filesystem", MFD_CLOEXEC);
	mkfs.errors = memfd_create("mke2fs-errors", MFD_CLOEXEC);
	if (mkfs.image < 0 || mkfs.errors < 0 || ftruncate(mkfs.image, (off_t)size) < 0)
		return caisson_fail(err, errno, "make room in memory for a filesystem");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", mkfs.image);
	snprintf(name, sizeof(name), "%s", label);

	options.stderr_fd = mkfs.errors;
	options.keep_fds = &mkfs.image;
	options.keep_count = 1;
	mkfs.pid = process_start(argv, &options, err);
	if (mkfs.pid < 0)
		return mkfs.pid == -ENOENT ? caisson_hint(err, "install the package e2fsprogs")
					   : (int)mkfs.pid;
	*ret_mkfs = mkfs;
	mkfs = MKFS_NONE;
	return 0;
}

int mkfs_wait(struct mkfs *mkfs, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf errors = STRBUF_INIT;
	int status, r = process_wait(mkfs->pid, &status, err);
	char *line;

	if (r < 0)
		return r;
	mkfs->pid = 0;
	if (status == 0)
		return 0;
	if (lseek(mkfs->errors, 0, SEEK_SET) < 0 ||
		read_to_end(mkfs->errors, ERRORS_MOST, "mke2fs's errors", &errors, NULL) < 0 ||
		errors.size == 0)
		return caisson_refuse(err, EIO, "mke2fs ended with status %d", status);
	while (errors.size > 0 && errors.data[errors.size - 1] == '\n')
		errors.data[--errors.size] = '\0';
	line = strrchr(errors.data, '\n');
	return caisson_refuse(err, EIO, "mke2fs ended with status %d: %s", status,
		line != NULL ? line + 1 : errors.data);
}

void mkfs_done(struct mkfs *mkfs)
{
	process_kill(mkfs->pid);
	closep(&mkfs->image);
	closep(&mkfs->errors);
	*mkfs = MKFS_NONE;
}

static inline void filesystem_closep(ext2_filsys *filesystem)
{
	if (*filesystem != NULL)
		(void)ext2fs_close_free(filesystem);
}

#define _cleanup_filesystem_ _cleanup_(filesystem_closep)

static int ext2_failed(struct caisson_error *err, errcode_t code)
{
	if (code == EXT2_ET_NO_MEMORY || code == ENOMEM)
		return caisson_fail(err, ENOMEM, "read the new filesystem");
	return caisson_refuse(err, EIO, "read the new filesystem: libext2fs error %ld", (long)code);
}

/* Inodes behind the last used one of a group are not there until the kernel has zeroed them: with
   metadata_csum, bg_itable_unused says where they begin. */
static void drop_unused_inodes(ext2_filsys fs, ext2fs_block_bitmap used)
{
	for (dgrp_t group = 0; group < fs->group_desc_count; group++) {
		blk64_t table = ext2fs_inode_table_loc(fs, group), keep;
		uint32_t inodes = fs->super->s_inodes_per_group;

		if (ext2fs_bg_flags_test(fs, group, EXT2_BG_INODE_ZEROED))
			continue;
		inodes -= ext2fs_bg_flags_test(fs, group, EXT2_BG_INODE_UNINIT)
				  ? inodes
				  : ext2fs_bg_itable_unused(fs, group);
		keep = ext2fs_div64_ceil(
			(uint64_t)inodes * EXT2_INODE_SIZE(fs->super), fs->blocksize);
		if (keep < fs->inode_blocks_per_group)
			ext2fs_unmark_block_bitmap_range2(used, table + keep,
				(unsigned int)(fs->inode_blocks_per_group - keep));
	}
}

struct drop {
	ext2fs_block_bitmap used;
	e2_blkcnt_t keep; /* blocks at the front of the file that stay */
};

static int drop_block(ext2_filsys fs _unused_, blk64_t *block, e2_blkcnt_t count,
	blk64_t reference _unused_, int offset _unused_, void *userdata)
{
	const struct drop *drop = userdata;

	if (count >= drop->keep)
		ext2fs_unmark_block_bitmap2(drop->used, *block);
	return 0;
}

/* Contents of one of the filesystem's own files, not the blocks that say where they are. */
static errcode_t drop_file(
	ext2_filsys fs, ext2_ino_t inode, e2_blkcnt_t keep, ext2fs_block_bitmap used)
{
	struct drop drop = {.used = used, .keep = keep};

	return ext2fs_block_iterate3(
		fs, inode, BLOCK_FLAG_READ_ONLY | BLOCK_FLAG_DATA_ONLY, NULL, drop_block, &drop);
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
	if (fs->super->s_journal_inum != 0)
		code = drop_file(fs, fs->super->s_journal_inum, 1, used);
	/*
	 * What the resize inode holds are the backups of group descriptors to come, written when
	 * they come; only its indirect blocks, which are the first copy, mean anything today.
	 */
	if (code == 0 && ext2fs_has_feature_resize_inode(fs->super))
		code = drop_file(fs, EXT2_RESIZE_INO, 0, used);
	return code;
}

static int collect(ext2_filsys fs, ext2fs_block_bitmap used, struct luks_extent **ret_extents,
	size_t *ret_count, struct caisson_error *err)
{
	_cleanup_free_ struct luks_extent *extents = NULL;
	blk64_t blocks = ext2fs_blocks_count(fs->super), at = fs->super->s_first_data_block;
	size_t count = 0, capacity = 0;

	while (at < blocks) {
		blk64_t start, end;

		if (ext2fs_find_first_set_block_bitmap2(used, at, blocks - 1, &start) != 0)
			break;
		if (ext2fs_find_first_zero_block_bitmap2(used, start, blocks - 1, &end) != 0)
			end = blocks;
		if (count == capacity) {
			struct luks_extent *grown;

			capacity = capacity > 0 ? capacity * 2 : 64;
			grown = reallocarray(extents, capacity, sizeof(*extents));
			if (grown == NULL)
				return caisson_fail(err, ENOMEM, "read the new filesystem");
			extents = grown;
		}
		extents[count++] = (struct luks_extent){
			.offset = start * fs->blocksize, .length = (end - start) * fs->blocksize};
		at = end;
	}
	*ret_extents = take_ptr(extents);
	*ret_count = count;
	return 0;
}

int mkfs_extents(const struct mkfs *mkfs, struct luks_extent **ret_extents, size_t *ret_count,
	struct caisson_error *err)
{
	_cleanup_filesystem_ ext2_filsys fs = NULL;
	char path[32];
	errcode_t code;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", mkfs->image);
	code = ext2fs_open(path, EXT2_FLAG_64BITS, 0, 0, unix_io_manager, &fs);
	if (code != 0)
		return ext2_failed(err, code);
	/* Ranges and not bits: a large volume is nearly empty. */
	fs->default_bitmap_type = EXT2FS_BMAP64_RBTREE;
	code = ext2fs_read_block_bitmap(fs);
	if (code != 0)
		return ext2_failed(err, code);
	if (fs->blocksize != BLOCK_BYTES)
		return caisson_refuse(err, EIO, "mke2fs made blocks of %u bytes and not %u",
			fs->blocksize, BLOCK_BYTES);
	/* The bitmap in memory is ours to change: the filesystem is open for reading only. */
	drop_unused_inodes(fs, fs->block_map);
	code = drop_unused_files(fs, fs->block_map);
	if (code != 0)
		return ext2_failed(err, code);
	return collect(fs, fs->block_map, ret_extents, ret_count, err);
}
