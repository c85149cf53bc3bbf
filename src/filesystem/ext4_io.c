/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filesystem/ext4_io.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define UNIT_SIZE  4096u
#define UNITS_MOST 8192u /* 32 MiB of metadata; beyond that, all is written back */
#define BUCKETS    16384u
#define RUN_SIZE   (1u << 20) /* neighbours are written together up to so much */

/* One piece of the cache; the last one of the blocks may be shorter. */
struct unit {
	uint64_t number;
	struct unit *next; /* in its bucket */
	bool dirty;
	uint8_t data[UNIT_SIZE];
};

struct cache {
	struct blocks *blocks;
	bool bypassed; /* it keeps nothing: what is opened for reading is read once */
	struct unit *buckets[BUCKETS];
	struct unit *units[UNITS_MOST];
	size_t count;
	uint8_t *run;
	struct caisson_error cause; /* what libext2fs's codes cannot say */
};

/* ext2fs_open2() hands its opener a name and nothing else, and back a code and nothing else. */
struct opening {
	struct blocks *blocks;
	bool read_only;
	struct caisson_error cause;
};

static _Thread_local struct opening *opening;

static struct unit *find_unit(struct cache *cache, uint64_t number)
{
	struct unit *unit = cache->buckets[number % BUCKETS];

	while (unit != NULL && unit->number != number)
		unit = unit->next;
	return unit;
}

static size_t unit_size(const struct cache *cache, uint64_t number)
{
	return (size_t)MIN(cache->blocks->size - number * UNIT_SIZE, (uint64_t)UNIT_SIZE);
}

static int by_number(const void *a, const void *b)
{
	const struct unit *const *left = a, *const *right = b;

	return (*left)->number < (*right)->number ? -1 : (*left)->number > (*right)->number;
}

/* Writes the dirty units from @first on that are neighbours. Returns the index behind them. */
static int write_run(struct cache *cache, size_t first, size_t *ret_next)
{
	uint64_t number = cache->units[first]->number;
	size_t size = 0, i = first;
	int r;

	while (i < cache->count && size + UNIT_SIZE <= RUN_SIZE && cache->units[i]->dirty &&
		cache->units[i]->number == number + (i - first)) {
		size_t length = unit_size(cache, cache->units[i]->number);

		memcpy(cache->run + size, cache->units[i++]->data, length);
		size += length;
	}
	r = blocks_write(cache->blocks, number * UNIT_SIZE, cache->run, size, &cache->cause);
	for (size_t j = first; r == 0 && j < i; j++)
		cache->units[j]->dirty = false;
	*ret_next = i;
	return r;
}

static int write_back(struct cache *cache)
{
	int r = 0;

	qsort(cache->units, cache->count, sizeof(*cache->units), by_number);
	for (size_t i = 0; r == 0 && i < cache->count;) {
		if (cache->units[i]->dirty)
			r = write_run(cache, i, &i);
		else
			i++;
	}
	return r;
}

static void drop_all(struct cache *cache)
{
	for (size_t i = 0; i < cache->count; i++)
		free(cache->units[i]);
	cache->count = 0;
	memset(cache->buckets, 0, sizeof(cache->buckets));
}

/* An empty unit for @number, which is not there yet. */
static int add_unit(struct cache *cache, uint64_t number, struct unit **ret_unit)
{
	struct unit *unit;

	if (cache->count == UNITS_MOST) {
		int r = write_back(cache);

		if (r < 0)
			return r;
		drop_all(cache);
	}
	unit = malloc(sizeof(*unit));
	if (unit == NULL)
		return caisson_fail(&cache->cause, ENOMEM, "work on %s", cache->blocks->what);
	unit->number = number;
	unit->dirty = false;
	unit->next = cache->buckets[number % BUCKETS];
	cache->buckets[number % BUCKETS] = unit;
	cache->units[cache->count++] = unit;
	*ret_unit = unit;
	return 0;
}

static int drop_last(struct cache *cache, int r)
{
	struct unit *unit = cache->units[--cache->count];

	cache->buckets[unit->number % BUCKETS] = unit->next;
	free(unit);
	return r;
}

