/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filesystem/ext4_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "filesystem/ext4_io.h"

#define CHUNK_SIZE ((size_t)EXT4_CHUNK_BLOCKS * EXT4_BLOCK_SIZE)
#define LOANS_MOST 64u

struct loan {
	int fd;
	char *path;
	struct stat wanted;
};

struct ext4_writer {
	ext2_filsys fs;
	struct transfer *bulk;
	/*
	 * Only ever forward: what was given back is not used again before all that was queued for
	 * it is written, since threads write in any order.
	 */
	blk64_t next_block;
	ext2_ino_t next_inode;
	bool gave_back, full;
	/* Contents that are not queued yet; blocks from @at on. */
	uint8_t *pending;
	uint64_t pending_at;
	size_t pending_size;
	uint8_t *chunk;
	struct loan loans[LOANS_MOST];
	uint32_t loan_count;
};

static int check_filesystem(ext2_filsys fs, struct caisson_error *err)
{
	if (fs->blocksize != EXT4_BLOCK_SIZE || EXT2_INODE_SIZE(fs->super) != EXT4_INODE_SIZE ||
		!ext2fs_has_feature_extents(fs->super) || !ext2fs_has_feature_filetype(fs->super) ||
		fs->cluster_ratio_bits != 0)
		return caisson_refuse(err, ENOTSUP,
			"only ext4 with extents, blocks of %u and inodes of %u bytes can be filled",
			EXT4_BLOCK_SIZE, EXT4_INODE_SIZE);
	return 0;
}

int ext4_writer_open(struct blocks *payload, struct transfer *bulk, struct ext4_writer **ret_writer,
	struct caisson_error *err)
{
	_cleanup_(ext4_writer_freep) struct ext4_writer *writer = calloc(1, sizeof(*writer));
	int r;

	if (writer == NULL)
		return caisson_fail(err, ENOMEM, "fill a filesystem");
	writer->bulk = bulk;
	writer->pending = aligned_alloc(EXT4_BLOCK_SIZE, CHUNK_SIZE);
	writer->chunk = aligned_alloc(EXT4_BLOCK_SIZE, CHUNK_SIZE);
	if (writer->pending == NULL || writer->chunk == NULL)
		return caisson_fail(err, ENOMEM, "fill a filesystem");
	r = ext4_io_open(payload, false, &writer->fs, err);
	if (r == 0)
		r = check_filesystem(writer->fs, err);
	if (r == 0)
		r = ext4_io_fail(writer->fs, ext2fs_read_bitmaps(writer->fs),
			"read the filesystem's bitmaps", err);
	if (r < 0)
		return r;
	writer->next_block = writer->fs->super->s_first_data_block;
	writer->next_inode = EXT2_FIRST_INODE(writer->fs->super);
	*ret_writer = take_ptr(writer);
	return 0;
}

ext2_filsys ext4_writer_fs(const struct ext4_writer *writer)
{
	return writer->fs;
}

uint64_t ext4_free_blocks(const struct ext4_writer *writer)
{
	return ext2fs_free_blocks_count(writer->fs->super);
}

bool ext4_is_full(const struct ext4_writer *writer)
{
	return writer->full;
}

int ext4_unchanged(int fd, const char *path, const struct stat *wanted, struct caisson_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "look at %s", path);
	if (st.st_size == wanted->st_size && st.st_mtim.tv_sec == wanted->st_mtim.tv_sec &&
		st.st_mtim.tv_nsec == wanted->st_mtim.tv_nsec)
		return 0;
	caisson_refuse(err, EAGAIN, "%s changed while it was read", path);
	return caisson_hint(err, "let nothing write to the folder meanwhile");
}

static void return_loans(struct ext4_writer *writer)
{
	for (uint32_t i = 0; i < writer->loan_count; i++) {
		close(writer->loans[i].fd);
		free(writer->loans[i].path);
	}
	writer->loan_count = 0;
}

static int queue_pending(struct ext4_writer *writer, struct caisson_error *err)
{
	size_t size = writer->pending_size;

	writer->pending_size = 0;
	return size == 0 ? 0
			 : transfer_data(writer->bulk, writer->pending, size,
				   writer->pending_at * EXT4_BLOCK_SIZE, err);
}

