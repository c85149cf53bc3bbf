/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filesystem/blocks_io.h"

#include <errno.h>
#include <string.h>

struct access {
	struct blocks *blocks;
	struct caisson_error *err;
};

/* libext2fs hands its opener a name, and nothing else. */
static _Thread_local const struct access *opening;

static errcode_t io_open(const char *name, int flags, io_channel *ret_channel);

static errcode_t io_close(io_channel channel)
{
	if (--channel->refcount > 0)
		return 0;
	free(channel->private_data);
	free(channel->name);
	free(channel);
	return 0;
}

static errcode_t io_set_blksize(io_channel channel, int size)
{
	channel->block_size = size;
	return 0;
}

/* A negative count is a number of bytes. */
static errcode_t io_read_blk64(io_channel channel, unsigned long long block, int count, void *data)
{
	const struct access *access = channel->private_data;
	uint64_t size = count < 0 ? (uint64_t) - (int64_t)count
				  : (uint64_t)count * (uint64_t)channel->block_size;
	uint64_t offset;

	if (__builtin_mul_overflow(block, (uint64_t)channel->block_size, &offset))
		return EXT2_ET_SHORT_READ;
	return blocks_read(access->blocks, offset, data, size, access->err) < 0 ? EXT2_ET_SHORT_READ
										: 0;
}

static errcode_t io_read_blk(io_channel channel, unsigned long block, int count, void *data)
{
	return io_read_blk64(channel, block, count, data);
}

static errcode_t io_write_blk64(io_channel channel _unused_, unsigned long long block _unused_,
	int count _unused_, const void *data _unused_)
{
	return EXT2_ET_RO_FILSYS;
}

static errcode_t io_write_blk(io_channel channel _unused_, unsigned long block _unused_,
	int count _unused_, const void *data _unused_)
{
	return EXT2_ET_RO_FILSYS;
}

static errcode_t io_flush(io_channel channel _unused_)
{
	return 0;
}

static struct struct_io_manager manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "blocks",
	.open = io_open,
	.close = io_close,
	.set_blksize = io_set_blksize,
	.read_blk = io_read_blk,
	.read_blk64 = io_read_blk64,
	.write_blk = io_write_blk,
	.write_blk64 = io_write_blk64,
	.flush = io_flush,
};

static errcode_t io_open(const char *name, int flags _unused_, io_channel *ret_channel)
{
	io_channel channel = calloc(1, sizeof(*channel));
	struct access *access = malloc(sizeof(*access));
	char *copy = strdup(name);

	if (channel == NULL || access == NULL || copy == NULL) {
		free(channel);
		free(access);
		free(copy);
		return EXT2_ET_NO_MEMORY;
	}
	*access = *opening;
	channel->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	channel->manager = &manager;
	channel->name = copy;
	channel->block_size = 1024;
	channel->refcount = 1;
	channel->private_data = access;
	*ret_channel = channel;
	return 0;
}

errcode_t blocks_io_open(
	struct blocks *blocks, int flags, ext2_filsys *ret_fs, struct caisson_error *err)
{
	struct access access = {.blocks = blocks, .err = err};
	errcode_t code;

	opening = &access;
	code = ext2fs_open(blocks->what, flags, 0, 0, &manager, ret_fs);
	opening = NULL;
	return code;
}

int blocks_io_failed(errcode_t code, struct caisson_error *err)
{
	if (code == EXT2_ET_NO_MEMORY || code == ENOMEM)
		return caisson_fail(err, ENOMEM, "read the filesystem");
	if (code == EXT2_ET_SHORT_READ && err != NULL && err->code != 0)
		return -err->code;
	return caisson_refuse(err, EBADMSG, "read the filesystem: libext2fs error %ld", (long)code);
}
