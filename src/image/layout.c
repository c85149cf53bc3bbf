/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/layout.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/io.h"

#define MEMBERS_MOST 65536u
#define ENTRIES_MOST (16 * MEMBERS_MOST)
#define BLOBS        "blobs/sha256/"

struct layout_member {
	char name[sizeof(BLOBS) + DIGEST_HEX_SIZE];
	uint64_t offset, size;
};

static inline void archive_read_donep(struct archive **archive)
{
	if (*archive != NULL)
		archive_read_free(*archive);
}

/* A regular file, and neither a FIFO that hangs us nor a link that leads elsewhere. */
static int open_regular(int folder, const char *name, const char *what, struct blob *ret_blob,
	struct caisson_error *err)
{
	_cleanup_close_ int fd =
		openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno != ELOOP)
		return caisson_fail(err, errno, "open %s of the image %s", name, what);
	if (fd >= 0 && fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s of the image %s", name, what);
	if (fd < 0 || !S_ISREG(st.st_mode))
		return caisson_refuse(
			err, EBADMSG, "%s of the image %s is not a regular file", name, what);
	*ret_blob = (struct blob){.fd = take_fd(&fd), .owned = true, .size = (uint64_t)st.st_size};
	return 0;
}

static int find_member(const struct layout *layout, const char *name, struct blob *ret_blob,
	struct caisson_error *err)
{
	/* From the end: as with tar itself, the last of several is the one. */
	for (size_t i = layout->member_count; i-- > 0;) {
		const struct layout_member *member = &layout->members[i];

		if (strcmp(member->name, name) != 0)
			continue;
		*ret_blob = (struct blob){
			.fd = layout->fd, .offset = member->offset, .size = member->size};
		return 0;
	}
	caisson_refuse(err, ENOENT, "the archive %s has no %s", layout->path, name);
	return caisson_hint(err, "it may be cut short, or not be an OCI archive ('skopeo copy "
				 "docker-archive:FILE oci:FOLDER' converts what docker saved)");
}

static int find_file(const struct layout *layout, const char *name, struct blob *ret_blob,
	struct caisson_error *err)
{
	return layout->is_archive ? find_member(layout, name, ret_blob, err)
				  : open_regular(layout->fd, name, layout->path, ret_blob, err);
}

/* Notes where a member's bytes are, when it is one that a layout has. */
static int add_member(struct layout *layout, struct archive_entry *entry, uint64_t offset,
	uint64_t file_size, size_t *capacity, struct caisson_error *err)
{
	const char *name = archive_entry_pathname(entry);
	uint64_t size = (uint64_t)MAX(archive_entry_size(entry), (la_int64_t)0);
	struct layout_member *member;

	if (name == NULL || archive_entry_filetype(entry) != AE_IFREG ||
		archive_entry_hardlink(entry) != NULL || archive_entry_sparse_count(entry) > 0)
		return 0;
	if (strncmp(name, "./", 2) == 0)
		name += 2;
	if (strlen(name) >= sizeof(member->name) ||
		(strncmp(name, BLOBS, strlen(BLOBS)) != 0 && strcmp(name, "index.json") != 0))
		return 0;
	if (offset > file_size || size > file_size - offset)
		return caisson_refuse(err, EBADMSG, "the archive %s is truncated: %s ends early",
			layout->path, name);
	if (layout->member_count == MEMBERS_MOST)
		return caisson_refuse(err, EBADMSG, "the archive %s has more than %u blobs",
			layout->path, MEMBERS_MOST);
	if (layout->member_count == *capacity) {
		size_t wanted = MAX((size_t)64, *capacity * 2);
		struct layout_member *grown = reallocarray(layout->members, wanted, sizeof(*grown));

		if (grown == NULL)
			return caisson_fail(err, ENOMEM, "read the archive %s", layout->path);
		layout->members = grown;
		*capacity = wanted;
	}
	member = &layout->members[layout->member_count++];
	memcpy(member->name, name, strlen(name) + 1);
	member->offset = offset;
	member->size = size;
	return 0;
}

