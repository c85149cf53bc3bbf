/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory that is given back all at once: for trees of many small things that live equally long. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct pool_block;

struct pool {
	struct pool_block *blocks;
	size_t used, room; /* of the newest block */
	size_t total;      /* bytes asked for */
	size_t most;       /* of these; 0: no bound */
	bool failed;       /* sticky: memory or the bound ran out */
};

#define POOL_INIT(bytes) ((struct pool){.most = (bytes)})

/* Zeroed, aligned for anything; NULL when memory or the bound runs out. */
void *pool_take(struct pool *pool, size_t size);
/* A NUL-terminated copy. */
char *pool_copy(struct pool *pool, const char *text, size_t size);
void pool_done(struct pool *pool);
