/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elf/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

/*
 * The formats, in the byte order of the system that runs ldconfig:
 *
 *   old: "ld.so-1.7.0\0" | u32 count | count * (i32 flags, u32 key, u32 value) | strings
 *   new: "glibc-ld.so.cache" "1.1" | u32 count | u32 size of strings | u8 flags | 3 bytes |
 *        u32 extensions | 12 bytes | count * (i32 flags, u32 key, u32 value, u32, u64 hwcap) |
 * strings
 *
 * Keys and values of the new format are offsets from the start of its header. When both are there,
 * that header follows the old entries, on an 8-byte boundary.
 */
#define OLD_MAGIC "ld.so-1.7.0"
#define NEW_MAGIC "glibc-ld.so.cache1.1"

enum {
	OLD_HEADER = 16,
	OLD_ENTRY = 12,
	NEW_HEADER = 48,
	NEW_ENTRY = 24,
	ENDIAN_MASK = 3, /* of the flags byte; 0: written before glibc 2.33 */
	ENDIAN_LITTLE = 2,
	ENDIAN_BIG = 3,
	SAME_NAME_MOST = 256, /* entries of one name that are looked at */
};

static uint32_t word(const char *data, bool big_endian)
{
	const uint8_t *bytes = (const uint8_t *)data;
	uint32_t value = 0;

	for (unsigned int i = 0; i < 4; i++)
		value = value << 8 | bytes[big_endian ? i : 3 - i];
	return value;
}

static bool entries_fit(const char *data, size_t size, size_t header, size_t entry, bool big_endian)
{
	return word(data + header, big_endian) <= size / entry;
}

/* Where the new format starts; @size when it is not there. */
static size_t find_new(const char *data, size_t size)
{
	size_t entries, at = 0;

	if (size >= OLD_HEADER && memcmp(data, OLD_MAGIC, sizeof(OLD_MAGIC) - 1) == 0) {
		bool big_endian = !entries_fit(data, size - OLD_HEADER, 12, OLD_ENTRY, false);

		entries = word(data + 12, big_endian);
		if (entries > (size - OLD_HEADER) / OLD_ENTRY)
			return size;
		at = (OLD_HEADER + entries * OLD_ENTRY + 7) & ~(size_t)7;
	}
	if (at > size || size - at < NEW_HEADER ||
		memcmp(data + at, NEW_MAGIC, sizeof(NEW_MAGIC) - 1) != 0)
		return size;
	return at;
}

void cache_take(struct cache *ret_cache, char *data, size_t size)
{
	struct cache cache = {.data = data, .size = size};
	size_t at = find_new(data, size);

	if (at < size) {
		const char *header = data + at;
		unsigned int endian = (uint8_t)header[28] & ENDIAN_MASK;
		size_t room = size - at - NEW_HEADER;

		cache.start = at;
		cache.big_endian = endian == ENDIAN_BIG ||
				   (endian != ENDIAN_LITTLE &&
					   !entries_fit(header, room, 20, NEW_ENTRY, false));
		if (entries_fit(header, room, 20, NEW_ENTRY, cache.big_endian))
			cache.count = word(header + 20, cache.big_endian);
	}
	*ret_cache = cache;
}

/* The NUL behind the data ends whatever has no end of its own. */
static const char *text_at(const struct cache *cache, uint32_t offset)
{
	return offset < cache->size - cache->start ? cache->data + cache->start + offset : NULL;
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static uint32_t take_number(const char **text)
{
	uint32_t value = 0;

	while (digit(**text))
		value = value * 10 + (uint32_t)(*(*text)++ - '0');
	return value;
}

/* The order of the cache: digits count as numbers (glibc's _dl_cache_libcmp). Bound to stay the
   same, quirks too: libx.so.1 and libx.so.01 are equal. */
static int compare_names(const char *a, const char *b)
{
	while (*a != '\0') {
		if (digit(*a) && digit(*b)) {
			int32_t order = (int32_t)(take_number(&a) - take_number(&b));

			if (order != 0)
				return order < 0 ? -1 : 1;
		} else if (digit(*a)) {
			return 1;
		} else if (digit(*b)) {
			return -1;
		} else if (*a != *b) {
			return *a - *b;
		} else {
			a++;
			b++;
		}
	}
	return *a - *b;
}

static const char *entry_at(const struct cache *cache, uint32_t index)
{
	return cache->data + cache->start + NEW_HEADER + (size_t)index * NEW_ENTRY;
}

/* 0: equal; a key that is no string ends the search, as in the loader. */
static int compare_entry(
	const struct cache *cache, uint32_t index, const char *soname, bool *ret_broken)
{
	const char *key = text_at(cache, word(entry_at(cache, index) + 4, cache->big_endian));

	*ret_broken = key == NULL;
	return key != NULL ? compare_names(soname, key) : 0;
}

const char *cache_lookup(const struct cache *cache, const char *soname, uint32_t flags)
{
	uint32_t low = 0, high = cache->count, end;
	bool broken;

	/* Entries stand from the greatest name to the least: find the first that is not greater. */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (compare_entry(cache, middle, soname, &broken) < 0)
			low = middle + 1;
		else
			high = middle;
		if (broken)
			return NULL;
	}
	end = MIN(cache->count, low + SAME_NAME_MOST);
	for (; low < end; low++) {
		const char *entry = entry_at(cache, low), *path;

		if (compare_entry(cache, low, soname, &broken) != 0 || broken)
			return NULL;
		if (word(entry, cache->big_endian) != flags ||
			word(entry + 16, cache->big_endian) != 0 ||
			word(entry + 20, cache->big_endian) != 0)
			continue;
		path = text_at(cache, word(entry + 8, cache->big_endian));
		if (path != NULL)
			return path;
	}
	return NULL;
}

void cache_done(struct cache *cache)
{
	free(cache->data);
	*cache = CACHE_NONE;
}
