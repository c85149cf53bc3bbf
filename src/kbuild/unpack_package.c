/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* deb(5): an ar archive of debian-binary, control.tar.* and data.tar.*. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/macros.h"
#include "kbuild/unpack.h"
#include "kbuild/unpack_archive.h"
#include "kernel/uncompress.h"

#define FILE_MOST (UINT64_C(4) << 30)

DEFINE_CLEANUP(struct archive *, archive_read_free);

static la_ssize_t read_member(
	struct archive *inner _unused_, void *userdata, const void **ret_block)
{
	struct archive *outer = userdata;
	la_int64_t offset;
	size_t size = 0;
	int r = archive_read_data_block(outer, ret_block, &size, &offset);

	if (r == ARCHIVE_EOF)
		return 0;
	return r == ARCHIVE_OK ? (la_ssize_t)size : ARCHIVE_FATAL;
}

static const char *without_dot(const char *path)
{
	return strncmp(path, "./", 2) == 0 ? path + 2 : path;
}

static int copy_file(struct archive *archive, const char *what, int to, struct caisson_error *err)
{
	uint64_t total = 0;

	for (;;) {
		const void *block = NULL;
		la_int64_t offset = 0;
		size_t size = 0;
		int r = archive_read_data_block(archive, &block, &size, &offset);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK)
			return unpack_damaged(archive, what, err);
		if (offset < 0 || (uint64_t)offset != total || size > FILE_MOST - total)
			return caisson_refuse(
				err, EBADMSG, "%s holds a file that is too large", what);
		r = write_all(to, block, size, what, err);
		if (r < 0)
			return r;
		total += size;
	}
}

/* Looks for @name in the data.tar that @outer stands at. */
static int search_data(struct archive *outer, const char *what, const char *name, int to,
	struct caisson_error *err)
{
	_cleanup_(archive_read_freep) struct archive *inner = archive_read_new();
	struct archive_entry *entry;
	int r;

	if (inner == NULL || !uncompress_filters(inner) ||
		archive_read_support_format_tar(inner) != ARCHIVE_OK)
		return caisson_fail(err, ENOMEM, "unpack %s", what);
	if (archive_read_open(inner, outer, NULL, read_member, NULL) != ARCHIVE_OK)
		return unpack_damaged(inner, what, err);
	while ((r = archive_read_next_header(inner, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
		const char *path = archive_entry_pathname(entry);

		if (path != NULL && archive_entry_filetype(entry) == AE_IFREG &&
			archive_entry_hardlink(entry) == NULL &&
			strcmp(without_dot(path), name) == 0)
			return copy_file(inner, what, to, err);
	}
	if (r != ARCHIVE_EOF)
		return unpack_damaged(inner, what, err);
	return caisson_refuse(err, ENOENT, "%s holds no %s", what, name);
}

int unpack_package_file(
	int fd, const char *what, const char *name, int to, struct caisson_error *err)
{
	_cleanup_(archive_read_freep) struct archive *archive = archive_read_new();
	struct archive_entry *entry;
	int r;

	if (archive == NULL || archive_read_support_format_ar(archive) != ARCHIVE_OK)
		return caisson_fail(err, ENOMEM, "unpack %s", what);
	if (lseek(fd, 0, SEEK_SET) < 0)
		return caisson_fail(err, errno, "read %s", what);
	if (archive_read_open_fd(archive, fd, UNPACK_CHUNK) != ARCHIVE_OK)
		return unpack_damaged(archive, what, err);
	while ((r = archive_read_next_header(archive, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
		const char *member = archive_entry_pathname(entry);

		if (member != NULL && strncmp(member, "data.tar", strlen("data.tar")) == 0)
			return search_data(archive, what, name, to, err);
	}
	if (r != ARCHIVE_EOF)
		return unpack_damaged(archive, what, err);
	return caisson_refuse(err, ENOENT, "%s holds no files", what);
}
