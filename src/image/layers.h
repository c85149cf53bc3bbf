/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One layer: a tar stream, compressed or not, whose bytes are checked against two digests. */
#pragma once

#include <archive_entry.h>
#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>

#include "image/stream.h"

struct layer {
	struct blob blob;
	const char *digest;  /* of the blob */
	const char *diff_id; /* of the tar stream in it */
};

struct layer_reader;

/* @most is how many uncompressed bytes the image has left. */
int layer_open(struct layer_reader **ret_reader, const struct layer *layer, uint64_t most,
	struct caisson_error *err);
/* The next entry, valid until the next call: 1, or 0 at the end. */
int layer_next(
	struct layer_reader *reader, struct archive_entry **ret_entry, struct caisson_error *err);
/* The next block of the entry's data, and where in the file it stands (what is between blocks is
   zero): 1, or 0 at the end. */
int layer_data(struct layer_reader *reader, const void **ret_data, size_t *ret_size,
	uint64_t *ret_offset, struct caisson_error *err);
/* Reads to the end and checks both digests: only then is what came before to be believed. */
int layer_finish(struct layer_reader *reader, uint64_t *ret_size, struct caisson_error *err);
/* Reading failed with @code: when the blob is not what its digest promised, that is the cause. */
int layer_blame(const struct layer *layer, int code, struct caisson_error *err);
void layer_close(struct layer_reader *reader);
DEFINE_CLEANUP(struct layer_reader *, layer_close);
