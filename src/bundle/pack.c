/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bundle/pack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/strbuf.h"
#include "bundle/content.h"
#include "bundle/encode.h"
#include "bundle/manifest.h"

struct pack_format {
	const char *suffix;
	int (*add_filter)(struct archive *archive);
	const char *filter, *level;
	enum encode_kind encode;
	bool tar;
};

/* Longer suffixes of one end need no order: none ends another. */
static const struct pack_format formats[] = {
	{".cpio", archive_write_add_filter_none, NULL, NULL, ENCODE_NONE, false},
	{".cpio.gz", archive_write_add_filter_gzip, "gzip", "6", ENCODE_NONE, false},
	{".cpio.zst", archive_write_add_filter_zstd, "zstd", "9", ENCODE_NONE, false},
	{".cpio.xz", archive_write_add_filter_none, NULL, NULL, ENCODE_XZ, false},
	{".cpio.lz4", archive_write_add_filter_none, NULL, NULL, ENCODE_LZ4, false},
	{".tar", archive_write_add_filter_none, NULL, NULL, ENCODE_NONE, true},
	{".tar.gz", archive_write_add_filter_gzip, "gzip", "6", ENCODE_NONE, true},
	{".tar.zst", archive_write_add_filter_zstd, "zstd", "9", ENCODE_NONE, true},
	{".tar.xz", archive_write_add_filter_none, NULL, NULL, ENCODE_XZ, true},
};

const struct pack_format *pack_format(const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		size_t suffix = strlen(formats[i].suffix);

		if (length > suffix && name[length - suffix - 1] != '/' &&
			strcmp(name + length - suffix, formats[i].suffix) == 0)
			return &formats[i];
	}
	return NULL;
}

struct packer {
	const struct pack_format *format;
	const struct place *place;
	struct archive *archive;
	struct encoder *encoder;
	const char *path;
	bool strip;
	int64_t time;
	int64_t inode; /* counts */
	/* Of the write callback: libarchive has no room for it. */
	struct caisson_error failure;
};

static void packer_done(struct packer *packer)
{
	if (packer->archive != NULL)
		archive_write_free(packer->archive);
	if (packer->encoder != NULL)
		encoder_free(packer->encoder);
}

static void entry_freep(struct archive_entry **entry)
{
	if (*entry != NULL)
		archive_entry_free(*entry);
}

static int pack_failed(struct packer *packer, struct caisson_error *err)
{
	if (packer->failure.code != 0) {
		if (err != NULL)
			*err = packer->failure;
		return -packer->failure.code;
	}
	return caisson_refuse(
		err, EIO, "write %s: %s", packer->path, archive_error_string(packer->archive));
}

static la_ssize_t take_bytes(
	struct archive *archive _unused_, void *userdata, const void *data, size_t size)
{
	struct packer *packer = userdata;

	if (encoder_add(packer->encoder, data, size, &packer->failure) < 0)
		return -1;
	return (la_ssize_t)size;
}

static int start(struct packer *packer, int fd, struct caisson_error *err)
{
	const struct pack_format *format = packer->format;
	struct archive *archive;
	bool ok;
	int r = encoder_new(&packer->encoder, format->encode, fd, packer->path, err);

	if (r < 0)
		return r;
	archive = packer->archive = archive_write_new();
	if (archive == NULL)
		return caisson_fail(err, ENOMEM, "write %s", packer->path);
	ok = (format->tar ? archive_write_set_format_pax_restricted(archive)
			  : archive_write_set_format_cpio_newc(archive)) == ARCHIVE_OK &&
	     format->add_filter(archive) == ARCHIVE_OK;
	if (ok && format->filter != NULL)
		ok = archive_write_set_filter_option(archive, format->filter, "compression-level",
			     format->level) == ARCHIVE_OK;
	/* The time of writing does not belong to the bytes. */
	if (ok && format->filter != NULL && strcmp(format->filter, "gzip") == 0)
		ok = archive_write_set_filter_option(archive, "gzip", "timestamp", NULL) ==
		     ARCHIVE_OK;
	if (!ok || archive_write_set_bytes_in_last_block(archive, 1) != ARCHIVE_OK ||
		archive_write_open(archive, packer, NULL, take_bytes, NULL) != ARCHIVE_OK)
		return pack_failed(packer, err);
	return 0;
}

