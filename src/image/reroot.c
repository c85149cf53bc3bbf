/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Squashfs 4.0, as far as the root goes (Linux: fs/squashfs/squashfs_fs.h). The superblock names
 * the root by the place of its inode, so another folder can take its place. What is left of the
 * former root, an inode that nothing refers to, loses its time: that was the moment of writing.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/bytes.h"
#include "base/io.h"
#include "image/squash.h"

#define SUPERBLOCK_SIZE 96
#define MAGIC           "hsqs"
#define ROOT_INODE      32 /* u64: the inode's block << 16 | offset in it */
#define INODE_TABLE     64 /* u64 */
#define DIRECTORY_TABLE 72 /* u64 */

/* Tables are of blocks: a header, whose top bit says "not compressed", and 8 KiB (the last: less).
 */
#define BLOCK_HEADER            2u
#define BLOCK_SIZE              8192u
#define BLOCK_UNCOMPRESSED      0x8000u

#define TYPE_DIRECTORY          1
#define TYPE_EXTENDED_DIRECTORY 8
#define INODE_SIZE              40 /* the larger form */
#define INODE_MTIME             8

struct table {
	int fd;
	const char *path;
	uint64_t start;
};

/* A place in a table, without its headers. */
static uint64_t place_of(uint64_t block, uint64_t offset)
{
	return block / (BLOCK_HEADER + BLOCK_SIZE) * BLOCK_SIZE + offset;
}

/* Where in the file a byte of the table is. */
static int table_locate(
	const struct table *table, uint64_t place, uint64_t *ret_at, struct caisson_error *err)
{
	uint64_t block = table->start + place / BLOCK_SIZE * (BLOCK_HEADER + BLOCK_SIZE);
	uint8_t header[BLOCK_HEADER] = {0};
	int r = pread_all(table->fd, header, sizeof(header), block, table->path, err);

	if (r == 0 && (get_le16(header) & BLOCK_UNCOMPRESSED) == 0)
		r = caisson_refuse(err, EIO, "%s has a compressed table", table->path);
	if (r == 0)
		*ret_at = block + BLOCK_HEADER + place % BLOCK_SIZE;
	return r;
}

/* What is read and written here is a few bytes, which may stand on two sides of a header. */
static int table_read(const struct table *table, uint64_t place, uint8_t *data, size_t size,
	struct caisson_error *err)
{
	int r = 0;

	memset(data, 0, size);
	for (size_t i = 0; r == 0 && i < size; i++) {
		uint64_t at = 0;

		r = table_locate(table, place + i, &at, err);
		if (r == 0)
			r = pread_all(table->fd, data + i, 1, at, table->path, err);
	}
	return r;
}

static int table_zero(
	const struct table *table, uint64_t place, size_t size, struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < size; i++) {
		uint64_t at = 0;

		r = table_locate(table, place + i, &at, err);
		if (r == 0)
			r = pwrite_all(table->fd, "", 1, at, table->path, err);
	}
	return r;
}

/* Where a folder's inode says that its list is. */
static int find_list(
	const struct table *inodes, uint64_t place, uint64_t *ret_place, struct caisson_error *err)
{
	uint8_t inode[INODE_SIZE];
	int r = table_read(inodes, place, inode, 32, err);

	if (r < 0)
		return r;
	switch (get_le16(inode)) {
	case TYPE_DIRECTORY:
		*ret_place = place_of(get_le32(inode + 16), get_le16(inode + 26));
		return 0;
	case TYPE_EXTENDED_DIRECTORY:
		r = table_read(inodes, place, inode, INODE_SIZE, err);
		if (r == 0)
			*ret_place = place_of(get_le32(inode + 24), get_le16(inode + 34));
		return r;
	default:
		return caisson_refuse(err, EIO, "the root of %s is not a folder", inodes->path);
	}
}

/* The only entry of a folder's list; gives the reference to its inode. */
static int read_list(const struct table *directories, uint64_t place, uint64_t *ret_inode,
	struct caisson_error *err)
{
	/* Header: u32 count - 1, u32 block, u32 number; entry: u16 offset, s16, u16 type, u16 size.
	 */
	uint8_t list[12 + 8 + 1];
	int r = table_read(directories, place, list, sizeof(list), err);

	if (r < 0)
		return r;
	if (get_le32(list) != 0 || get_le16(list + 16) != TYPE_DIRECTORY ||
		get_le16(list + 18) != 0 || list[20] != SQUASH_ROOT[0])
		return caisson_refuse(err, EIO, "the root of %s holds not just the folder '%s'",
			directories->path, SQUASH_ROOT);
	*ret_inode = (uint64_t)get_le32(list + 4) << 16 | get_le16(list + 12);
	return 0;
}

static int reroot(int fd, const char *path, struct caisson_error *err)
{
	uint8_t superblock[SUPERBLOCK_SIZE];
	struct table inodes = {.fd = fd, .path = path}, directories = inodes;
	uint64_t old, list = 0, new = 0;
	int r = pread_all(fd, superblock, sizeof(superblock), 0, path, err);

	if (r == 0 && memcmp(superblock, MAGIC, strlen(MAGIC)) != 0)
		return caisson_refuse(err, EIO, "%s is not a squashfs", path);
	if (r < 0)
		return r;
	inodes.start = get_le64(superblock + INODE_TABLE);
	directories.start = get_le64(superblock + DIRECTORY_TABLE);
	old = get_le64(superblock + ROOT_INODE);
	old = place_of(old >> 16, old & 0xffff);

	r = find_list(&inodes, old, &list, err);
	if (r == 0)
		r = read_list(&directories, list, &new, err);
	if (r == 0)
		r = table_zero(&inodes, old + INODE_MTIME, sizeof(uint32_t), err);
	if (r < 0)
		return r;
	new = htole64(new);
	return pwrite_all(fd, &new, sizeof(new), ROOT_INODE, path, err);
}

int squash_reroot(const char *path, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(path, O_RDWR, 0, err);
	int r = fd < 0 ? fd : reroot(fd, path, err);

	return r < 0 ? caisson_wrap(err, "set the root of the image") : 0;
}
