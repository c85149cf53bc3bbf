/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A tar archive as a source; whoever made it may be a stranger. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>

#include "base/strbuf.h"
#include "filesystem/fill.h"
#include "filesystem/fill_acl.h"
#include "filesystem/fill_xattrs.h"

#define READ_SIZE (128u << 10)

struct tar {
	struct fill_source source;
	char *what;
	int fd;
	off_t begin; /* -1: can be read once only */
	struct archive *archive;
	bool begun; /* something was read */
	bool body;  /* the last entry has one, which may not be read yet */
	struct fill_xattrs xattrs;
};

static int explain(struct tar *tar, struct caisson_error *err)
{
	const char *text = archive_error_string(tar->archive);
	char line[256];

	if (archive_errno(tar->archive) == ENOMEM)
		return caisson_fail(err, ENOMEM, "read %s", tar->what);
	snprintf(line, sizeof(line), "%s", text != NULL ? text : "it is damaged");
	text_flatten(line);
	return caisson_refuse(err, EBADMSG, "%s is not a whole tar archive: %s", tar->what, line);
}

/* Those that libarchive would start a program for are not asked for. */
static int add_filters(struct archive *archive)
{
	static int (*const filters[])(struct archive *) = {
		archive_read_support_filter_gzip,
		archive_read_support_filter_bzip2,
		archive_read_support_filter_compress,
		archive_read_support_filter_xz,
		archive_read_support_filter_lzma,
		archive_read_support_filter_lzip,
		archive_read_support_filter_zstd,
		archive_read_support_filter_lz4,
	};

	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		if (filters[i](archive) != ARCHIVE_OK)
			return -ENOTSUP;
	}
	return 0;
}

static int begin(struct tar *tar, struct caisson_error *err)
{
	tar->archive = archive_read_new();
	if (tar->archive == NULL)
		return caisson_fail(err, ENOMEM, "read %s", tar->what);
	if (add_filters(tar->archive) < 0 ||
		archive_read_support_format_tar(tar->archive) != ARCHIVE_OK)
		return caisson_refuse(
			err, ENOTSUP, "libarchive is without one of gzip, bzip2, xz, zstd and lz4");
	if (archive_read_open_fd(tar->archive, tar->fd, READ_SIZE) != ARCHIVE_OK)
		return explain(tar, err);
	tar->begun = true;
	return 0;
}

static void end(struct tar *tar)
{
	archive_read_free(tar->archive);
	tar->archive = NULL;
	tar->body = false;
}

static void tar_free(struct fill_source *source)
{
	struct tar *tar = (struct tar *)source;

	end(tar);
	closep(&tar->fd);
	fill_xattrs_done(&tar->xattrs);
	free(tar->what);
	free(tar);
}

static int tar_rewind(struct fill_source *source, struct caisson_error *err)
{
	struct tar *tar = (struct tar *)source;

	if (!tar->begun)
		return 0;
	if (tar->begin < 0 || lseek(tar->fd, tar->begin, SEEK_SET) < 0) {
		caisson_refuse(err, ESPIPE, "%s can be read only once", tar->what);
		return caisson_hint(err, "give the size of the volume");
	}
	end(tar);
	tar->begun = false;
	return 0;
}

static int check_most(struct tar *tar, struct caisson_error *err)
{
	la_int64_t bytes = archive_filter_bytes(tar->archive, 0);

	if (tar->source.most == 0 || bytes < 0 || (uint64_t)bytes <= tar->source.most)
		return 0;
	return caisson_refuse(err, EFBIG,
		"%s unpacks to more than %llu MiB, which cannot come of what fits into the volume",
		tar->what, (unsigned long long)(tar->source.most >> 20));
}

static int tar_data(struct fill_source *source, const void **ret_data, size_t *ret_size,
	uint64_t *ret_offset, struct caisson_error *err)
{
	struct tar *tar = (struct tar *)source;
	la_int64_t offset = 0;
	int status, r = check_most(tar, err);

	if (r < 0 || !tar->body)
		return r;
	do
		status = archive_read_data_block(tar->archive, ret_data, ret_size, &offset);
	while (status >= ARCHIVE_WARN && status != ARCHIVE_EOF && *ret_size == 0 &&
		check_most(tar, err) == 0);
	if (status == ARCHIVE_EOF) {
		tar->body = false;
		return 0;
	}
	if (status < ARCHIVE_WARN || offset < 0)
		return explain(tar, err);
	*ret_offset = (uint64_t)offset;
	return check_most(tar, err) < 0 ? -EFBIG : 1;
}

/* What nobody wanted of the last entry. A compressed one is read piece by piece, so that a bomb is
   seen in time. */
static int skip_body(struct tar *tar, struct caisson_error *err)
{
	const void *data;
	uint64_t offset;
	size_t size;
	int r = 1;

	if (archive_filter_count(tar->archive) <= 1)
		return 0;
	while (r > 0)
		r = tar_data(&tar->source, &data, &size, &offset, err);
	return r;
}

