/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/uncompress.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"

enum { CHUNK = 128 << 10 };

/* What libarchive reads from: a range of a file, or memory. */
struct source {
	int fd;
	const uint8_t *data;
	uint64_t offset, left;
	uint8_t chunk[CHUNK];
};

DEFINE_CLEANUP(struct archive *, archive_read_free);

static la_ssize_t source_read(struct archive *archive, void *userdata, const void **ret_block)
{
	struct source *source = userdata;
	size_t size = (size_t)MIN(source->left, (uint64_t)CHUNK);

	if (source->data != NULL) {
		*ret_block = source->data + source->offset;
	} else {
		ssize_t n;

		do
			n = pread(source->fd, source->chunk, size, (off_t)source->offset);
		while (n < 0 && errno == EINTR);
		if (n < 0) {
			archive_set_error(archive, errno, "%s", strerror(errno));
			return ARCHIVE_FATAL;
		}
		*ret_block = source->chunk;
		size = (size_t)n;
	}
	source->offset += size;
	source->left -= size;
	return (la_ssize_t)size;
}

bool uncompress_filters(struct archive *archive)
{
	return archive_read_support_filter_gzip(archive) == ARCHIVE_OK &&
	       archive_read_support_filter_bzip2(archive) == ARCHIVE_OK &&
	       archive_read_support_filter_lzma(archive) == ARCHIVE_OK &&
	       archive_read_support_filter_xz(archive) == ARCHIVE_OK &&
	       archive_read_support_filter_lz4(archive) == ARCHIVE_OK &&
	       archive_read_support_filter_zstd(archive) == ARCHIVE_OK;
}

static int damaged(struct archive *archive, const char *what, struct caisson_error *err)
{
	const char *why = archive_error_string(archive);

	if (archive_errno(archive) == ENOMEM)
		return caisson_fail(err, ENOMEM, "uncompress %s", what);
	return caisson_refuse(err, EBADMSG, "%s cannot be uncompressed: %s", what,
		why != NULL ? why : "it is damaged");
}

static int copy_out(struct archive *archive, uint64_t most, const char *what,
	struct uncompress_sink sink, struct caisson_error *err)
{
	uint64_t total = 0;

	for (;;) {
		const void *block = NULL;
		la_int64_t at = 0;
		size_t size = 0;
		int r = archive_read_data_block(archive, &block, &size, &at);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK)
			return damaged(archive, what, err);
		if (size > most - total)
			return caisson_refuse(err, EFBIG,
				"%s holds more than the %llu bytes that are allowed", what,
				(unsigned long long)most);
		total += size;
		r = sink.write(sink.userdata, block, size, err);
		if (r < 0)
			return r;
	}
}

static int uncompress_source(struct source *source, uint64_t most, const char *what,
	struct uncompress_sink sink, uint64_t *ret_used, struct caisson_error *err)
{
	_cleanup_(archive_read_freep) struct archive *archive = archive_read_new();
	struct archive_entry *entry;
	int r;

	if (archive == NULL || !uncompress_filters(archive) ||
		archive_read_support_format_raw(archive) != ARCHIVE_OK ||
		archive_read_support_format_empty(archive) != ARCHIVE_OK)
		return caisson_fail(err, ENOMEM, "uncompress %s", what);
	if (archive_read_open(archive, source, NULL, source_read, NULL) != ARCHIVE_OK)
		return damaged(archive, what, err);
	r = archive_read_next_header(archive, &entry);
	/* The last filter is always libarchive's own "none", the reader of the source. */
	if (archive_filter_count(archive) < 2)
		return caisson_refuse(
			err, ENOTSUP, "%s is in no compressed form that is known here", what);
	if (r == ARCHIVE_OK)
		r = copy_out(archive, most, what, sink, err);
	else if (r == ARCHIVE_EOF)
		r = 0;
	else
		r = damaged(archive, what, err);
	if (r < 0)
		return r;
	if (ret_used != NULL)
		*ret_used = (uint64_t)archive_filter_bytes(archive, -1);
	return 0;
}

int uncompress_range(int fd, uint64_t offset, uint64_t size, uint64_t most, const char *what,
	struct uncompress_sink sink, uint64_t *ret_used, struct caisson_error *err)
{
	_cleanup_free_ struct source *source = malloc(sizeof(*source));

	if (source == NULL)
		return caisson_fail(err, ENOMEM, "uncompress %s", what);
	source->fd = fd;
	source->data = NULL;
	source->offset = offset;
	source->left = size;
	return uncompress_source(source, most, what, sink, ret_used, err);
}

static int to_strbuf(void *userdata, const void *data, size_t size, struct caisson_error *err)
{
	struct strbuf *buffer = userdata;

	strbuf_add(buffer, data, size);
	return strbuf_ok(buffer) ? 0 : caisson_fail(err, ENOMEM, "uncompress");
}

int uncompress_data(const void *data, size_t size, uint64_t most, const char *what,
	struct strbuf *buffer, uint64_t *ret_used, struct caisson_error *err)
{
	struct uncompress_sink sink = {to_strbuf, buffer};
	_cleanup_free_ struct source *source = malloc(sizeof(*source));

	if (source == NULL)
		return caisson_fail(err, ENOMEM, "uncompress %s", what);
	source->fd = -1;
	source->data = data;
	source->offset = 0;
	source->left = size;
	return uncompress_source(source, most, what, sink, ret_used, err);
}