/*
 * Walks the headers and seeks over the data. Behind a header, the number of bytes that libarchive
 * has consumed is the place of the data; should that ever be wrong, the digests say so.
 */
static int index_members(struct layout *layout, uint64_t file_size, struct caisson_error *err)
{
	_cleanup_(archive_read_donep) struct archive *archive = archive_read_new();
	struct archive_entry *entry;
	size_t capacity = 0;
	int status, r;

	if (archive == NULL)
		return caisson_fail(err, ENOMEM, "read the archive %s", layout->path);
	if (lseek(layout->fd, 0, SEEK_SET) < 0)
		return caisson_fail(err, errno, "rewind %s", layout->path);
	archive_read_support_format_tar(archive);
	if (archive_read_open_fd(archive, layout->fd, 16384) != ARCHIVE_OK)
		return caisson_refuse(err, EBADMSG, "read the archive %s: %s", layout->path,
			archive_error_string(archive));
	for (size_t count = 0;; count++) {
		status = archive_read_next_header(archive, &entry);
		if (status == ARCHIVE_EOF)
			return 0;
		if (status < ARCHIVE_WARN)
			return caisson_refuse(err, EBADMSG, "%s is not a whole tar archive: %s",
				layout->path, archive_error_string(archive));
		if (count == ENTRIES_MOST)
			return caisson_refuse(err, EBADMSG,
				"the archive %s has more than %u entries", layout->path,
				ENTRIES_MOST);
		r = add_member(layout, entry, (uint64_t)archive_filter_bytes(archive, 0), file_size,
			&capacity, err);
		if (r < 0)
			return r;
	}
}

static int unpack(struct layout *layout, const struct blob *packed, const char *scratch,
	struct caisson_error *err)
{
	_cleanup_(stream_freep) struct stream *stream = NULL;
	const void *data;
	ssize_t n;
	int r = stream_open(&stream, packed, STREAM_BYTES_MOST, err);

	if (r == 0)
		r = staging_file(&layout->unpacked, scratch, err);
	if (r < 0)
		return r;
	while ((n = stream_read(stream, &data, err)) > 0) {
		r = write_all(layout->unpacked.fd, data, (size_t)n, layout->unpacked.path, err);
		if (r < 0)
			return caisson_wrap(err, "unpack the archive %s", layout->path);
	}
	return n < 0 ? caisson_wrap(err, "the archive %s", layout->path) : 0;
}

static bool is_compressed(int fd)
{
	static const uint8_t gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
	uint8_t start[4] = {0};

	return pread(fd, start, sizeof(start), 0) == sizeof(start) &&
	       (memcmp(start, gzip, sizeof(gzip)) == 0 || memcmp(start, zstd, sizeof(zstd)) == 0);
}

static int open_archive(struct layout *layout, const char *scratch, struct caisson_error *err)
{
	_cleanup_blob_ struct blob file = BLOB_NONE;
	uint64_t size;
	int r;

	/* The user's own path may be a link. */
	layout->fd = open_file(layout->path, O_RDONLY | O_NONBLOCK, 0, err);
	if (layout->fd < 0)
		return layout->fd;
	for (int round = 0;; round++) {
		struct stat st;

		if (fstat(layout->fd, &st) < 0)
			return caisson_fail(err, errno, "stat %s", layout->path);
		if (!S_ISREG(st.st_mode))
			return caisson_refuse(
				err, EINVAL, "%s is not a regular file", layout->path);
		size = (uint64_t)st.st_size;
		if (round == 1 || !is_compressed(layout->fd))
			break;
		file = (struct blob){.fd = take_fd(&layout->fd), .owned = true, .size = size};
		r = unpack(layout, &file, scratch, err);
		if (r < 0)
			return r;
		layout->fd = fcntl(layout->unpacked.fd, F_DUPFD_CLOEXEC, 3);
		if (layout->fd < 0)
			return caisson_fail(err, errno, "open %s", layout->unpacked.path);
	}
	return index_members(layout, size, err);
}

