/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sorted lists of byte ranges, whose memory has a bound. */
#pragma once

#include <caisson/error.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct extent {
	uint64_t offset, length; /* bytes */
};

/*
 * Ranges in order, none touching the next. A list never grows beyond EXTENTS_MOST: then the
 * smallest gaps count as part of what is around them. So a list means "at least these bytes".
 */
struct extents {
	struct extent *items;
	size_t count, capacity;
	uint64_t gap; /* what is up to so many bytes apart is joined */
};

#define EXTENTS_MOST (1u << 20)
#define EXTENTS_NONE ((struct extents){NULL, 0, 0, 0})

/* @offset is not before the end of the last one. -ENOMEM. */
int extents_add(
	struct extents *extents, uint64_t offset, uint64_t length, struct caisson_error *err);
/* Bytes in all. */
uint64_t extents_total(const struct extents *extents);
/* Each grows to whole units of @unit bytes, but not beyond @end. */
void extents_round(struct extents *extents, uint64_t unit, uint64_t end);
/* What is in both. @a is replaced. */
int extents_intersect(struct extents *a, const struct extents *b, struct caisson_error *err);
/*
 * The next data of @fd at or behind @offset and before @end, holes left out. All of it counts as
 * data where the file system does not say. -ENODATA (without a sentence): there is none.
 */
int next_data(int fd, uint64_t offset, uint64_t end, struct extent *ret_data);
/*
 * All data of @fd from @base on, as offsets from there; @size bytes are looked at. Rounded outward
 * to 4096 bytes, but not beyond @size.
 */
int extents_of_data(int fd, uint64_t base, uint64_t size, struct extents *ret_extents,
	struct caisson_error *err);
static inline void extents_done(struct extents *extents)
{
	free(extents->items);
	*extents = EXTENTS_NONE;
}

#define _cleanup_extents_ _cleanup_(extents_done)