/* All contents are on their way to the disk, and nothing reads from the files that were lent. */
static int drain(struct ext4_writer *writer, struct caisson_error *err)
{
	struct caisson_error cause = {0};
	int r = queue_pending(writer, err), changed = 0;

	if (r == 0)
		r = transfer_drain(writer->bulk, err);
	/* A file that was cut short fails the transfer, which cannot name it. */
	for (uint32_t i = 0; changed == 0 && i < writer->loan_count; i++) {
		const struct loan *loan = &writer->loans[i];

		changed = ext4_unchanged(loan->fd, loan->path, &loan->wanted, &cause);
	}
	if (changed < 0 && (r == 0 || r == -ENODATA || r == -EIO)) {
		if (err != NULL)
			*err = cause;
		r = changed;
	}
	return r;
}

int ext4_writer_finish(struct ext4_writer *writer, struct caisson_error *err)
{
	int r = drain(writer, err);

	if (r == 0)
		return_loans(writer);
	if (r == 0)
		r = ext4_io_close(take_ptr(writer->fs), err);
	return r;
}

void ext4_writer_free(struct ext4_writer *writer)
{
	if (writer == NULL)
		return;
	if (writer->loan_count > 0)
		(void)transfer_drain(writer->bulk, NULL);
	return_loans(writer);
	if (writer->fs != NULL)
		ext4_io_abandon(writer->fs);
	free(writer->pending);
	free(writer->chunk);
	free(writer);
}

/* From the filesystem's beginning again, when something was given back. */
static int begin_again(struct ext4_writer *writer, struct caisson_error *err)
{
	int r;

	if (!writer->gave_back) {
		writer->full = true;
		return caisson_fail(err, ENOSPC, "the filesystem is full");
	}
	r = drain(writer, err);
	if (r == 0)
		r = ext4_io_forget(writer->fs, err);
	if (r < 0)
		return r;
	writer->gave_back = false;
	writer->next_block = writer->fs->super->s_first_data_block;
	writer->next_inode = EXT2_FIRST_INODE(writer->fs->super);
	return 0;
}

int ext4_allocate(struct ext4_writer *writer, uint64_t want, uint64_t *ret_block,
	uint32_t *ret_count, struct caisson_error *err)
{
	ext2_filsys fs = writer->fs;
	blk64_t last = ext2fs_blocks_count(fs->super) - 1, start, end;

	while (writer->next_block > last || ext2fs_find_first_zero_block_bitmap2(fs->block_map,
						    writer->next_block, last, &start) != 0) {
		int r = begin_again(writer, err);

		if (r < 0)
			return r;
	}
	want = MIN(want, (uint64_t)EXT_INIT_MAX_LEN);
	end = MIN((uint64_t)last, start + want - 1);
	if (ext2fs_find_first_set_block_bitmap2(fs->block_map, start, end, &end) != 0)
		end++;
	ext2fs_block_alloc_stats_range(fs, start, (blk_t)(end - start), +1);
	writer->next_block = end;
	*ret_block = start;
	*ret_count = (uint32_t)(end - start);
	return 0;
}

int ext4_queue(struct ext4_writer *writer, uint64_t block, const void *data, size_t size,
	struct caisson_error *err)
{
	size_t whole = (size + EXT4_BLOCK_SIZE - 1) / EXT4_BLOCK_SIZE * EXT4_BLOCK_SIZE;
	int r = 0;

	if (writer->pending_size > 0 &&
		(block != writer->pending_at + writer->pending_size / EXT4_BLOCK_SIZE ||
			whole > CHUNK_SIZE - writer->pending_size))
		r = queue_pending(writer, err);
	/* What is large already is not copied once more. */
	if (r == 0 && size == whole && size >= CHUNK_SIZE / 4 && writer->pending_size == 0)
		return transfer_data(writer->bulk, data, size, block * EXT4_BLOCK_SIZE, err);
	if (r < 0)
		return r;
	if (whole > CHUNK_SIZE)
		return caisson_fail(err, EINVAL, "queue %zu bytes", size);
	if (writer->pending_size == 0)
		writer->pending_at = block;
	memcpy(writer->pending + writer->pending_size, data, size);
	memset(writer->pending + writer->pending_size + size, 0, whole - size);
	writer->pending_size += whole;
	return 0;
}

uint8_t *ext4_chunk(struct ext4_writer *writer)
{
	return writer->chunk;
}

int ext4_write_block(
	struct ext4_writer *writer, uint64_t block, const void *data, struct caisson_error *err)
{
	return ext4_io_fail(writer->fs, io_channel_write_blk64(writer->fs->io, block, 1, data),
		"write a block", err);
}

