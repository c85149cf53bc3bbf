/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filesystem/ext4_file.h"

#include <errno.h>
#include <string.h>

#define CHUNK_SIZE ((size_t)EXT4_CHUNK_BLOCKS * EXT4_BLOCK_SIZE)

void ext4_file_init(struct ext4_file *file, struct ext4_writer *writer, ext2_ino_t inode)
{
	*file = (struct ext4_file){
		.map = {.writer = writer, .inode = inode}, .chunk = ext4_chunk(writer)};
}

static int check_place(
	const struct ext4_file *file, uint64_t offset, uint64_t length, struct caisson_error *err)
{
	uint64_t most = EXT4_FILE_BLOCKS_MOST * EXT4_BLOCK_SIZE;

	if (offset < file->end)
		return caisson_refuse(err, EBADMSG, "its pieces are not in order");
	if (offset > most || length > most - offset)
		return caisson_refuse(err, EFBIG, "it is larger than a file of ext4 can be");
	return 0;
}

static int settle_chunk(struct ext4_file *file, struct caisson_error *err)
{
	uint64_t logical = file->chunk_at / EXT4_BLOCK_SIZE;
	const uint8_t *data = file->chunk;
	size_t size = file->chunk_size;
	int r = 0;

	file->chunk_size = 0;
	while (r == 0 && size > 0) {
		uint64_t block;
		uint32_t count;
		size_t length;

		r = ext4_allocate(file->map.writer, (size + EXT4_BLOCK_SIZE - 1) / EXT4_BLOCK_SIZE,
			&block, &count, err);
		if (r < 0)
			return r;
		length = MIN(size, (size_t)count * EXT4_BLOCK_SIZE);
		r = ext4_map_add(&file->map, logical, block, count, err);
		if (r == 0)
			r = ext4_queue(file->map.writer, block, data, length, err);
		logical += count;
		data += length;
		size -= length;
	}
	return r;
}

/* Makes @offset the place where the chunk goes on; the rest of a begun block is zeros. */
static int move_chunk(struct ext4_file *file, uint64_t offset, struct caisson_error *err)
{
	uint64_t at = offset / EXT4_BLOCK_SIZE * EXT4_BLOCK_SIZE;
	uint64_t end = file->chunk_at + file->chunk_size;
	int r = 0;

	/* In the same block, or right behind it: no hole. */
	if (file->chunk_size > 0 && offset >= end && offset - file->chunk_at < CHUNK_SIZE &&
		at <= (end + EXT4_BLOCK_SIZE - 1) / EXT4_BLOCK_SIZE * EXT4_BLOCK_SIZE) {
		memset(file->chunk + file->chunk_size, 0, (size_t)(offset - end));
		file->chunk_size = (size_t)(offset - file->chunk_at);
		return 0;
	}
	r = settle_chunk(file, err);
	file->chunk_at = at;
	file->chunk_size = (size_t)(offset - at);
	memset(file->chunk, 0, file->chunk_size);
	return r;
}

int ext4_file_write(struct ext4_file *file, uint64_t offset, const void *data, size_t size,
	struct caisson_error *err)
{
	int r = check_place(file, offset, size, err);
	const uint8_t *from = data;

	while (r == 0 && size > 0) {
		size_t length;

		r = move_chunk(file, offset, err);
		if (r < 0)
			break;
		length = MIN(size, CHUNK_SIZE - file->chunk_size);
		memcpy(file->chunk + file->chunk_size, from, length);
		file->chunk_size += length;
		from += length;
		offset += length;
		size -= length;
		file->end = offset;
		if (file->chunk_size == CHUNK_SIZE)
			r = settle_chunk(file, err);
	}
	return r;
}

int ext4_file_copy(struct ext4_file *file, uint32_t loan, uint64_t offset, uint64_t length,
	struct caisson_error *err)
{
	int r = check_place(file, offset, length, err);

	if (r == 0)
		r = settle_chunk(file, err);
	while (r == 0 && length > 0) {
		uint64_t block;
		uint32_t count;

		r = ext4_allocate(file->map.writer, length / EXT4_BLOCK_SIZE, &block, &count, err);
		if (r == 0)
			r = ext4_map_add(&file->map, offset / EXT4_BLOCK_SIZE, block, count, err);
		if (r == 0)
			r = ext4_queue_copy(file->map.writer, loan, offset, block, count, err);
		if (r < 0)
			break;
		offset += (uint64_t)count * EXT4_BLOCK_SIZE;
		length -= (uint64_t)count * EXT4_BLOCK_SIZE;
		file->end = offset;
	}
	return r;
}

int ext4_file_finish(struct ext4_file *file, union ext4_inode *inode, struct caisson_error *err)
{
	int r = settle_chunk(file, err);

	return r < 0 ? r : ext4_map_finish(&file->map, inode, err);
}

void ext4_file_done(struct ext4_file *file)
{
	ext4_map_done(&file->map);
}
