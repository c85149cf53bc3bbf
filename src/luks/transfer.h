/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bulk: much data from files into a payload, or out of one, at the speed of the machine: large
 * blocks, several threads, O_DIRECT where it can be had. No plain data touches a disk that is not
 * its target.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/extent.h"
#include "luks/cipher.h"

struct transfer_progress {
	/* Called from the caller's thread at most ten times a second, and when all is drained. */
	void (*tell)(uint64_t done, uint64_t total, void *userdata);
	void *userdata;
};

struct transfer_options {
	const struct luks_cipher *decrypt; /* what is read is encrypted so; NULL: plain */
	const struct luks_cipher *encrypt; /* what is written shall be encrypted so; NULL: plain */
	int to;                            /* borrowed */
	uint64_t to_base;     /* where in it the target's byte 0 is (the data offset) */
	uint64_t total;       /* bytes that will come, for the progress; 0: unknown */
	unsigned int threads; /* 0: as many as there are processors, at most 8 */
	const struct transfer_progress *progress; /* may be NULL */
};

struct transfer;

/* Ranges of the target that are queued at once must not overlap: who is first is not said. */
int transfer_new(const struct transfer_options *options, struct transfer **ret_transfer,
	struct caisson_error *err);
/*
 * Queues @length bytes at @from_base + @from_offset of @from for @to_offset of the target.
 * @from_offset counts for the IV when the source is encrypted, @to_offset when the target is: both
 * and @length are multiples of that side's sector size. Waits when much is queued. @from is
 * borrowed until transfer_drain() said that all is written, or any call that it failed.
 * A plain source that ends early within its last sector is filled up with zeros.
 */
int transfer_copy(struct transfer *transfer, int from, uint64_t from_base, uint64_t from_offset,
	uint64_t to_offset, uint64_t length, struct caisson_error *err);
/* transfer_copy() to byte @at of the target, whatever its base is: for formats that keep their
   bytes elsewhere. */
int transfer_copy_at(struct transfer *transfer, int from, uint64_t from_base, uint64_t from_offset,
	uint64_t to_offset, uint64_t at, uint64_t length, struct caisson_error *err);
/* transfer_copy() of plain bytes in memory, which are copied; the last sector is filled up with
 * zeros. */
int transfer_data(struct transfer *transfer, const void *data, size_t size, uint64_t to_offset,
	struct caisson_error *err);
/* The same for zeros. */
int transfer_zeros(
	struct transfer *transfer, uint64_t to_offset, uint64_t length, struct caisson_error *err);
/*
 * transfer_copy() of each of @extents, to the same place of the target. Holes of a plain source are
 * not read; zeros are written for them.
 */
int transfer_extents(struct transfer *transfer, int from, uint64_t from_base,
	const struct extents *extents, struct caisson_error *err);
/* Whether the source is encrypted. */
bool transfer_decrypts(const struct transfer *transfer);
/* Waits until all that was queued is written (not: synced). The first failure of any thread. */
int transfer_drain(struct transfer *transfer, struct caisson_error *err);
/* Ends the threads; what is still queued is dropped unless it was drained. */
void transfer_free(struct transfer *transfer);
DEFINE_CLEANUP(struct transfer *, transfer_free);
