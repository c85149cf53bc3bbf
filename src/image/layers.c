/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/layers.h"

#include <archive.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"

struct layer_reader {
	const struct layer *layer;
	struct stream *stream;
	struct archive *archive;
	int failed; /* what the callback could not say through libarchive */
	struct caisson_error cause;
};

static la_ssize_t on_read(struct archive *archive, void *userdata, const void **ret_data)
{
	struct layer_reader *reader = userdata;
	ssize_t n = stream_read(reader->stream, ret_data, &reader->cause);

	if (n < 0) {
		reader->failed = (int)n;
		archive_set_error(archive, (int)-n, "%s", reader->cause.message);
		return -1;
	}
	return n;
}

static int explain(struct layer_reader *reader, struct caisson_error *err)
{
	const char *text = archive_error_string(reader->archive);

	if (reader->failed < 0) {
		if (err != NULL)
			*err = reader->cause;
		return reader->failed;
	}
	if (archive_errno(reader->archive) == ENOMEM)
		return caisson_fail(err, ENOMEM, "read a layer");
	return caisson_refuse(err, EBADMSG, "is not a whole tar archive: %s",
		text != NULL ? text : "it is damaged");
}

int layer_open(struct layer_reader **ret_reader, const struct layer *layer, uint64_t most,
	struct caisson_error *err)
{
	_cleanup_(layer_closep) struct layer_reader *reader = calloc(1, sizeof(*reader));
	/* An uncompressed layer has one digest under two names. */
	bool same = strcmp(layer->digest, layer->diff_id) == 0;
	int r;

	if (reader == NULL)
		return caisson_fail(err, ENOMEM, "read a layer");
	reader->layer = layer;
	r = stream_open(&reader->stream, &layer->blob, most, err);
	if (r == 0)
		r = stream_hash(reader->stream, !same, true, err);
	if (r < 0)
		return r;
	reader->archive = archive_read_new();
	if (reader->archive == NULL)
		return caisson_fail(err, ENOMEM, "read a layer");
	archive_read_support_format_tar(reader->archive);
	archive_read_support_format_empty(reader->archive);
	if (archive_read_open(reader->archive, reader, NULL, on_read, NULL) != ARCHIVE_OK)
		return explain(reader, err);
	*ret_reader = take_ptr(reader);
	return 0;
}

int layer_next(
	struct layer_reader *reader, struct archive_entry **ret_entry, struct caisson_error *err)
{
	int status = archive_read_next_header(reader->archive, ret_entry);

	if (status == ARCHIVE_EOF)
		return 0;
	return status < ARCHIVE_WARN ? explain(reader, err) : 1;
}

int layer_data(struct layer_reader *reader, const void **ret_data, size_t *ret_size,
	uint64_t *ret_offset, struct caisson_error *err)
{
	la_int64_t offset = 0;
	int status = archive_read_data_block(reader->archive, ret_data, ret_size, &offset);

	if (status == ARCHIVE_EOF)
		return 0;
	if (status < ARCHIVE_WARN || offset < 0)
		return explain(reader, err);
	*ret_offset = (uint64_t)offset;
	return 1;
}

int layer_blame(const struct layer *layer, int code, struct caisson_error *err)
{
	_cleanup_(digest_freep) struct digest *digest = NULL;
	const struct blob *blob = &layer->blob;
	char hex[DIGEST_HEX_SIZE] = "", chunk[65536];
	int r = digest_new(&digest, NULL);

	if (code != -EBADMSG)
		return code;
	for (uint64_t at = 0; r == 0 && at < blob->size;) {
		size_t size = (size_t)MIN(blob->size - at, (uint64_t)sizeof(chunk));

		r = pread_all(blob->fd, chunk, size, blob->offset + at, "a blob", NULL);
		if (r == 0)
			r = digest_add(digest, chunk, size, NULL);
		at += size;
	}
	if (r == 0)
		r = digest_hex(digest, hex, NULL);
	if (r < 0 || strcmp(hex, layer->digest) == 0)
		return code;
	return caisson_refuse(err, EBADMSG, "does not match its digest (it is sha256:%s)", hex);
}

int layer_finish(struct layer_reader *reader, uint64_t *ret_size, struct caisson_error *err)
{
	const struct layer *layer = reader->layer;
	char digest[DIGEST_HEX_SIZE], diff_id[DIGEST_HEX_SIZE];
	int r;

	memcpy(digest, layer->digest, sizeof(digest));
	r = stream_finish(reader->stream, digest, diff_id, err);
	if (r < 0)
		return r;
	if (strcmp(digest, layer->digest) != 0)
		return caisson_refuse(
			err, EBADMSG, "does not match its digest (it is sha256:%s)", digest);
	if (strcmp(diff_id, layer->diff_id) != 0)
		return caisson_refuse(err, EBADMSG,
			"holds other files than the configuration's diff_ids say: sha256:%s "
			"instead of sha256:%s",
			diff_id, layer->diff_id);
	*ret_size = stream_position(reader->stream);
	return 0;
}

void layer_close(struct layer_reader *reader)
{
	if (reader == NULL)
		return;
	archive_read_free(reader->archive);
	stream_free(reader->stream);
	free(reader);
}
