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

struct cache {
	char *data; /* owned; NULL: there is no cache */
	size_t size;
	size_t start; /* of the new format: what its offsets count from */
	uint32_t count;
	bool big_endian;
};

#define CACHE_NONE ((struct cache){NULL, 0, 0, 0, false})

/* Takes @data (malloc'ed, with a NUL behind its @size bytes). What is in no format that is known
   gives an empty cache, as the loader, too, goes on without. */
void cache_take(struct cache *ret_cache, char *data, size_t size);
/* The path for @soname among entries of these flags (ldconfig's FLAG_...), or NULL. Points into the
   cache. Entries for particular processors (glibc-hwcaps, the older hwcap bits) are passed over: a
   closure is to run on any processor of its machine type. */
const char *cache_lookup(const struct cache *cache, const char *soname, uint32_t flags);
void cache_done(struct cache *cache);