int layout_open(struct layout *ret_layout, const char *path, bool is_archive, const char *scratch,
	struct caisson_error *err)
{
	_cleanup_layout_ struct layout layout = LAYOUT_NONE;
	int r = 0;

	layout.is_archive = is_archive;
	layout.path = strdup(path);
	if (layout.path == NULL)
		return caisson_fail(err, ENOMEM, "open %s", path);
	if (is_archive) {
		r = open_archive(&layout, scratch, err);
	} else {
		layout.fd = open_file(path, O_RDONLY | O_DIRECTORY, 0, err);
		if (layout.fd < 0)
			r = layout.fd;
	}
	if (r < 0)
		return r;
	*ret_layout = layout;
	layout = LAYOUT_NONE;
	return 0;
}

void layout_done(struct layout *layout)
{
	closep(&layout->fd);
	free(layout->path);
	free(layout->members);
	staging_done(&layout->unpacked);
	*layout = LAYOUT_NONE;
}

static int read_blob(
	const struct blob *blob, const char *what, struct strbuf *text, struct caisson_error *err)
{
	void *to;
	int r;

	if (blob->size > OCI_JSON_MOST)
		return caisson_refuse(err, EFBIG, "%s is larger than the %u bytes that are allowed",
			what, OCI_JSON_MOST);
	to = strbuf_reserve(text, (size_t)blob->size);
	if (to == NULL)
		return caisson_fail(err, ENOMEM, "read %s", what);
	r = pread_all(blob->fd, to, (size_t)blob->size, blob->offset, what, err);
	if (r == 0)
		strbuf_commit(text, (size_t)blob->size);
	return r;
}

int layout_read_index(const struct layout *layout, struct strbuf *text, struct caisson_error *err)
{
	_cleanup_blob_ struct blob blob = BLOB_NONE;
	int r = find_file(layout, "index.json", &blob, err);

	if (r == -ENOENT && !layout->is_archive)
		return caisson_refuse(err, ENOENT,
			"the folder %s is not an OCI image layout: it has no index.json",
			layout->path);
	return r < 0 ? r : read_blob(&blob, "index.json", text, err);
}

int layout_blob(const struct layout *layout, const struct oci_descriptor *descriptor,
	struct blob *ret_blob, struct caisson_error *err)
{
	_cleanup_blob_ struct blob blob = BLOB_NONE;
	char name[sizeof(BLOBS) + DIGEST_HEX_SIZE];
	int r;

	snprintf(name, sizeof(name), BLOBS "%s", descriptor->digest);
	r = find_file(layout, name, &blob, err);
	if (r < 0)
		return r;
	if (blob.size != descriptor->size)
		return caisson_refuse(err, EBADMSG,
			"%s of the image %s has %llu bytes, and its descriptor says %llu", name,
			layout->path, (unsigned long long)blob.size,
			(unsigned long long)descriptor->size);
	*ret_blob = blob;
	blob = BLOB_NONE;
	return 0;
}

int layout_read(const struct layout *layout, const struct oci_descriptor *descriptor,
	struct strbuf *text, struct caisson_error *err)
{
	_cleanup_blob_ struct blob blob = BLOB_NONE;
	char digest[DIGEST_HEX_SIZE];
	size_t start = text->size;
	int r = layout_blob(layout, descriptor, &blob, err);

	if (r == 0)
		r = read_blob(&blob, descriptor->media_type, text, err);
	if (r == 0)
		r = digest_of(text->data + start, text->size - start, digest, err);
	if (r < 0)
		return r;
	if (strcmp(digest, descriptor->digest) != 0)
		return caisson_refuse(err, EBADMSG,
			"blobs/sha256/%s of the image %s does not match its digest (it is %s)",
			descriptor->digest, layout->path, digest);
	return 0;
}