int ext4_lend(struct ext4_writer *writer, int fd, const char *path, const struct stat *wanted,
	uint32_t *ret_loan, struct caisson_error *err)
{
	char *name = strdup(path);
	int r = name != NULL ? 0 : caisson_fail(err, ENOMEM, "read %s", path);

	if (r == 0 && writer->loan_count == LOANS_MOST) {
		r = drain(writer, err);
		/* Else threads may still read them: they stay until the end. */
		if (r == 0)
			return_loans(writer);
	}
	if (r < 0) {
		close(fd);
		free(name);
		return r;
	}
	writer->loans[writer->loan_count] =
		(struct loan){.fd = fd, .path = name, .wanted = *wanted};
	*ret_loan = writer->loan_count++;
	return 0;
}

int ext4_queue_copy(struct ext4_writer *writer, uint32_t loan, uint64_t offset, uint64_t block,
	uint64_t count, struct caisson_error *err)
{
	return transfer_copy(writer->bulk, writer->loans[loan].fd, 0, offset,
		block * EXT4_BLOCK_SIZE, count * EXT4_BLOCK_SIZE, err);
}

/* The table of a new filesystem is only there as far as inodes are in use. */
static int prepare_table(struct ext4_writer *writer, ext2_ino_t number, struct caisson_error *err)
{
	static const uint8_t zeros[EXT4_BLOCK_SIZE];
	ext2_filsys fs = writer->fs;
	uint32_t per_group = fs->super->s_inodes_per_group;
	uint32_t index = (number - 1) % per_group, each = EXT4_BLOCK_SIZE / EXT4_INODE_SIZE, there;
	dgrp_t group = (number - 1) / per_group;
	int r = 0;

	if (ext2fs_bg_flags_test(fs, group, EXT2_BG_INODE_ZEROED))
		return 0;
	there = ext2fs_bg_flags_test(fs, group, EXT2_BG_INODE_UNINIT)
			? 0
			: per_group - MIN(per_group, ext2fs_bg_itable_unused(fs, group));
	for (uint32_t at = (there + each - 1) / each; r == 0 && at <= index / each; at++)
		r = ext4_write_block(writer, ext2fs_inode_table_loc(fs, group) + at, zeros, err);
	return r;
}

int ext4_new_inode(
	struct ext4_writer *writer, bool folder, ext2_ino_t *ret_number, struct caisson_error *err)
{
	ext2_filsys fs = writer->fs;
	ext2_ino_t number;
	int r;

	while (writer->next_inode > fs->super->s_inodes_count ||
		ext2fs_find_first_zero_inode_bitmap2(fs->inode_map, writer->next_inode,
			fs->super->s_inodes_count, &number) != 0) {
		if (!writer->gave_back)
			return caisson_refuse(err, ENOSPC,
				"the filesystem has room for %u files and folders, and all are "
				"used",
				fs->super->s_inodes_count);
		r = begin_again(writer, err);
		if (r < 0)
			return r;
	}
	r = prepare_table(writer, number, err);
	if (r < 0)
		return r;
	ext2fs_inode_alloc_stats2(fs, number, +1, folder);
	writer->next_inode = number + 1;
	*ret_number = number;
	return 0;
}

int ext4_read_inode(struct ext4_writer *writer, ext2_ino_t number, union ext4_inode *ret_inode,
	struct caisson_error *err)
{
	return ext4_io_fail(writer->fs,
		ext2fs_read_inode_full(writer->fs, number, (struct ext2_inode *)ret_inode->bytes,
			sizeof(*ret_inode)),
		"read an inode", err);
}

int ext4_write_inode(struct ext4_writer *writer, ext2_ino_t number, union ext4_inode *inode,
	struct caisson_error *err)
{
	return ext4_io_fail(writer->fs,
		ext2fs_write_inode_full(
			writer->fs, number, (struct ext2_inode *)inode->bytes, sizeof(*inode)),
		"write an inode", err);
}

