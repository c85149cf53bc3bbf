/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>

#define CHUNK (256u << 10)

struct stream {
	const struct blob *blob;
	struct archive *archive; /* libarchive's "raw" format: filters alone */
	struct digest *input, *output;
	uint64_t taken; /* of the blob */
	uint64_t given, most;
	bool started, ended;
	int failed;                 /* what the callback could not say through libarchive */
	struct caisson_error cause; /* and why */
	uint8_t chunk[CHUNK];
};

void blob_done(struct blob *blob)
{
	if (blob->owned)
		closep(&blob->fd);
	*blob = BLOB_NONE;
}

static ssize_t take_chunk(struct stream *stream, struct caisson_error *err)
{
	uint64_t left = stream->blob->size - stream->taken;
	size_t wanted = (size_t)MIN(left, (uint64_t)CHUNK);
	ssize_t n;
	int r;

	if (wanted == 0)
		return 0;
	do
		n = pread(stream->blob->fd, stream->chunk, wanted,
			(off_t)(stream->blob->offset + stream->taken));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return caisson_fail(err, errno, "read a blob");
	if (n == 0)
		return caisson_refuse(err, EBADMSG, "a blob became shorter while it was read");
	stream->taken += (uint64_t)n;
	if (stream->input != NULL) {
		r = digest_add(stream->input, stream->chunk, (size_t)n, err);
		if (r < 0)
			return r;
	}
	return n;
}

static la_ssize_t on_read(struct archive *archive, void *userdata, const void **ret_data)
{
	struct stream *stream = userdata;
	ssize_t n = take_chunk(stream, &stream->cause);

	if (n < 0) {
		stream->failed = (int)n;
		archive_set_error(archive, (int)-n, "%s", stream->cause.message);
		return -1;
	}
	*ret_data = stream->chunk;
	return n;
}

static int explain(struct stream *stream, struct caisson_error *err)
{
	const char *text = archive_error_string(stream->archive);

	if (stream->failed < 0) {
		if (err != NULL)
			*err = stream->cause;
		return stream->failed;
	}
	if (archive_errno(stream->archive) == ENOMEM)
		return caisson_fail(err, ENOMEM, "decompress a blob");
	return caisson_refuse(
		err, EBADMSG, "cannot be decompressed: %s", text != NULL ? text : "it is damaged");
}

static int set_filters(struct stream *stream, struct caisson_error *err)
{
	struct archive *archive = stream->archive = archive_read_new();

	if (archive == NULL)
		return caisson_fail(err, ENOMEM, "read a blob");
	/* The filters look at the first bytes; the digest of the output says if they erred. */
	if (archive_read_support_filter_gzip(archive) != ARCHIVE_OK ||
		archive_read_support_filter_zstd(archive) != ARCHIVE_OK ||
		archive_read_support_format_raw(archive) != ARCHIVE_OK ||
		archive_read_support_format_empty(archive) != ARCHIVE_OK)
		return caisson_refuse(err, ENOTSUP, "libarchive lacks gzip or zstd: %s",
			archive_error_string(archive));
	return 0;
}

int stream_open(struct stream **ret_stream, const struct blob *blob, uint64_t most,
	struct caisson_error *err)
{
	_cleanup_(stream_freep) struct stream *stream = calloc(1, sizeof(*stream));
	int r;

	if (stream == NULL)
		return caisson_fail(err, ENOMEM, "read a blob");
	stream->blob = blob;
	stream->most = most;
	r = set_filters(stream, err);
	if (r < 0)
		return r;
	*ret_stream = take_ptr(stream);
	return 0;
}

int stream_hash(struct stream *stream, bool input, bool output, struct caisson_error *err)
{
	int r = input ? digest_new(&stream->input, err) : 0;

	return r == 0 && output ? digest_new(&stream->output, err) : r;
}

/* Not in stream_open(): opening reads the first bytes, which have to be hashed. */
static int start(struct stream *stream, struct caisson_error *err)
{
	struct archive_entry *entry;
	int r;

	if (archive_read_open(stream->archive, stream, NULL, on_read, NULL) != ARCHIVE_OK)
		return explain(stream, err);
	r = archive_read_next_header(stream->archive, &entry);
	if (r == ARCHIVE_EOF)
		stream->ended = true;
	else if (r < ARCHIVE_WARN)
		return explain(stream, err);
	return 0;
}

ssize_t stream_read(struct stream *stream, const void **ret_data, struct caisson_error *err)
{
	la_int64_t offset;
	size_t size = 0;
	int r;

	if (stream->ended)
		return 0;
	if (!stream->started) {
		stream->started = true;
		r = start(stream, err);
		if (r < 0 || stream->ended)
			return r;
	}
	do
		r = archive_read_data_block(stream->archive, ret_data, &size, &offset);
	while (r == ARCHIVE_OK && size == 0);
	if (r == ARCHIVE_EOF) {
		stream->ended = true;
		return 0;
	}
	if (r < ARCHIVE_WARN)
		return explain(stream, err);
	stream->given += size;
	if (stream->given > stream->most)
		return caisson_refuse(err, EFBIG,
			"becomes larger than the %llu GiB that an image may have uncompressed",
			STREAM_BYTES_MOST >> 30);
	r = stream->output != NULL ? digest_add(stream->output, *ret_data, size, err) : 0;
	return r < 0 ? r : (ssize_t)size;
}

uint64_t stream_position(const struct stream *stream)
{
	return stream->given;
}

int stream_finish(struct stream *stream, char ret_input[static DIGEST_HEX_SIZE],
	char ret_output[static DIGEST_HEX_SIZE], struct caisson_error *err)
{
	const void *data;
	ssize_t n;
	int r = 0;

	while ((n = stream_read(stream, &data, err)) > 0)
		;
	/* Bytes behind the last compressed frame are the blob's, too. */
	if (n == 0) {
		while ((n = take_chunk(stream, err)) > 0)
			;
	}
	if (n < 0)
		return (int)n;
	if (stream->input != NULL)
		r = digest_hex(stream->input, ret_input, err);
	if (r == 0 && stream->output != NULL)
		r = digest_hex(stream->output, ret_output, err);
	return r;
}

void stream_free(struct stream *stream)
{
	if (stream == NULL)
		return;
	archive_read_free(stream->archive);
	digest_free(stream->input);
	digest_free(stream->output);
	free(stream);
}
