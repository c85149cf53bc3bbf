/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /etc/ld.so.cache, as ldconfig(8) writes it: the new format ("glibc-ld.so.cache1.1"), alone or
 * behind the old one. An index of sonames, for all ABIs of a system at once.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

struct cache {
	char *data; /* owned; NULL: there is no cache */
	size_t size;
	size_t start; /* of the new format: what its offsets count from */
	uint32_t count;
	bool big_endian;
	/* Offsets of the names that entries for glibc-hwcaps refer to by their index. */
	size_t levels, level_count;
};

#define CACHE_NONE ((struct cache){NULL, 0, 0, 0, false, 0, 0})

struct hwcaps;

/* Takes @data (malloc'ed, with a NUL behind its @size bytes). What is in no format that is known
   gives an empty cache, as the loader, too, goes on without. */
void cache_take(struct cache *ret_cache, char *data, size_t size);
/* The path for @soname among entries of these flags (ldconfig's FLAG_...), or NULL. Points into the
   cache. Of the entries for particular processors, those that @hwcaps has. */
const char *cache_lookup(
	const struct cache *cache, const char *soname, uint32_t flags, const struct hwcaps *hwcaps);
void cache_done(struct cache *cache);

/* The order of names in a cache: negative, 0 or positive. */
int cache_compare(const char *a, const char *b);

/* One line of a cache that is made here. */
struct cache_line {
	const char *soname, *path;
	uint32_t flags;
};

/* Appends a cache in the new format with @lines, which are put in its order. */
void cache_write(struct cache_line *lines, size_t count, bool big_endian, struct strbuf *to);