static int read_xattrs(struct tar *tar, struct archive_entry *entry, struct caisson_error *err)
{
	const char *name;
	const void *value;
	size_t size;
	int r = 0;

	fill_xattrs_clear(&tar->xattrs);
	archive_entry_xattr_reset(entry);
	while (r == 0 && archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
		if (name != NULL)
			r = fill_xattrs_add(&tar->xattrs, name, value, size, err);
	}
	return r;
}

static int check_numbers(struct archive_entry *entry, struct caisson_error *err)
{
	la_int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);

	/* The highest number means nobody at all. */
	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return caisson_refuse(err, EBADMSG, "its owner has no number that Linux knows");
	if (archive_entry_size(entry) < 0)
		return caisson_refuse(err, EBADMSG, "its size is below zero");
	return 0;
}

/* Bytes that are there; without a map all of it is. */
static uint64_t data_size(struct archive_entry *entry)
{
	uint64_t total = 0, size = (uint64_t)archive_entry_size(entry);
	la_int64_t offset, length;

	if (archive_entry_sparse_reset(entry) == 0)
		return size;
	while (archive_entry_sparse_next(entry, &offset, &length) == ARCHIVE_OK)
		total += length > 0 ? (uint64_t)length : 0;
	return MIN(total, size);
}

static int describe(struct tar *tar, struct archive_entry *entry, struct fill_entry *ret_entry,
	struct caisson_error *err)
{
	const char *path = archive_entry_pathname(entry);
	int r;

	*ret_entry = (struct fill_entry){.path = path != NULL ? path : "",
		.target = archive_entry_symlink(entry),
		.hard_link = archive_entry_hardlink(entry),
		.mode = archive_entry_mode(entry),
		.uid = (uint32_t)archive_entry_uid(entry),
		.gid = (uint32_t)archive_entry_gid(entry),
		.major = (unsigned int)archive_entry_rdevmajor(entry),
		.minor = (unsigned int)archive_entry_rdevminor(entry),
		.mtime.tv_sec = archive_entry_mtime(entry),
		.mtime.tv_nsec = archive_entry_mtime_nsec(entry),
		.fd = -1};
	if (path == NULL)
		return caisson_refuse(err, EBADMSG, "a file has no name");
	r = check_numbers(entry, err);
	if (r == 0)
		r = read_xattrs(tar, entry, err);
	if (r == 0)
		r = fill_read_acls(entry, &tar->xattrs, &ret_entry->mode, err);
	if (r < 0)
		return r;
	if (S_ISLNK(ret_entry->mode) && ret_entry->target == NULL)
		ret_entry->target = "";
	if (ret_entry->mtime.tv_nsec < 0 || ret_entry->mtime.tv_nsec > 999999999)
		ret_entry->mtime.tv_nsec = 0;
	if (S_ISREG(ret_entry->mode) && ret_entry->hard_link == NULL) {
		ret_entry->size = (uint64_t)archive_entry_size(entry);
		ret_entry->data = data_size(entry);
	}
	ret_entry->xattrs = tar->xattrs.list;
	ret_entry->xattr_count = tar->xattrs.count;
	return 0;
}

static int tar_next(
	struct fill_source *source, struct fill_entry *ret_entry, struct caisson_error *err)
{
	struct tar *tar = (struct tar *)source;
	struct archive_entry *entry;
	char name[256];
	int status, r;

	r = tar->archive == NULL ? begin(tar, err) : skip_body(tar, err);
	if (r == 0)
		r = check_most(tar, err);
	if (r < 0)
		return r;
	status = archive_read_next_header(tar->archive, &entry);
	if (status == ARCHIVE_EOF)
		return 0;
	if (status < ARCHIVE_WARN)
		return explain(tar, err);
	tar->body = true;
	r = describe(tar, entry, ret_entry, err);
	if (r == 0)
		return 1;
	snprintf(name, sizeof(name), "%s", ret_entry->path);
	text_flatten(name);
	return caisson_wrap(err, "%s", name);
}

int fill_source_tar(
	int fd, const char *what, struct fill_source **ret_source, struct caisson_error *err)
{
	static const struct fill_source_ops ops = {
		.next = tar_next,
		.data = tar_data,
		.rewind = tar_rewind,
		.free = tar_free,
	};
	struct tar *tar = calloc(1, sizeof(*tar));
	char *name = strdup(what);

	if (tar == NULL || name == NULL) {
		free(tar);
		free(name);
		close(fd);
		return caisson_fail(err, ENOMEM, "read %s", what);
	}
	tar->source = (struct fill_source){.ops = &ops, .what = name};
	tar->what = name;
	tar->fd = fd;
	tar->begin = lseek(fd, 0, SEEK_CUR);
	*ret_source = &tar->source;
	return 0;
}
