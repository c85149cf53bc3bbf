/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compressed streams from outside (a kernel's payload, a module, a boot archive), through
   libarchive's own filters: no other program is run, and what comes out is bounded. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

/* Where the bytes go; a negative errno stops the work. */
struct uncompress_sink {
	int (*write)(void *userdata, const void *data, size_t size, struct caisson_error *err);
	void *userdata;
};

/*
 * Uncompresses the one gzip, bzip2, lzma, xz, lz4 or zstd stream in @size bytes of @fd from
 * @offset. -ENOTSUP for what is none of these, -EBADMSG for one that is damaged, -EFBIG beyond
 * @most bytes.
 * @ret_used (may be NULL): how many bytes of the input belong to the stream.
 */
int uncompress_range(int fd, uint64_t offset, uint64_t size, uint64_t most, const char *what,
	struct uncompress_sink sink, uint64_t *ret_used, struct caisson_error *err);
/* The same from memory, appended to @buffer. */
int uncompress_data(const void *data, size_t size, uint64_t most, const char *what,
	struct strbuf *buffer, uint64_t *ret_used, struct caisson_error *err);

struct archive;
/* For readers of archives: those forms, and not archive_read_support_filter_all(), which also
   starts programs (lzop, lrzip, grzip). False when memory runs out, or libarchive has not got them
   all. */
bool uncompress_filters(struct archive *archive);
