/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "closure/cache.h"

enum {
	HEADER = 48,
	ENTRY = 24,
	LITTLE = 2,
	BIG = 3,
};

static void add_word(struct strbuf *to, size_t number, bool big_endian)
{
	uint32_t word = big_endian ? htobe32((uint32_t)number) : htole32((uint32_t)number);

	strbuf_add(to, &word, sizeof(word));
}

static void add_zeros(struct strbuf *to, size_t count)
{
	while (count-- > 0)
		strbuf_add_char(to, '\0');
}

/* From the greatest name to the least; lines of one name by their ABI, so that the order is one. */
static int compare(const void *a, const void *b)
{
	const struct cache_line *left = a, *right = b;
	int order = cache_compare(right->soname, left->soname);

	if (order == 0)
		order = (left->flags > right->flags) - (left->flags < right->flags);
	return order != 0 ? order : strcmp(left->path, right->path);
}

void cache_write(struct cache_line *lines, size_t count, bool big_endian, struct strbuf *to)
{
	_cleanup_strbuf_ struct strbuf strings = STRBUF_INIT;
	size_t start = HEADER + count * ENTRY;

	if (count > 0)
		qsort(lines, count, sizeof(*lines), compare);
	for (size_t i = 0; i < count; i++) {
		strbuf_add(&strings, lines[i].soname, strlen(lines[i].soname) + 1);
		strbuf_add(&strings, lines[i].path, strlen(lines[i].path) + 1);
	}
	strbuf_add_string(to, "glibc-ld.so.cache1.1");
	add_word(to, count, big_endian);
	add_word(to, strings.size, big_endian);
	strbuf_add_char(to, big_endian ? BIG : LITTLE);
	add_zeros(to, HEADER - 29);
	for (size_t i = 0; i < count; i++) {
		add_word(to, lines[i].flags, big_endian);
		add_word(to, start, big_endian);
		start += strlen(lines[i].soname) + 1;
		add_word(to, start, big_endian);
		start += strlen(lines[i].path) + 1;
		add_zeros(to, ENTRY - 12);
	}
	if (count > 0 && strbuf_ok(&strings))
		strbuf_add(to, strings.data, strings.size);
	to->failed |= strings.failed;
}
