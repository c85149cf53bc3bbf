/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filesystem/fill_inode.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "filesystem/ext4_file.h"

#define FAST_LINK_SIZE 60u /* a shorter target stands in the inode */
#define LINK_MOST      4095u

uint8_t fill_type(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return EXT2_FT_REG_FILE;
	case S_IFDIR:
		return EXT2_FT_DIR;
	case S_IFLNK:
		return EXT2_FT_SYMLINK;
	case S_IFCHR:
		return EXT2_FT_CHRDEV;
	case S_IFBLK:
		return EXT2_FT_BLKDEV;
	case S_IFIFO:
		return EXT2_FT_FIFO;
	case S_IFSOCK:
		return EXT2_FT_SOCK;
	default:
		return 0;
	}
}

int fill_attributes(struct ext4_writer *writer, ext2_ino_t number, union ext4_inode *inode,
	const struct fill_entry *entry, struct caisson_error *err)
{
	struct ext2_inode_large *fields = &inode->fields;

	/* The numbers of the file types are the same in ext4 as they are here. */
	fields->i_mode = (uint16_t)entry->mode;
	fields->i_uid = (uint16_t)entry->uid;
	fields->i_gid = (uint16_t)entry->gid;
	fields->osd2.linux2.l_i_uid_high = (uint16_t)(entry->uid >> 16);
	fields->osd2.linux2.l_i_gid_high = (uint16_t)(entry->gid >> 16);
	ext4_set_times(inode, entry->mtime);
	return ext4_set_xattrs(writer, number, inode, entry->xattrs, entry->xattr_count, err);
}

int fill_next_data(int fd, const struct stat *st, uint64_t offset, uint64_t *ret_start,
	uint64_t *ret_end, struct caisson_error *err)
{
	uint64_t size = (uint64_t)st->st_size;
	off_t start, end;

	if (offset >= size)
		return 0;
	*ret_start = offset;
	*ret_end = size;
	/* With as many blocks as it needs it has no holes, and two system calls less. */
	if ((uint64_t)st->st_blocks * 512 >= size)
		return 1;
	start = lseek(fd, (off_t)offset, SEEK_DATA);
	if (start < 0 && errno == ENXIO)
		return 0;
	end = start < 0 ? -1 : lseek(fd, start, SEEK_HOLE);
	if (start < 0 && errno == EINVAL)
		return 1; /* a filesystem that does not know */
	if (end < 0)
		return caisson_fail(err, errno, "look for holes");
	*ret_start = MAX(offset, (uint64_t)start / EXT4_BLOCK_SIZE * EXT4_BLOCK_SIZE);
	*ret_end = MIN(
		size, ((uint64_t)end + EXT4_BLOCK_SIZE - 1) / EXT4_BLOCK_SIZE * EXT4_BLOCK_SIZE);
	return *ret_start < *ret_end;
}

/* Bytes [start, end) of a file by way of @buffer. */
static int read_range(struct ext4_file *file, const struct fill_entry *entry, uint64_t start,
	uint64_t end, uint8_t *buffer, struct caisson_error *err)
{
	int r = 0;

	while (r == 0 && start < end) {
		size_t size = (size_t)MIN(end - start, (uint64_t)FILL_BUFFER_SIZE);

		r = pread_all(entry->fd, buffer, size, start, entry->path, err);
		if (r == -ENODATA)
			return ext4_unchanged(entry->fd, entry->path, &entry->stat, err) < 0
				       ? -EAGAIN
				       : r;
		if (r == 0)
			r = ext4_file_write(file, start, buffer, size, err);
		start += size;
	}
	return r;
}

/* All of a small file is read here, and packed with its neighbours; closing it costs no wait. */
static int copy_small(struct ext4_file *file, const struct fill_entry *entry, uint8_t *buffer,
	struct caisson_error *err)
{
	uint64_t start, end = 0;
	int r;

