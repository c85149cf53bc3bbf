/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kconfig/pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

enum { BLOCK_SIZE = 256 << 10, ALIGNMENT = _Alignof(max_align_t) };

struct pool_block {
	struct pool_block *next;
	_Alignas(max_align_t) char data[];
};

static bool add_block(struct pool *pool, size_t size)
{
	size_t room = MAX(size, (size_t)BLOCK_SIZE);
	struct pool_block *block = calloc(1, sizeof(*block) + room);

	if (block == NULL)
		return false;
	block->next = pool->blocks;
	pool->blocks = block;
	pool->used = 0;
	pool->room = room;
	return true;
}

void *pool_take(struct pool *pool, size_t size)
{
	size_t whole = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	void *taken;

	if (pool->failed || whole < size || (pool->most != 0 && whole > pool->most - pool->total) ||
		(whole > pool->room - pool->used && !add_block(pool, whole))) {
		pool->failed = true;
		return NULL;
	}
	taken = pool->blocks->data + pool->used;
	pool->used += whole;
	pool->total += whole;
	return taken;
}

char *pool_copy(struct pool *pool, const char *text, size_t size)
{
	char *copy = size < SIZE_MAX ? pool_take(pool, size + 1) : NULL;

	if (copy != NULL && size > 0)
		memcpy(copy, text, size);
	return copy;
}

void pool_done(struct pool *pool)
{
	while (pool->blocks != NULL) {
		struct pool_block *block = pool->blocks;

		pool->blocks = block->next;
		free(block);
	}
	*pool = (struct pool){0};
}
