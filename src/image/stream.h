/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bytes of a blob, decompressed (gzip, zstd, or as they are) and hashed on the way. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"
#include "base/macros.h"

/* Uncompressed bytes of one image, all layers together: where a decompression bomb ends. */
#define STREAM_BYTES_MOST (128ull << 30)

/* A part of a regular file. */
struct blob {
	int fd;
	bool owned; /* fd is closed by blob_done() */
	uint64_t offset, size;
};

#define BLOB_NONE ((struct blob){.fd = -1})

void blob_done(struct blob *blob);
#define _cleanup_blob_ _cleanup_(blob_done)

struct stream;

/* At most @most bytes may come out. @blob must live as long as the stream. */
int stream_open(struct stream **ret_stream, const struct blob *blob, uint64_t most,
	struct caisson_error *err);
/* Hash what goes in, and what comes out. Call before the first read. */
int stream_hash(struct stream *stream, bool input, bool output, struct caisson_error *err);
/* The next block, valid until the next call; returns its size, 0 at the end. */
ssize_t stream_read(struct stream *stream, const void **ret_data, struct caisson_error *err);
/* Bytes that came out so far. */
uint64_t stream_position(const struct stream *stream);
/* Reads whatever is left on both sides and gives the digests that stream_hash() asked for. */
int stream_finish(struct stream *stream, char ret_input[static DIGEST_HEX_SIZE],
	char ret_output[static DIGEST_HEX_SIZE], struct caisson_error *err);
void stream_free(struct stream *stream);
DEFINE_CLEANUP(struct stream *, stream_free);