	while ((r = fill_next_data(entry->fd, &entry->stat, end, &start, &end, err)) > 0) {
		r = read_range(file, entry, start, end, buffer, err);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : ext4_unchanged(entry->fd, entry->path, &entry->stat, err);
}

/* The threads of the transfer read a large file themselves, but for the last piece of a block. */
static int copy_large(struct ext4_writer *writer, struct ext4_file *file,
	const struct fill_entry *entry, uint8_t *buffer, struct caisson_error *err)
{
	uint64_t start, end = 0;
	uint32_t loan;
	int r = ext4_lend(writer, take_fd(entry->own), entry->path, &entry->stat, &loan, err);

	if (r < 0)
		return r;
	while ((r = fill_next_data(entry->fd, &entry->stat, end, &start, &end, err)) > 0) {
		uint64_t whole = end / EXT4_BLOCK_SIZE * EXT4_BLOCK_SIZE;

		if (whole > start)
			r = ext4_file_copy(file, loan, start, whole - start, err);
		if (r >= 0)
			r = read_range(file, entry, MAX(start, whole), end, buffer, err);
		if (r < 0)
			return r;
	}
	return r;
}

static int copy_pieces(struct ext4_file *file, struct fill_source *source,
	const struct fill_entry *entry, struct caisson_error *err)
{
	const void *data;
	uint64_t offset;
	size_t size;
	int r;

	while ((r = source->ops->data(source, &data, &size, &offset, err)) > 0) {
		if (offset > entry->size || size > entry->size - offset)
			return caisson_refuse(err, EBADMSG, "it holds more than its size says");
		r = ext4_file_write(file, offset, data, size, err);
		if (r < 0)
			return r;
	}
	return r;
}

static int fill_file(struct ext4_writer *writer, struct fill_source *source,
	const struct fill_entry *entry, uint8_t *buffer, ext2_ino_t number, union ext4_inode *inode,
	struct caisson_error *err)
{
	struct ext4_file file;
	int r;

	if (entry->size > EXT4_FILE_BLOCKS_MOST * EXT4_BLOCK_SIZE)
		return caisson_refuse(err, EFBIG, "it is larger than a file of ext4 can be");
	ext4_file_init(&file, writer, number);
	if (entry->fd < 0)
		r = copy_pieces(&file, source, entry, err);
	else if (entry->size < FILL_BUFFER_SIZE)
		r = copy_small(&file, entry, buffer, err);
	else
		r = copy_large(writer, &file, entry, buffer, err);
	if (r == 0)
		r = ext4_file_finish(&file, inode, err);
	ext4_file_done(&file);
	ext4_set_size(inode, entry->size);
	return r;
}

static int fill_link(struct ext4_writer *writer, const struct fill_entry *entry, ext2_ino_t number,
	union ext4_inode *inode, struct caisson_error *err)
{
	size_t length = strlen(entry->target);
	struct ext4_map map = {.writer = writer, .inode = number};
	uint8_t block[EXT4_BLOCK_SIZE] = {0};
	uint64_t at;
	uint32_t count;
	int r;

	if (length == 0 || length > LINK_MOST)
		return caisson_refuse(err, length == 0 ? EBADMSG : ENAMETOOLONG,
			"what the link leads to has %zu bytes, and 1 to %u can be", length,
			LINK_MOST);
	ext4_set_size(inode, length);
	if (length < FAST_LINK_SIZE) {
		memcpy(inode->fields.i_block, entry->target, length);
		return 0;
	}
	memcpy(block, entry->target, length);
	r = ext4_allocate(writer, 1, &at, &count, err);
	if (r == 0)
		r = ext4_write_block(writer, at, block, err);
	if (r == 0)
		r = ext4_map_add(&map, 0, at, count, err);
	if (r == 0)
		r = ext4_map_finish(&map, inode, err);
	ext4_map_done(&map);
	return r;
}

/* The kernel's two encodings: what fits the old one is written so. */
static int fill_device(
	const struct fill_entry *entry, union ext4_inode *inode, struct caisson_error *err)
{
	unsigned int major = entry->major, minor = entry->minor;

	if (major >= 1u << 12 || minor >= 1u << 20)
		return caisson_refuse(
			err, EBADMSG, "there is no device with the numbers %u, %u", major, minor);
	if (major < 256 && minor < 256)
		inode->fields.i_block[0] = major << 8 | minor;
	else
		inode->fields.i_block[1] = (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
	return 0;
}

int fill_inode(struct ext4_writer *writer, struct fill_source *source,
	const struct fill_entry *entry, uint8_t *buffer, ext2_ino_t *ret_number,
	struct caisson_error *err)
{
	const struct ext2_super_block *super = ext4_writer_fs(writer)->super;
	bool folder = S_ISDIR(entry->mode);
	union ext4_inode inode = {.fields = {.i_links_count = folder ? 2 : 1}};
	ext2_ino_t number;
	int r = ext4_new_inode(writer, folder, &number, err);

	if (r < 0)
		return r;
	inode.fields.i_extra_isize = super->s_want_extra_isize;
	r = fill_attributes(writer, number, &inode, entry, err);
	if (r == 0 && S_ISREG(entry->mode))
		r = fill_file(writer, source, entry, buffer, number, &inode, err);
	else if (r == 0 && S_ISLNK(entry->mode))
		r = fill_link(writer, entry, number, &inode, err);
	else if (r == 0 && (S_ISCHR(entry->mode) || S_ISBLK(entry->mode)))
		r = fill_device(entry, &inode, err);
	if (r == 0)
		r = ext4_write_inode(writer, number, &inode, err);
	if (r == 0)
		*ret_number = number;
	return r;
}
