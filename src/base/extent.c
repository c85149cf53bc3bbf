/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/extent.h"

#include <errno.h>
#include <unistd.h>

#define ROUND 4096u

/* Joins what is no more than the gap apart; a larger gap until half of them are gone. */
static void compact(struct extents *extents)
{
	size_t before = extents->count;

	while (extents->count > before / 2) {
		size_t kept = 0;

		extents->gap = extents->gap > 0 ? extents->gap * 2 : ROUND;
		for (size_t i = 1; i < extents->count; i++) {
			struct extent *last = &extents->items[kept], *next = &extents->items[i];

			if (next->offset - (last->offset + last->length) <= extents->gap)
				last->length = next->offset + next->length - last->offset;
			else
				extents->items[++kept] = *next;
		}
		extents->count = kept + 1;
	}
}

int extents_add(
	struct extents *extents, uint64_t offset, uint64_t length, struct caisson_error *err)
{
	struct extent *last = extents->count > 0 ? &extents->items[extents->count - 1] : NULL;

	if (length == 0)
		return 0;
	if (last != NULL && offset - (last->offset + last->length) <= extents->gap) {
		last->length = offset + length - last->offset;
		return 0;
	}
	if (extents->count == EXTENTS_MOST)
		compact(extents);
	if (extents->count == extents->capacity) {
		size_t capacity = extents->capacity > 0 ? extents->capacity * 2 : 64;
		struct extent *grown = reallocarray(extents->items, capacity, sizeof(*grown));

		if (grown == NULL)
			return caisson_fail(err, ENOMEM, "list what is in use");
		extents->items = grown;
		extents->capacity = capacity;
	}
	extents->items[extents->count++] = (struct extent){offset, length};
	return 0;
}

uint64_t extents_total(const struct extents *extents)
{
	uint64_t total = 0;

	for (size_t i = 0; i < extents->count; i++)
		total += extents->items[i].length;
	return total;
}

void extents_round(struct extents *extents, uint64_t unit, uint64_t end)
{
	size_t kept = 0;

	for (size_t i = 0; i < extents->count; i++) {
		uint64_t start = extents->items[i].offset / unit * unit;
		uint64_t stop = extents->items[i].offset + extents->items[i].length;
		struct extent *last = kept > 0 ? &extents->items[kept - 1] : NULL;

		stop = MIN((stop + unit - 1) / unit * unit, end);
		if (last != NULL && start <= last->offset + last->length)
			last->length = stop - last->offset;
		else
			extents->items[kept++] = (struct extent){start, stop - start};
	}
	extents->count = kept;
}

int extents_intersect(struct extents *a, const struct extents *b, struct caisson_error *err)
{
	_cleanup_extents_ struct extents both = EXTENTS_NONE;
	int r = 0;

	for (size_t i = 0, k = 0; r == 0 && i < a->count && k < b->count;) {
		uint64_t a_end = a->items[i].offset + a->items[i].length;
		uint64_t b_end = b->items[k].offset + b->items[k].length;
		uint64_t start = MAX(a->items[i].offset, b->items[k].offset);
		uint64_t end = MIN(a_end, b_end);

		if (start < end)
			r = extents_add(&both, start, end - start, err);
		if (a_end <= b_end)
			i++;
		else
			k++;
	}
	if (r < 0)
		return r;
	free(a->items);
	*a = both;
	both = EXTENTS_NONE;
	return 0;
}

int next_data(int fd, uint64_t offset, uint64_t end, struct extent *ret_data)
{
	off_t start, hole;

	if (offset >= end)
		return -ENODATA;
	start = lseek(fd, (off_t)offset, SEEK_DATA);
	if (start < 0 && errno == ENXIO)
		return -ENODATA;
	if (start < 0) {
		*ret_data = (struct extent){offset, end - offset};
		return 0;
	}
	if ((uint64_t)start >= end)
		return -ENODATA;
	hole = lseek(fd, start, SEEK_HOLE);
	if (hole <= start || (uint64_t)hole > end)
		hole = (off_t)end;
	*ret_data = (struct extent){(uint64_t)start, (uint64_t)(hole - start)};
	return 0;
}

int extents_of_data(int fd, uint64_t base, uint64_t size, struct extents *ret_extents,
	struct caisson_error *err)
{
	_cleanup_extents_ struct extents found = EXTENTS_NONE;
	uint64_t at = 0;
	struct extent data;

	while (next_data(fd, base + at, base + size, &data) == 0) {
		uint64_t start = (data.offset - base) / ROUND * ROUND, end;
		int r;

		end = (data.offset - base + data.length + ROUND - 1) / ROUND * ROUND;
		end = MIN(end, size);
		/* The end of the one before, rounded, may reach into this one. */
		start = MAX(start, at);
		at = end;
		r = start < end ? extents_add(&found, start, end - start, err) : 0;
		if (r < 0)
			return r;
	}
	*ret_extents = found;
	found = EXTENTS_NONE;
	return 0;
}
