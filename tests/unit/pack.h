/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compressing for tests, in the forms that kernels and modules come in. */
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include "base/strbuf.h"
#include "test.h"

/* @filter: "gzip", "xz", "zstd", ..., as libarchive calls them. Appends to @packed. */
static inline void pack(const char *filter, const void *data, size_t size, struct strbuf *packed)
{
	struct archive *archive = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	size_t most = size + 65536, used = 0;
	void *room = strbuf_reserve(packed, most);

	assert_non_null(room);
	assert_int_equal(archive_write_set_format_raw(archive), ARCHIVE_OK);
	assert_int_equal(archive_write_add_filter_by_name(archive, filter), ARCHIVE_OK);
	archive_write_set_bytes_in_last_block(archive, 1);
	assert_int_equal(archive_write_open_memory(archive, room, most, &used), ARCHIVE_OK);
	archive_entry_set_filetype(entry, AE_IFREG);
	assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(archive, data, size), (la_ssize_t)size);
	archive_entry_free(entry);
	assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
	archive_write_free(archive);
	strbuf_commit(packed, used);
}