static struct archive_entry *make_entry(
	struct packer *packer, const char *path, mode_t mode, uint64_t size)
{
	struct archive_entry *entry = archive_entry_new();

	if (entry == NULL)
		return NULL;
	archive_entry_set_pathname(entry, path + 1);
	archive_entry_set_mode(entry, mode);
	archive_entry_set_size(entry, (int64_t)size);
	archive_entry_set_mtime(entry, packer->time, 0);
	archive_entry_set_uid(entry, 0);
	archive_entry_set_gid(entry, 0);
	archive_entry_set_ino64(entry, ++packer->inode);
	archive_entry_set_nlink(entry, S_ISDIR(mode) ? 2 : 1);
	return entry;
}

static int put_header(struct packer *packer, struct archive_entry *entry, struct caisson_error *err)
{
	/* A warning is a path or a size that did not fit: that is no archive of this bundle. */
	return archive_write_header(packer->archive, entry) == ARCHIVE_OK
		       ? 0
		       : pack_failed(packer, err);
}

static int put_bytes(void *userdata, const void *data, size_t size, struct caisson_error *err)
{
	struct packer *packer = userdata;

	return archive_write_data(packer->archive, data, size) == (la_ssize_t)size
		       ? 0
		       : pack_failed(packer, err);
}

/* The names of one file, in their order: which is this, and how many there are. */
static size_t count_links(
	const struct plan *plan, const struct plan_file *file, size_t *ret_first, size_t *ret_index)
{
	const struct plan_file *first = file->link_to != NULL ? file->link_to : file;
	size_t count = 0;

	for (size_t i = 0; i < plan->file_count; i++) {
		if (plan->files[i] == first)
			*ret_first = i;
		if (plan->files[i] == file)
			*ret_index = count;
		if (plan->files[i] == first || plan->files[i]->link_to == first)
			count++;
	}
	return count;
}

/* cpio: each of the names has the inode, and the last one the bytes. tar: the first has the bytes,
   and the others name it. */
static int set_links(struct packer *packer, const struct plan_file *file,
	struct archive_entry *entry, bool *ret_bytes, struct caisson_error *err)
{
	size_t first = 0, index = 0;
	size_t count = count_links(packer->place->plan, file, &first, &index);
	_cleanup_free_ char *path = NULL;

	if (!packer->format->tar) {
		*ret_bytes = index + 1 == count;
		archive_entry_set_nlink(entry, (unsigned int)count);
		/* Far from the counted ones. */
		if (count > 1)
			archive_entry_set_ino64(entry, INT32_MAX - (int64_t)first);
		return 0;
	}
	*ret_bytes = index == 0;
	if (index == 0)
		return 0;
	path = view_path(file->link_to->node);
	if (path == NULL)
		return caisson_fail(err, ENOMEM, "write %s", packer->path);
	archive_entry_set_hardlink(entry, path + 1);
	return 0;
}

static int put_file(struct packer *packer, const char *path, const struct plan_file *file,
	struct caisson_error *err)
{
	_cleanup_(entry_freep) struct archive_entry *entry =
		make_entry(packer, path, S_IFREG | file->mode, file->size);
	bool bytes = true;
	int r;

	if (entry == NULL)
		return caisson_fail(err, ENOMEM, "write %s", packer->path);
	if (!packer->format->tar && file->size > UINT32_MAX)
		return caisson_refuse(err, EFBIG, "%s is too large for cpio", path);
	r = set_links(packer, file, entry, &bytes, err);
	if (r < 0)
		return r;
	if (!bytes)
		archive_entry_set_size(entry, 0);
	r = put_header(packer, entry, err);
	return r < 0 || !bytes ? r : content_copy(file, packer->strip, put_bytes, packer, err);
}

