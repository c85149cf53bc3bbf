/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/cache.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "closure/hwcaps.h"

/*
 * The formats, in the byte order of the system that runs ldconfig:
 *
 *   old: "ld.so-1.7.0\0" | u32 count | count * (i32 flags, u32 key, u32 value) | strings
 *   new: "glibc-ld.so.cache" "1.1" | u32 count | u32 size of strings | u8 flags | 3 bytes |
 *        u32 extensions | 12 bytes | count * (i32 flags, u32 key, u32 value, u32, u64 hwcap) |
 *        strings
 *   extensions: u32 magic | u32 count | count * (u32 tag, u32 flags, u32 offset, u32 size)
 *
 * Keys and values of the new format are offsets from the start of its header. When both are there,
 * that header follows the old entries, on an 8-byte boundary. The extension with tag 1 is a list of
 * u32 offsets of names below glibc-hwcaps; it and they count from the start of the file.
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
	EXTENSION_HEADER = 8,
	EXTENSION = 16,
	EXTENSIONS_MOST = 64,
	EXTENSION_LEVELS = 1,
	PLATFORM_MASK = 0xf, /* of the bits from 48 on: i586, i686, haswell, xeon_phi */
};

#define EXTENSION_MAGIC 0xeaa42174u
#define HWCAP_LEVEL     (UINT64_C(1) << 62) /* the low word is an index of the levels */
#define HWCAP_TLS       (UINT64_C(1) << 63)
#define HWCAP_PLATFORM  ((uint64_t)PLATFORM_MASK << 48)

static uint32_t word(const char *data, bool big_endian)
{
	uint32_t value;

	memcpy(&value, data, sizeof(value));
	return big_endian ? be32toh(value) : le32toh(value);
}

static uint64_t wide_word(const char *data, bool big_endian)
{
	uint64_t first = word(data, big_endian), second = word(data + 4, big_endian);

	return big_endian ? first << 32 | second : second << 32 | first;
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

/* The list of names below glibc-hwcaps, when there is one. */
static void take_levels(struct cache *cache)
{
	size_t at = word(cache->data + cache->start + 32, cache->big_endian), room;
	uint32_t count;

	if (at == 0 || at > cache->size || cache->size - at < EXTENSION_HEADER ||
		word(cache->data + at, cache->big_endian) != EXTENSION_MAGIC)
		return;
	room = (cache->size - at - EXTENSION_HEADER) / EXTENSION;
	count = MIN(word(cache->data + at + 4, cache->big_endian), (uint32_t)EXTENSIONS_MOST);
	for (uint32_t i = 0; i < count && i < room; i++) {
		const char *entry = cache->data + at + EXTENSION_HEADER + (size_t)i * EXTENSION;
		size_t offset = word(entry + 8, cache->big_endian);
		size_t size = word(entry + 12, cache->big_endian);

		if (word(entry, cache->big_endian) != EXTENSION_LEVELS || offset > cache->size ||
			size > cache->size - offset)
			continue;
		cache->levels = offset;
		cache->level_count = size / sizeof(uint32_t);
	}
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
		take_levels(&cache);
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
int cache_compare(const char *a, const char *b)
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
	return key != NULL ? cache_compare(soname, key) : 0;
}

/* The greatest of the keys' entries that is not greater: they stand from the greatest name to the
   least. */
static uint32_t find_first(const struct cache *cache, const char *soname)
{
	uint32_t low = 0, high = cache->count;
	bool broken;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (compare_entry(cache, middle, soname, &broken) < 0)
			low = middle + 1;
		else
			high = middle;
		if (broken)
			return cache->count;
	}
	return low;
}

/* Which of the levels an entry is for, counted from the best; level_count: none of them. */
static size_t level_of(const struct cache *cache, uint64_t hwcap, const struct hwcaps *hwcaps)
{
	uint32_t index = (uint32_t)hwcap, offset;

	if (index >= cache->level_count)
		return hwcaps->level_count;
	offset = word(
		cache->data + cache->levels + (size_t)index * sizeof(uint32_t), cache->big_endian);
	for (size_t i = 0; i < hwcaps->level_count && offset < cache->size; i++) {
		if (strcmp(cache->data + offset, hwcaps->levels[i]) == 0)
			return i;
	}
	return hwcaps->level_count;
}

/* The older capabilities: bits for the processor, and one for the platform. */
static bool legacy_fits(uint64_t hwcap, const struct hwcaps *hwcaps)
{
	uint64_t platform = hwcap & HWCAP_PLATFORM;

	if (hwcap == 0)
		return true;
	if (hwcaps->legacy == 0)
		return false;
	return (hwcap & ~(hwcaps->legacy | HWCAP_PLATFORM | HWCAP_TLS)) == 0 &&
	       (platform == 0 || platform == hwcaps->legacy_platform);
}

const char *cache_lookup(
	const struct cache *cache, const char *soname, uint32_t flags, const struct hwcaps *hwcaps)
{
	uint32_t first = find_first(cache, soname), end;
	size_t best_level = hwcaps->level_count;
	const char *best = NULL;
	bool broken;

	end = MIN(cache->count, first + SAME_NAME_MOST);
	for (uint32_t i = first; i < end; i++) {
		const char *entry = entry_at(cache, i), *path;
		uint64_t hwcap;
		size_t level;

		if (compare_entry(cache, i, soname, &broken) != 0 || broken)
			break;
		path = text_at(cache, word(entry + 8, cache->big_endian));
		if (word(entry, cache->big_endian) != flags || path == NULL)
			continue;
		hwcap = wide_word(entry + 16, cache->big_endian);
		/* Those for levels stand in front of all others. */
		if ((hwcap & HWCAP_LEVEL) == 0 && best != NULL)
			break;
		if ((hwcap & HWCAP_LEVEL) == 0 && legacy_fits(hwcap, hwcaps))
			return path;
		level = (hwcap & HWCAP_LEVEL) != 0 ? level_of(cache, hwcap, hwcaps)
						   : hwcaps->level_count;
		if (level < best_level) {
			best = path;
			best_level = level;
		}
	}
	return best;
}

void cache_done(struct cache *cache)
{
	free(cache->data);
	*cache = CACHE_NONE;
}
