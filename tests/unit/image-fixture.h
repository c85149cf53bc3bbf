/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OCI images made in the test, with whatever entries it likes; and what is in a squashfs. */
#pragma once

#include "test.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/digest.h"
#include "base/io.h"
#include "base/process.h"
#include "base/strbuf.h"
#include "image/image.h"
#include "image/oci.h"

struct entry {
	char type; /* d, f, l: symlink, h: hard link, p: FIFO, c: character device, s: socket */
	const char *path;
	const char *text; /* of a file; or a link's target */
	mode_t mode;
	uid_t uid;
	const char *xattr; /* user.test's value */
};

struct layer_fixture {
	struct strbuf tar;
	const char *compression; /* "gzip", "zstd" or "none" */
	/* Lies. */
	bool wrong_digest, wrong_size, wrong_diff_id;
	size_t cut; /* bytes that are missing in the blob, its descriptor being right about it */
};

static inline mode_t entry_type(char type)
{
	switch (type) {
	case 'd':
		return AE_IFDIR;
	case 'l':
		return AE_IFLNK;
	case 'p':
		return AE_IFIFO;
	case 'c':
		return AE_IFCHR;
	default:
		return AE_IFREG;
	}
}

static inline la_ssize_t fixture_write(
	struct archive *archive _unused_, void *userdata, const void *data, size_t size)
{
	strbuf_add(userdata, data, size);
	return (la_ssize_t)size;
}

static inline struct archive *fixture_writer(
	struct strbuf *to, int (*format)(struct archive *), const char *compression)
{
	struct archive *archive = archive_write_new();

	assert_non_null(archive);
	assert_int_equal(format(archive), ARCHIVE_OK);
	if (strcmp(compression, "gzip") == 0)
		assert_int_equal(archive_write_add_filter_gzip(archive), ARCHIVE_OK);
	if (strcmp(compression, "zstd") == 0)
		assert_int_equal(archive_write_add_filter_zstd(archive), ARCHIVE_OK);
	assert_int_equal(archive_write_set_bytes_in_last_block(archive, 1), ARCHIVE_OK);
	assert_int_equal(archive_write_open(archive, to, NULL, fixture_write, NULL), ARCHIVE_OK);
	return archive;
}

static inline void add_entry(struct archive *archive, const struct entry *from)
{
	struct archive_entry *entry = archive_entry_new();
	size_t size = from->type == 'f' && from->text != NULL ? strlen(from->text) : 0;

	archive_entry_copy_pathname(entry, from->path);
	archive_entry_set_filetype(entry, entry_type(from->type));
	archive_entry_set_perm(entry, from->mode != 0 ? from->mode : 0755);
	archive_entry_set_uid(entry, from->uid);
	archive_entry_set_gid(entry, from->uid);
	archive_entry_set_mtime(entry, 86400, 0);
	archive_entry_set_size(entry, (la_int64_t)size);
	if (from->type == 'l')
		archive_entry_copy_symlink(entry, from->text);
	if (from->type == 'h')
		archive_entry_copy_hardlink(entry, from->text);
	if (from->type == 'c') {
		archive_entry_set_rdevmajor(entry, 1);
		archive_entry_set_rdevminor(entry, 3);
	}
	if (from->xattr != NULL)
		archive_entry_xattr_add_entry(entry, "user.test", from->xattr, strlen(from->xattr));
	/* A name that is not UTF-8 is worth a warning to it. */
	assert_true(archive_write_header(archive, entry) >= ARCHIVE_WARN);
	if (size > 0)
		assert_int_equal(archive_write_data(archive, from->text, size), size);
	archive_entry_free(entry);
}

/* A tar stream; @entries ends with one whose path is NULL. */
static inline struct strbuf make_tar(const struct entry *entries)
{
	struct strbuf tar = STRBUF_INIT;
	/* For names as UTF-8 in pax headers; what is tested runs in the C locale. */
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = uselocale(utf8);
	struct archive *archive =
		fixture_writer(&tar, archive_write_set_format_pax_restricted, "none");

	for (; entries->path != NULL; entries++)
		add_entry(archive, entries);
	assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
	archive_write_free(archive);
	uselocale(before);
	freelocale(utf8);
	return tar;
}

