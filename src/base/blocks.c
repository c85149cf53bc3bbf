/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/blocks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

#define ZEROS_SIZE (1u << 20)

static int check_range(
	const struct blocks *blocks, uint64_t offset, uint64_t size, struct caisson_error *err)
{
	if (offset > blocks->size || size > blocks->size - offset)
		return caisson_refuse(err, EINVAL, "%s ends at %llu, before %llu + %llu",
			blocks->what, (unsigned long long)blocks->size, (unsigned long long)offset,
			(unsigned long long)size);
	return 0;
}

static int check_write(
	const struct blocks *blocks, uint64_t offset, uint64_t size, struct caisson_error *err)
{
	if (blocks->read_only)
		return caisson_fail(err, EROFS, "write to %s", blocks->what);
	return check_range(blocks, offset, size, err);
}

int blocks_read(
	struct blocks *blocks, uint64_t offset, void *data, size_t size, struct caisson_error *err)
{
	int r = check_range(blocks, offset, size, err);

	return r < 0 || size == 0 ? r : blocks->ops->read(blocks, offset, data, size, err);
}

int blocks_write(struct blocks *blocks, uint64_t offset, const void *data, size_t size,
	struct caisson_error *err)
{
	int r = check_write(blocks, offset, size, err);

	return r < 0 || size == 0 ? r : blocks->ops->write(blocks, offset, data, size, err);
}

int blocks_flush(struct blocks *blocks, struct caisson_error *err)
{
	return blocks->read_only ? 0 : blocks->ops->flush(blocks, err);
}

int blocks_discard(
	struct blocks *blocks, uint64_t offset, uint64_t length, struct caisson_error *err)
{
	int r = check_write(blocks, offset, length, err);

	if (r < 0 || length == 0 || blocks->ops->discard == NULL)
		return r;
	r = blocks->ops->discard(blocks, offset, length, err);
	return r == -EOPNOTSUPP ? 0 : r;
}

int blocks_zero(struct blocks *blocks, uint64_t offset, uint64_t length, struct caisson_error *err)
{
	_cleanup_free_ uint8_t *zeros = NULL;
	int r = check_write(blocks, offset, length, err);

	if (r < 0 || length == 0)
		return r;
	zeros = calloc(1, MIN(length, (uint64_t)ZEROS_SIZE));
	if (zeros == NULL)
		return caisson_fail(err, ENOMEM, "write zeros to %s", blocks->what);
	while (r == 0 && length > 0) {
		size_t size = MIN(length, (uint64_t)ZEROS_SIZE);

		r = blocks->ops->write(blocks, offset, zeros, size, err);
		offset += size;
		length -= size;
	}
	return r;
}

void blocks_free(struct blocks *blocks)
{
	if (blocks != NULL)
		blocks->ops->free(blocks);
}

struct file_blocks {
	struct blocks blocks;
	int fd;
};

static int file_read(
	struct blocks *blocks, uint64_t offset, void *data, size_t size, struct caisson_error *err)
{
	return pread_all(((struct file_blocks *)blocks)->fd, data, size, offset, blocks->what, err);
}

static int file_write(struct blocks *blocks, uint64_t offset, const void *data, size_t size,
	struct caisson_error *err)
{
	return pwrite_all(
		((struct file_blocks *)blocks)->fd, data, size, offset, blocks->what, err);
}

static int file_flush(struct blocks *blocks, struct caisson_error *err)
{
	if (fdatasync(((struct file_blocks *)blocks)->fd) < 0)
		return caisson_fail(err, errno, "sync %s", blocks->what);
	return 0;
}

static int file_discard(
	struct blocks *blocks, uint64_t offset, uint64_t length, struct caisson_error *err)
{
	if (fallocate(((struct file_blocks *)blocks)->fd,
		    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) < 0)
		return caisson_fail(err, errno, "discard blocks of %s", blocks->what);
	return 0;
}

static void file_free(struct blocks *blocks)
{
	free(blocks);
}

int blocks_of_file(int fd, uint64_t size, bool read_only, const char *what,
	struct blocks **ret_blocks, struct caisson_error *err)
{
	static const struct blocks_ops ops = {
		.read = file_read,
		.write = file_write,
		.flush = file_flush,
		.discard = file_discard,
		.free = file_free,
	};
	struct file_blocks *file = calloc(1, sizeof(*file));

	if (file == NULL)
		return caisson_fail(err, ENOMEM, "open %s", what);
	*file = (struct file_blocks){
		.blocks = {.ops = &ops, .size = size, .read_only = read_only, .what = what},
		.fd = fd};
	*ret_blocks = &file->blocks;
	return 0;
}