/* The unit with what is on the blocks, or with anything when all of it will be written. */
static int get_unit(struct cache *cache, uint64_t number, bool read, struct unit **ret_unit)
{
	struct unit *unit = find_unit(cache, number);
	int r;

	if (unit == NULL) {
		r = add_unit(cache, number, &unit);
		if (r < 0)
			return r;
		r = read ? blocks_read(cache->blocks, number * UNIT_SIZE, unit->data,
				   unit_size(cache, number), &cache->cause)
			 : 0;
		if (r < 0)
			return drop_last(cache, r);
	}
	*ret_unit = unit;
	return 0;
}

static int check_range(struct cache *cache, uint64_t offset, uint64_t size)
{
	if (offset > cache->blocks->size || size > cache->blocks->size - offset)
		return caisson_refuse(&cache->cause, EBADMSG,
			"the filesystem in %s reaches beyond its end", cache->blocks->what);
	return 0;
}

static int cache_read(struct cache *cache, uint64_t offset, uint8_t *data, uint64_t size)
{
	int r = check_range(cache, offset, size);

	if (r == 0 && cache->bypassed)
		return blocks_read(cache->blocks, offset, data, size, &cache->cause);
	while (r == 0 && size > 0) {
		uint64_t number = offset / UNIT_SIZE, within = offset % UNIT_SIZE;
		size_t length = (size_t)MIN(size, UNIT_SIZE - within);
		struct unit *unit;

		r = get_unit(cache, number, true, &unit);
		if (r < 0)
			break;
		memcpy(data, unit->data + within, length);
		data += length;
		offset += length;
		size -= length;
	}
	return r;
}

/* @data NULL: zeros. */
static int cache_write(struct cache *cache, uint64_t offset, const uint8_t *data, uint64_t size)
{
	int r = check_range(cache, offset, size);

	while (r == 0 && size > 0) {
		uint64_t number = offset / UNIT_SIZE, within = offset % UNIT_SIZE;
		size_t length = (size_t)MIN(size, UNIT_SIZE - within);
		struct unit *unit;

		r = get_unit(cache, number, length < unit_size(cache, number), &unit);
		if (r < 0)
			break;
		if (data != NULL)
			memcpy(unit->data + within, data, length);
		else
			memset(unit->data + within, 0, length);
		unit->dirty = true;
		data = data != NULL ? data + length : NULL;
		offset += length;
		size -= length;
	}
	return r;
}

static void cache_free(struct cache *cache)
{
	if (cache == NULL)
		return;
	drop_all(cache);
	free(cache->run);
	free(cache);
}

static void free_channel(io_channel channel)
{
	cache_free(channel->private_data);
	free(channel->name);
	free(channel);
}

/* A count below zero is one of bytes. */
static bool to_bytes(io_channel channel, unsigned long long block, int count, uint64_t *ret_offset,
	uint64_t *ret_size)
{
	*ret_size = count < 0 ? -(uint64_t)count : (uint64_t)count * (uint64_t)channel->block_size;
	return !__builtin_mul_overflow((uint64_t)block, (uint64_t)channel->block_size, ret_offset);
}

static errcode_t on_read64(io_channel channel, unsigned long long block, int count, void *data)
{
	uint64_t offset, size;

	if (!to_bytes(channel, block, count, &offset, &size))
		return EXT2_ET_SHORT_READ;
	return -cache_read(channel->private_data, offset, data, size);
}

static errcode_t on_write64(
	io_channel channel, unsigned long long block, int count, const void *data)
{
	uint64_t offset, size;

	if (!to_bytes(channel, block, count, &offset, &size))
		return EINVAL;
	return -cache_write(channel->private_data, offset, data, size);
}

static errcode_t on_read(io_channel channel, unsigned long block, int count, void *data)
{
	return on_read64(channel, block, count, data);
}

static errcode_t on_write(io_channel channel, unsigned long block, int count, const void *data)
{
	return on_write64(channel, block, count, data);
}

static errcode_t on_write_byte(
	io_channel channel, unsigned long offset, int count, const void *data)
{
	return count < 0 ? EINVAL
			 : -cache_write(channel->private_data, offset, data, (uint64_t)count);
}

static errcode_t on_zeroout(io_channel channel, unsigned long long block, unsigned long long count)
{
	uint64_t offset, size;

	if (count > INT_MAX || !to_bytes(channel, block, (int)count, &offset, &size))
		return EINVAL;
	return -cache_write(channel->private_data, offset, NULL, size);
}

static errcode_t on_set_blksize(io_channel channel, int size)
{
	channel->block_size = size;
	return 0;
}

static errcode_t on_flush(io_channel channel)
{
	return -write_back(channel->private_data);
}