static inline struct strbuf compress_bytes(const struct strbuf *from, const char *compression)
{
	struct strbuf to = STRBUF_INIT;
	struct archive *archive = fixture_writer(&to, archive_write_set_format_raw, compression);
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, "data");
	archive_entry_set_filetype(entry, AE_IFREG);
	assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(archive, from->data, from->size), from->size);
	assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
	archive_entry_free(entry);
	archive_write_free(archive);
	return to;
}

static inline void write_text(const char *folder, const char *name, const void *data, size_t size)
{
	_cleanup_free_ char *path = path_join(folder, name);
	struct caisson_error err = {0};

	assert_ok(write_file_atomic(path, data, size, 0644, &err), &err);
}

/* Writes a blob and a descriptor for it. */
static inline void add_blob(const char *folder, const void *data, size_t size, const char *type,
	const char *more, struct strbuf *descriptor)
{
	char name[128], digest[DIGEST_HEX_SIZE];
	struct caisson_error err = {0};

	assert_ok(digest_of(data, size, digest, &err), &err);
	snprintf(name, sizeof(name), "blobs/sha256/%s", digest);
	write_text(folder, name, data, size);
	strbuf_add_format(descriptor,
		"{\"mediaType\":\"%s\",\"digest\":\"sha256:%s\",\"size\":%zu%s}", type, digest,
		size, more);
}

static inline void swap_digit(struct strbuf *text, size_t from)
{
	char *digit = strstr(text->data + from, "sha256:") + strlen("sha256:");

	*digit = *digit == '0' ? '1' : '0';
}

/* A blob under the name that its descriptor wrongly gives. */
static inline void misname_blob(const char *folder, const struct strbuf *blob, const char *digest)
{
	char name[128];

	snprintf(name, sizeof(name), "blobs/sha256/%.64s", digest);
	write_text(folder, name, blob->data, blob->size);
}

static inline void add_layer(const char *folder, struct layer_fixture *layer,
	struct strbuf *descriptors, struct strbuf *diff_ids)
{
	_cleanup_strbuf_ struct strbuf blob = compress_bytes(&layer->tar, layer->compression);
	size_t from = descriptors->size, ids_from = diff_ids->size;
	char diff_id[DIGEST_HEX_SIZE];
	struct caisson_error err = {0};

	assert_true(blob.size > layer->cut);
	blob.size -= layer->cut;
	assert_ok(digest_of(layer->tar.data, layer->tar.size, diff_id, &err), &err);
	strbuf_add_format(diff_ids, "%s\"sha256:%s\"", ids_from > 0 ? "," : "", diff_id);
	if (layer->wrong_diff_id)
		swap_digit(diff_ids, ids_from);
	strbuf_add_string(descriptors, from > 0 ? "," : "");
	/* The media type says nothing about the compression on purpose: the bytes do. */
	add_blob(folder, blob.data, blob.size, "application/vnd.oci.image.layer.v1.tar", "",
		descriptors);
	if (layer->wrong_digest) {
		swap_digit(descriptors, from);
		misname_blob(folder, &blob, strstr(descriptors->data + from, "sha256:") + 7);
	}
	if (layer->wrong_size)
		strcpy(strrchr(descriptors->data, ':') + 1, "1}"),
			descriptors->size = strlen(descriptors->data);
	strbuf_done(&layer->tar);
}

/* The layout @parent/@name with one image; its path, owned by the caller. Takes the layers' tars.
 */
static inline char *make_image(const char *parent, const char *name, struct layer_fixture *layers,
	size_t count, const char *config_members)
{
	_cleanup_strbuf_ struct strbuf descriptors = STRBUF_INIT, diff_ids = STRBUF_INIT,
				       text = STRBUF_INIT, descriptor = STRBUF_INIT;
	char *folder = path_join(parent, name);
	_cleanup_free_ char *blobs = path_join(folder, "blobs/sha256");
	struct caisson_error err = {0};

	assert_ok(make_directories(blobs, 0755, &err), &err);
	for (size_t i = 0; i < count; i++)
		add_layer(folder, &layers[i], &descriptors, &diff_ids);
	strbuf_add_format(&text,
		"{\"os\":\"linux\",\"architecture\":\"%s\",%s"
		"\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[%s]}}",
		OCI_ARCHITECTURE, config_members, diff_ids.size > 0 ? diff_ids.data : "");
	add_blob(folder, text.data, text.size, "application/vnd.oci.image.config.v1+json", "",
		&descriptor);
	strbuf_clear(&text);
	strbuf_add_format(&text, "{\"schemaVersion\":2,\"config\":%s,\"layers\":[%s]}",
		descriptor.data, descriptors.size > 0 ? descriptors.data : "");
	strbuf_clear(&descriptor);
	add_blob(folder, text.data, text.size, "application/vnd.oci.image.manifest.v1+json",
		",\"annotations\":{\"org.opencontainers.image.ref.name\":\"v1\"}", &descriptor);
	strbuf_clear(&text);
	strbuf_add_format(&text, "{\"schemaVersion\":2,\"manifests\":[%s]}", descriptor.data);
	write_text(folder, "index.json", text.data, text.size);
	return folder;
}