/* ext2fs_punch() of e2fsprogs 1.47 refuses files whose last block is the filesystem's. */
static errcode_t free_extents(ext2_filsys fs, ext2_extent_handle_t extents)
{
	struct ext2fs_extent extent;
	errcode_t code = ext2fs_extent_get(extents, EXT2_EXTENT_ROOT, &extent);

	while (code == 0) {
		/* Blocks of the map are seen before and after what they lead to. */
		if ((extent.e_flags & EXT2_EXTENT_FLAGS_LEAF) != 0)
			ext2fs_block_alloc_stats_range(fs, extent.e_pblk, extent.e_len, -1);
		else if ((extent.e_flags & EXT2_EXTENT_FLAGS_SECOND_VISIT) == 0)
			ext2fs_block_alloc_stats_range(fs, extent.e_pblk, 1, -1);
		code = ext2fs_extent_get(extents, EXT2_EXTENT_NEXT, &extent);
	}
	return code == EXT2_ET_EXTENT_NO_NEXT ? 0 : code;
}

int ext4_remove_data(struct ext4_writer *writer, ext2_ino_t number, union ext4_inode *inode,
	struct caisson_error *err)
{
	struct ext2_inode_large *fields = &inode->fields;
	ext2_extent_handle_t extents;
	errcode_t code;

	if ((fields->i_flags & EXT4_EXTENTS_FL) == 0)
		return 0;
	code = ext2fs_extent_open2(writer->fs, number, (struct ext2_inode *)inode->bytes, &extents);
	if (code == 0) {
		if (fields->i_size > 0 || fields->i_size_high > 0)
			code = free_extents(writer->fs, extents);
		ext2fs_extent_free(extents);
	}
	if (code != 0)
		return ext4_io_fail(writer->fs, code, "give back a file's blocks", err);
	writer->gave_back = true;
	memset(fields->i_block, 0, sizeof(fields->i_block));
	fields->i_flags &= ~(uint32_t)EXT4_EXTENTS_FL;
	fields->osd2.linux2.l_i_blocks_hi = 0;
	fields->i_blocks = 0;
	if (ext2fs_file_acl_block(writer->fs, (struct ext2_inode *)inode->bytes) != 0)
		ext4_add_blocks(inode, 1);
	return 0;
}

int ext4_remove_inode(struct ext4_writer *writer, ext2_ino_t number, struct caisson_error *err)
{
	union ext4_inode inode;
	int r = ext4_read_inode(writer, number, &inode, err);
	bool folder = r == 0 && LINUX_S_ISDIR(inode.fields.i_mode);

	if (r == 0)
		r = ext4_remove_data(writer, number, &inode, err);
	if (r == 0)
		r = ext4_io_fail(writer->fs,
			ext2fs_free_ext_attr(writer->fs, number, &inode.fields),
			"give back extended attributes", err);
	if (r < 0)
		return r;
	writer->gave_back = true;
	ext2fs_inode_alloc_stats2(writer->fs, number, -1, folder);
	memset(&inode, 0, sizeof(inode));
	return ext4_write_inode(writer, number, &inode, err);
}

/* 34 bits of seconds and 30 of nanoseconds, the upper two beside the latter. */
static void set_time(uint32_t *ret_seconds, uint32_t *ret_extra, struct timespec time)
{
	int64_t seconds = MIN((int64_t)time.tv_sec, INT64_C(0x37fffffff));

	seconds = MAX(seconds, (int64_t)INT32_MIN);
	*ret_seconds = (uint32_t)seconds;
	*ret_extra = (uint32_t)((seconds - (int32_t)(uint32_t)seconds) >> 32 & 3) |
		     (uint32_t)time.tv_nsec << 2;
}

void ext4_set_times(union ext4_inode *inode, struct timespec time)
{
	struct ext2_inode_large *fields = &inode->fields;

	set_time(&fields->i_mtime, &fields->i_mtime_extra, time);
	set_time(&fields->i_atime, &fields->i_atime_extra, time);
	set_time(&fields->i_ctime, &fields->i_ctime_extra, time);
	set_time(&fields->i_crtime, &fields->i_crtime_extra, time);
}

void ext4_set_size(union ext4_inode *inode, uint64_t size)
{
	inode->fields.i_size = (uint32_t)size;
	inode->fields.i_size_high = (uint32_t)(size >> 32);
}

void ext4_add_blocks(union ext4_inode *inode, uint64_t count)
{
	struct ext2_inode_large *fields = &inode->fields;
	uint64_t sectors = fields->i_blocks | (uint64_t)fields->osd2.linux2.l_i_blocks_hi << 32;

	sectors += count * (EXT4_BLOCK_SIZE / 512);
	fields->i_blocks = (uint32_t)sectors;
	fields->osd2.linux2.l_i_blocks_hi = (uint16_t)(sectors >> 32);
}
