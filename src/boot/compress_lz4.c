/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The "legacy" frame of lz4 (its lz4_Frame_format.md), the only one that the kernel's unlz4()
 * takes: a magic number, then blocks of 8 MiB, each on its own behind its compressed size. Blocks
 * are compressed by one thread each and go out in their order.
 */
#include <errno.h>
#include <lz4.h>
#include <lz4hc.h>
#include <pthread.h>
#include <string.h>

#include "boot/compress_engine.h"

enum {
	MAGIC = 0x184C2102,
	BLOCK_SIZE = 8 << 20,
	WORD = 4,
	/* A block and what becomes of it are 12 MB. */
	THREADS_MOST = 2,
	/* As lz4(1) has it: below, the fast compressor. */
	LEVEL_HC = 3,
};

struct block {
	pthread_t thread;
	bool running;
	int level;
	char *input;
	size_t filled;
	char *output; /* a word for the size, then the data */
	int size;     /* of the data; 0: failed */
};

struct lz4 {
	struct compressor base;
	bool begun;
	unsigned int count, current; /* blocks; the one that is being filled */
	struct block blocks[THREADS_MOST];
};

static void put_word(char *to, uint32_t word)
{
	for (int i = 0; i < WORD; i++)
		to[i] = (char)(word >> 8 * i);
}

static void *compress_block(void *userdata)
{
	struct block *block = userdata;
	int bound = LZ4_compressBound(BLOCK_SIZE);

	if (block->level < LEVEL_HC)
		block->size = LZ4_compress_default(
			block->input, block->output + WORD, (int)block->filled, bound);
	else
		block->size = LZ4_compress_HC(block->input, block->output + WORD,
			(int)block->filled, bound, block->level);
	return NULL;
}

static void wait_for(struct block *block)
{
	if (block->running)
		pthread_join(block->thread, NULL);
	block->running = false;
}

static void lz4_free(struct compressor *compressor)
{
	struct lz4 *lz4 = (struct lz4 *)compressor;

	for (unsigned int i = 0; i < lz4->count; i++) {
		wait_for(&lz4->blocks[i]);
		free(lz4->blocks[i].input);
		free(lz4->blocks[i].output);
	}
	free(lz4);
}

DEFINE_CLEANUP(struct compressor *, lz4_free);

static int lz4_open(struct compressor **ret_compressor, const struct compressor_options *options,
	struct caisson_error *err)
{
	struct lz4 *lz4 = calloc(1, sizeof(*lz4));
	_cleanup_(lz4_freep) struct compressor *owner = (struct compressor *)lz4;

	if (lz4 == NULL)
		return caisson_fail(err, ENOMEM, "compress");
	/* The fast compressor is done before another block is read. */
	lz4->count =
		options->level < LEVEL_HC ? 1 : MIN(options->threads, (unsigned int)THREADS_MOST);
	for (unsigned int i = 0; i < lz4->count; i++) {
		struct block *block = &lz4->blocks[i];

		block->level = options->level;
		block->input = malloc(BLOCK_SIZE);
		block->output = malloc(WORD + (size_t)LZ4_compressBound(BLOCK_SIZE));
		if (block->input == NULL || block->output == NULL)
			return caisson_fail(err, ENOMEM, "compress");
	}
	*ret_compressor = take_ptr(owner);
	return 0;
}

static int begin(struct lz4 *lz4, struct caisson_error *err)
{
	char magic[WORD];

	if (lz4->begun)
		return 0;
	lz4->begun = true;
	put_word(magic, MAGIC);
	return compress_emit(&lz4->base, magic, sizeof(magic), err);
}

/* Waits for @block, if there is something in it, and writes what became of it. */
static int drain(struct lz4 *lz4, struct block *block, struct caisson_error *err)
{
	if (block->filled == 0)
		return 0;
	wait_for(block);
	block->filled = 0;
	if (block->size <= 0)
		return caisson_refuse(err, EIO, "liblz4 failed");
	put_word(block->output, (uint32_t)block->size);
	return compress_emit(&lz4->base, block->output, WORD + (size_t)block->size, err);
}

/* Hands the current block to a thread of its own, and makes the next one, the oldest, empty. */
static int next_block(struct lz4 *lz4, struct caisson_error *err)
{
	struct block *block = &lz4->blocks[lz4->current];

	if (block->filled > 0) {
		block->running = lz4->count > 1 &&
				 pthread_create(&block->thread, NULL, compress_block, block) == 0;
		if (!block->running)
			compress_block(block);
	}
	lz4->current = (lz4->current + 1) % lz4->count;
	return drain(lz4, &lz4->blocks[lz4->current], err);
}

static int lz4_write(
	struct compressor *compressor, const void *data, size_t size, struct caisson_error *err)
{
	struct lz4 *lz4 = (struct lz4 *)compressor;
	const char *from = data;
	int r = begin(lz4, err);

	while (r == 0 && size > 0) {
		struct block *block = &lz4->blocks[lz4->current];
		size_t part = MIN(size, BLOCK_SIZE - block->filled);

		memcpy(block->input + block->filled, from, part);
		block->filled += part;
		from += part;
		size -= part;
		if (block->filled == BLOCK_SIZE)
			r = next_block(lz4, err);
	}
	return r;
}

static int lz4_finish(struct compressor *compressor, struct caisson_error *err)
{
	struct lz4 *lz4 = (struct lz4 *)compressor;
	int r = begin(lz4, err);

	for (unsigned int i = 0; r == 0 && i < lz4->count; i++)
		r = next_block(lz4, err);
	return r;
}

const struct compress_engine compress_lz4 = {lz4_open, lz4_write, lz4_finish, lz4_free};