static errcode_t on_close(io_channel channel)
{
	errcode_t code;

	if (--channel->refcount > 0)
		return 0;
	code = -write_back(channel->private_data);
	if (opening != NULL)
		opening->cause = ((struct cache *)channel->private_data)->cause;
	free_channel(channel);
	return code;
}

static errcode_t on_open(const char *name, int flags, io_channel *ret_channel);

static struct struct_io_manager manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "caisson's blocks",
	.open = on_open,
	.close = on_close,
	.set_blksize = on_set_blksize,
	.read_blk = on_read,
	.write_blk = on_write,
	.flush = on_flush,
	.write_byte = on_write_byte,
	.read_blk64 = on_read64,
	.write_blk64 = on_write64,
	.zeroout = on_zeroout,
};

static errcode_t on_open(const char *name, int flags _unused_, io_channel *ret_channel)
{
	io_channel channel = calloc(1, sizeof(*channel));
	struct cache *cache = calloc(1, sizeof(*cache));

	if (channel != NULL && cache != NULL) {
		channel->private_data = cache;
		channel->name = strdup(name);
		cache->run = malloc(RUN_SIZE);
	}
	if (channel == NULL || cache == NULL || channel->name == NULL || cache->run == NULL) {
		if (channel != NULL)
			free(channel->name);
		free(channel);
		cache_free(cache);
		return EXT2_ET_NO_MEMORY;
	}
	cache->blocks = opening->blocks;
	cache->bypassed = opening->read_only;
	channel->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	channel->manager = &manager;
	channel->block_size = 1024;
	channel->refcount = 1;
	*ret_channel = channel;
	return 0;
}

static int say_why(const struct caisson_error *cause, errcode_t code, const char *what,
	struct caisson_error *err)
{
	if (code == 0)
		return 0;
	if (cause->code != 0) {
		if (err != NULL)
			*err = *cause;
		return -cause->code;
	}
	if (code == EXT2_ET_NO_MEMORY || code == ENOMEM)
		return caisson_fail(err, ENOMEM, "%s", what);
	if (code == EXT2_ET_BLOCK_ALLOC_FAIL || code == EXT2_ET_INODE_ALLOC_FAIL)
		return caisson_fail(err, ENOSPC, "%s", what);
	if (code > 0 && code < 4096)
		return caisson_fail(err, (int)code, "%s", what);
	return caisson_refuse(err, EBADMSG, "%s: libext2fs error %ld", what, (long)code);
}

int ext4_io_open(
	struct blocks *blocks, bool read_only, ext2_filsys *ret_fs, struct caisson_error *err)
{
	struct opening it = {.blocks = blocks, .read_only = read_only || blocks->read_only};
	ext2_filsys fs = NULL;
	errcode_t code;

	opening = &it;
	code = ext2fs_open2("blocks", NULL, EXT2_FLAG_64BITS | (it.read_only ? 0 : EXT2_FLAG_RW), 0,
		0, &manager, &fs);
	opening = NULL;
	if (code != 0)
		return say_why(&it.cause, code, "open the filesystem", err);
	/* Ranges and not bits: a new volume is nearly empty, and may be large. */
	fs->default_bitmap_type = EXT2FS_BMAP64_RBTREE;
	*ret_fs = fs;
	return 0;
}

int ext4_io_forget(ext2_filsys fs, struct caisson_error *err)
{
	struct cache *cache = fs->io->private_data;
	int r = write_back(cache);

	if (r < 0)
		return ext4_io_fail(fs, -r, "write", err);
	drop_all(cache);
	/* libext2fs keeps the last block of inodes itself. */
	return ext4_io_fail(fs, ext2fs_flush_icache(fs), "write inodes", err);
}

int ext4_io_fail(ext2_filsys fs, errcode_t code, const char *what, struct caisson_error *err)
{
	const struct cache *cache = fs->io->private_data;

	return say_why(&cache->cause, code, what, err);
}

int ext4_io_close(ext2_filsys fs, struct caisson_error *err)
{
	errcode_t code = ext2fs_flush2(fs, 0);
	int r = ext4_io_fail(fs, code, "write the filesystem's descriptors", err);

	ext4_io_abandon(fs);
	return r;
}

void ext4_io_abandon(ext2_filsys fs)
{
	struct cache *cache = fs->io->private_data;

	drop_all(cache);
	ext2fs_free(fs);
}
