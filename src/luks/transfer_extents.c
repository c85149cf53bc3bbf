/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "luks/transfer.h"

/* A range of a plain source: data and holes in turn. They may begin within a sector, which is then
   read whole. */
static int queue_sparse(struct transfer *transfer, int from, uint64_t from_base,
	const struct extent *extent, struct caisson_error *err)
{
	const uint64_t round = 4096;
	uint64_t at = extent->offset, end = extent->offset + extent->length;
	struct extent data;
	int r = 0;

	while (r == 0 && at < end) {
		uint64_t start = end, stop = end;

		if (next_data(from, from_base + at, from_base + end, &data) == 0) {
			start = data.offset - from_base;
			stop = start + data.length;
			start = MAX(at, start - start % round);
			stop = MIN(end, stop + (round - stop % round) % round);
		}
		r = transfer_zeros(transfer, at, start - at, err);
		if (r == 0 && start < stop)
			r = transfer_copy(
				transfer, from, from_base, start, start, stop - start, err);
		at = stop;
	}
	return r;
}

int transfer_extents(struct transfer *transfer, int from, uint64_t from_base,
	const struct extents *extents, struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < extents->count; i++) {
		const struct extent *extent = &extents->items[i];

		if (transfer_decrypts(transfer))
			r = transfer_copy(transfer, from, from_base, extent->offset, extent->offset,
				extent->length, err);
		else
			r = queue_sparse(transfer, from, from_base, extent, err);
	}
	return r;
}