/* One layer more or less: @ends is a list of lists of entries. */
static inline char *make_plain_image(
	const char *parent, const char *name, const struct entry *const *layers, size_t count)
{
	struct layer_fixture fixtures[8] = {0};

	assert_true(count <= ARRAY_SIZE(fixtures));
	for (size_t i = 0; i < count; i++)
		fixtures[i] =
			(struct layer_fixture){.tar = make_tar(layers[i]), .compression = "none"};
	return make_image(parent, name, fixtures, count, "");
}

static inline struct state open_state(const char *parent, const char *name)
{
	_cleanup_free_ char *dir = path_join(parent, name);
	struct state state = STATE_NONE;
	struct caisson_error err = {0};

	assert_ok(state_open(&state, dir, dir, &err), &err);
	return state;
}

/* What unsquashfs lists: one line a file, "MODE UID/GID SIZE DATE TIME PATH". */
static inline void list_squashfs(const char *path, struct strbuf *listing)
{
	const char *const argv[] = {"unsquashfs", "-d", "/@", "-lln", path, NULL};
	struct caisson_error err = {0};

	assert_ok(process_run(argv, NULL, listing, &err), &err);
}

/* The line of @path ("/a/b"), or NULL. */
static inline char *find_line(const struct strbuf *listing, const char *path)
{
	_cleanup_free_ char *end = format_string(" /@%s\n", path);
	_cleanup_free_ char *link = format_string(" /@%s -> ", path);
	char *at = strstr(listing->data, end);
	char *start, *stop;

	if (at == NULL)
		at = strstr(listing->data, link);
	if (at == NULL)
		return NULL;
	for (start = at; start > listing->data && start[-1] != '\n'; start--)
		;
	stop = strchr(at, '\n');
	return format_string("%.*s", (int)(stop - start), start);
}

static inline void assert_listed(const struct strbuf *listing, const char *path, const char *start)
{
	_cleanup_free_ char *line = find_line(listing, path);

	if (line == NULL || strncmp(line, start, strlen(start)) != 0)
		fail_msg("%s: wanted '%s', found '%s' in:\n%s", path, start,
			line != NULL ? line : "nothing", listing->data);
}

static inline void assert_not_listed(const struct strbuf *listing, const char *path)
{
	_cleanup_free_ char *line = find_line(listing, path);

	if (line != NULL)
		fail_msg("%s should not be there: %s", path, line);
}

static inline void assert_content(const char *squashfs, const char *path, const char *wanted)
{
	const char *const argv[] = {"unsquashfs", "-cat", squashfs, path, NULL};
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct caisson_error err = {0};

	assert_ok(process_run(argv, NULL, &text, &err), &err);
	strbuf_add(&text, "", 0);
	assert_string_equal(text.data, wanted);
}

/* Nothing but whole images: no half-made one stayed. */
static inline size_t count_images(const struct state *state)
{
	_cleanup_free_ char *path = path_join(state->dir, "images");
	_cleanup_closedir_ DIR *folder = opendir(path);
	struct dirent *entry;
	size_t count = 0;

	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		assert_int_equal(strlen(entry->d_name), 64);
		count++;
	}
	return count;
}

/* For main(): the whole program is skipped without the tools. */
static inline bool squashfs_tools_missing(void)
{
	_cleanup_free_ char *make = NULL, *read = NULL;

	if (program_find("mksquashfs", &make, NULL) == 0 &&
		program_find("unsquashfs", &read, NULL) == 0)
		return false;
	printf("1..0 # SKIP squashfs-tools is not installed\n");
	return true;
}