static int put_node(struct packer *packer, const struct view_node *node, const char *path,
	struct caisson_error *err)
{
	_cleanup_(entry_freep) struct archive_entry *entry = NULL;

	if (node->kind == VIEW_FILE)
		return put_file(packer, path, node->file, err);
	entry = make_entry(
		packer, path, node->kind == VIEW_FOLDER ? S_IFDIR | 0755 : S_IFLNK | 0777, 0);
	if (entry == NULL)
		return caisson_fail(err, ENOMEM, "write %s", packer->path);
	if (node->kind == VIEW_SYMLINK)
		archive_entry_set_symlink(entry, node->target);
	return put_header(packer, entry, err);
}

static void collect(const struct view_node *node, struct strv *paths)
{
	for (const struct view_node *child = node->children; child != NULL; child = child->next) {
		if (child->kind != VIEW_NOTHING)
			strv_add_owned(paths, view_path(child));
		collect(child, paths);
	}
}

static int put_all(struct packer *packer, const struct strbuf *manifest, struct caisson_error *err)
{
	_cleanup_strv_ struct strv paths = STRV_INIT;
	int r = 0;

	collect(packer->place->view->top, &paths);
	if (!strv_ok(&paths))
		return caisson_fail(err, ENOMEM, "write %s", packer->path);
	strv_sort(&paths);
	if (manifest != NULL) {
		_cleanup_(entry_freep) struct archive_entry *entry =
			make_entry(packer, "/" MANIFEST_NAME, S_IFREG | 0644, manifest->size);

		if (entry == NULL)
			return caisson_fail(err, ENOMEM, "write %s", packer->path);
		r = put_header(packer, entry, err);
		if (r >= 0)
			r = put_bytes(packer, manifest->data, manifest->size, err);
	}
	for (size_t i = 0; i < paths.count && r >= 0; i++) {
		struct view_node *node;

		r = view_resolve(packer->place->view, paths.items[i], false, &node);
		if (r >= 0)
			r = put_node(packer, node, paths.items[i], err);
	}
	if (r >= 0 && archive_write_close(packer->archive) != ARCHIVE_OK)
		r = pack_failed(packer, err);
	return r < 0 ? r : encoder_finish(packer->encoder, err);
}

/* Whether the archive that is there has these bytes already. */
static bool unchanged(int fd, const char *path)
{
	char ours[DIGEST_HEX_SIZE], theirs[DIGEST_HEX_SIZE];
	_cleanup_close_ int there = open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, NULL);
	struct stat st, st_there;

	return there >= 0 && fstat(there, &st_there) == 0 && S_ISREG(st_there.st_mode) &&
	       fstat(fd, &st) == 0 && st.st_size == st_there.st_size &&
	       lseek(fd, 0, SEEK_SET) == 0 && digest_of_fd(fd, path, ours, NULL) == 0 &&
	       digest_of_fd(there, path, theirs, NULL) == 0 && strcmp(ours, theirs) == 0;
}

int pack_write(const struct pack_format *format, const char *path, const struct place *place,
	const struct strbuf *manifest, bool strip, int64_t time, uint64_t *ret_size,
	bool *ret_unchanged, struct caisson_error *err)
{
	_cleanup_(packer_done) struct packer packer = {
		.format = format, .place = place, .path = path, .strip = strip, .time = time};
	_cleanup_beside_ struct beside beside = BESIDE_NONE;
	struct stat st;
	int r = beside_new(&beside, path, false, err);

	if (r >= 0)
		r = start(&packer, beside.fd, err);
	if (r >= 0)
		r = put_all(&packer, manifest, err);
	if (r < 0)
		return r;
	if (fchmod(beside.fd, 0644) < 0 || fstat(beside.fd, &st) < 0)
		return caisson_fail(err, errno, "write %s", path);
	*ret_unchanged = unchanged(beside.fd, path);
	*ret_size = (uint64_t)st.st_size;
	if (*ret_unchanged)
		return 0;
	if (fsync(beside.fd) < 0 || rename(beside.path, path) < 0)
		return caisson_fail(err, errno, "write %s", path);
	free(take_ptr(beside.path));
	return 0;
}
