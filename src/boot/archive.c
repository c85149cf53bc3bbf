/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/archive.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/strbuf.h"

enum { LINKS_MOST = 40, ENTRIES_MOST = 1 << 20 };

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "put a boot archive together");
}

/* Takes slashes that are doubled or trailing out; -EINVAL for a ".." or nothing at all. */
static int clean_path(const char *path, char **ret_path, struct caisson_error *err)
{
	_cleanup_free_ char *clean = malloc(strlen(path) + 1);
	size_t size = 0;

	if (clean == NULL)
		return out_of_memory(err);
	for (const char *part = path; *part != '\0';) {
		size_t length = strcspn(part, "/");

		if (length == 2 && part[0] == '.' && part[1] == '.')
			return caisson_refuse(
				err, EINVAL, "'%s' leads out of the boot archive", path);
		if (length > 0 && !(length == 1 && part[0] == '.')) {
			if (size > 0)
				clean[size++] = '/';
			memcpy(clean + size, part, length);
			size += length;
		}
		part += length;
		part += *part == '/';
	}
	clean[size] = '\0';
	if (size == 0 || size >= PATH_MAX)
		return caisson_refuse(err, EINVAL, "'%s' cannot be a path in a boot archive", path);
	*ret_path = take_ptr(clean);
	return 0;
}

static void entry_done(struct archive_entry *entry)
{
	free(entry->path);
	free(entry->source);
	free(entry->by);
	free(entry->why);
}

/* Takes what @plain points to; its path is set here. */
static int add_entry(struct archive *archive, const char *path, const struct archive_entry *plain,
	struct caisson_error *err)
{
	_cleanup_(entry_done) struct archive_entry entry = *plain;
	int r = clean_path(path, &entry.path, err);

	if (r < 0)
		return r;
	if (archive->count >= ENTRIES_MOST)
		return caisson_refuse(
			err, EFBIG, "a boot archive holds up to %d files", ENTRIES_MOST);
	if (archive->count == archive->capacity) {
		size_t capacity = MAX(archive->capacity * 2, (size_t)64);
		void *entries = reallocarray(archive->entries, capacity, sizeof(*archive->entries));

		if (entries == NULL)
			return out_of_memory(err);
		archive->entries = entries;
		archive->capacity = capacity;
	}
	archive->entries[archive->count++] = entry;
	entry = (struct archive_entry){0};
	return 0;
}

int archive_add(struct archive *archive, const char *path, enum archive_kind kind, mode_t mode,
	const char *source, dev_t device, struct caisson_error *err)
{
	struct archive_entry entry = {.kind = kind, .mode = mode, .device = device};

	if (source != NULL && (entry.source = strdup(source)) == NULL)
		return out_of_memory(err);
	entry.size = kind == ARCHIVE_DATA ? strlen(source) : 0;
	return add_entry(archive, path, &entry, err);
}

int archive_add_data(struct archive *archive, const char *path, mode_t mode, const void *data,
	size_t size, struct caisson_error *err)
{
	struct archive_entry entry = {.kind = ARCHIVE_DATA, .mode = mode, .size = size};

	entry.source = malloc(size + 1);
	if (entry.source == NULL)
		return out_of_memory(err);
	memcpy(entry.source, data, size);
	entry.source[size] = '\0';
	return add_entry(archive, path, &entry, err);
}

int archive_explain(
	struct archive *archive, const char *by, const char *why, struct caisson_error *err)
{
	struct archive_entry *entry = &archive->entries[archive->count - 1];

	entry->by = by != NULL ? strdup(by) : NULL;
	entry->why = why != NULL ? strdup(why) : NULL;
	if ((by != NULL && entry->by == NULL) || (why != NULL && entry->why == NULL))
		return out_of_memory(err);
	return 0;
}

void archive_done(struct archive *archive)
{
	for (size_t i = 0; i < archive->count; i++)
		entry_done(&archive->entries[i]);
	free(archive->entries);
	*archive = ARCHIVE_INIT;
}

static int compare_path(const void *path, const void *entry)
{
	return strcmp(path, ((const struct archive_entry *)entry)->path);
}

/* Of two folders of one path, the one with the stricter mode comes first and is kept. */
static int compare_entries(const void *a, const void *b)
{
	const struct archive_entry *x = a, *y = b;
	int r = strcmp(x->path, y->path);

	if (r == 0)
		r = (x->kind > y->kind) - (x->kind < y->kind);
	return r != 0 ? r : (x->mode > y->mode) - (x->mode < y->mode);
}

static void sort(struct archive *archive)
{
	if (archive->count > 1)
		qsort(archive->entries, archive->count, sizeof(*archive->entries), compare_entries);
}

/* Among the sorted entries. */
static const struct archive_entry *find(const struct archive *archive, const char *path)
{
	if (archive->count == 0)
		return NULL;
	return bsearch(
		path, archive->entries, archive->count, sizeof(*archive->entries), compare_path);
}

/* Joins a link's target to the folder that the link stands in, lexically: "usr/lib64" + "../lib".
 */
static int follow(const char *link, const char *target, const char *rest, char **ret_path,
	struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf path = STRBUF_INIT;
	const char *slash = strrchr(link, '/');

	if (target[0] != '/' && slash != NULL)
		strbuf_add(&path, link, (size_t)(slash - link));
	for (const char *part = target; part != NULL;) {
		size_t length = strcspn(part, "/");

		if (length == 2 && part[0] == '.' && part[1] == '.') {
			char *last = path.size > 0 ? strrchr(path.data, '/') : NULL;

			path.size = last != NULL ? (size_t)(last - path.data) : 0;
			strbuf_add(&path, "", 0);
		} else if (length > 0 && !(length == 1 && part[0] == '.')) {
			strbuf_add_char(&path, '/');
			strbuf_add(&path, part, length);
		}
		part = part[length] == '/' ? part + length + 1 : NULL;
	}
	strbuf_add_string(&path, rest);
	if (!strbuf_ok(&path))
		return out_of_memory(err);
	return clean_path(path.data, ret_path, err);
}

/* Replaces the folders of @entry's path that are links in the archive by where they lead. */
static int resolve(const struct archive *archive, char **path, struct caisson_error *err)
{
	int links = 0;

	for (char *slash = strchr(*path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		_cleanup_free_ char *led = NULL;
		const struct archive_entry *above;
		int r;

		*slash = '\0';
		above = find(archive, *path);
		*slash = '/';
		if (above == NULL || above->kind != ARCHIVE_SYMLINK)
			continue;
		if (++links > LINKS_MOST)
			return caisson_refuse(err, ELOOP, "too many links on the way to %s", *path);
		r = follow(above->path, above->source, slash, &led, err);
		if (r < 0)
			return r;
		free(*path);
		*path = take_ptr(led);
		/* From the start: the new folders may be links too. */
		slash = *path;
	}
	return 0;
}

/* The new paths stand apart until all are known: find() wants them sorted by the old ones. */
static int resolve_all(struct archive *archive, struct caisson_error *err)
{
	_cleanup_strv_ struct strv paths = STRV_INIT;

	for (size_t i = 0; i < archive->count; i++)
		strv_add(&paths, archive->entries[i].path);
	if (!strv_ok(&paths))
		return out_of_memory(err);
	for (size_t i = 0; i < archive->count; i++) {
		int r = resolve(archive, &paths.items[i], err);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < archive->count; i++) {
		char *old = archive->entries[i].path;

		archive->entries[i].path = paths.items[i];
		paths.items[i] = old;
	}
	sort(archive);
	return 0;
}

static int add_parents(struct archive *archive, struct caisson_error *err)
{
	size_t count = archive->count;

	for (size_t i = 0; i < count; i++) {
		for (size_t at = 0; archive->entries[i].path[at] != '\0'; at++) {
			_cleanup_free_ char *above = NULL;
			int r;

			/* The neighbour before it in order often has the same folders. */
			if (archive->entries[i].path[at] != '/' ||
				(i > 0 && strncmp(archive->entries[i].path,
						  archive->entries[i - 1].path, at + 1) == 0))
				continue;
			above = strndup(archive->entries[i].path, at);
			if (above == NULL)
				return out_of_memory(err);
			r = archive_add(archive, above, ARCHIVE_DIRECTORY, 0755, NULL, 0, err);
			if (r < 0)
				return r;
		}
	}
	sort(archive);
	return 0;
}

static bool same(const struct archive_entry *a, const struct archive_entry *b)
{
	if (a->kind != b->kind || a->device != b->device)
		return false;
	/* A folder that was asked for, and the same above something. */
	if (a->kind == ARCHIVE_DIRECTORY)
		return true;
	if (a->mode != b->mode || (a->source == NULL) != (b->source == NULL))
		return false;
	if (a->kind == ARCHIVE_DATA)
		return a->size == b->size && memcmp(a->source, b->source, a->size) == 0;
	return a->source == NULL || strcmp(a->source, b->source) == 0;
}

static const char *call(const struct archive_entry *entry)
{
	if (entry->kind == ARCHIVE_DATA)
		return entry->why != NULL ? entry->why : "a text";
	return entry->source != NULL ? entry->source : "a folder";
}

static int merge_doubles(struct archive *archive, struct caisson_error *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < archive->count; i++) {
		struct archive_entry *entry = &archive->entries[i];
		struct archive_entry *last = kept > 0 ? &archive->entries[kept - 1] : NULL;

		if (last == NULL || strcmp(last->path, entry->path) != 0) {
			struct archive_entry moved = *entry;

			*entry = (struct archive_entry){0};
			archive->entries[kept++] = moved;
			continue;
		}
		if (!same(last, entry))
			return caisson_refuse(err, EEXIST,
				"/%s would be two things in the boot archive: %s and %s",
				entry->path, call(last), call(entry));
		entry_done(entry);
		*entry = (struct archive_entry){0};
	}
	archive->count = kept;
	return 0;
}

int archive_complete(struct archive *archive, struct caisson_error *err)
{
	int r;

	sort(archive);
	r = resolve_all(archive, err);
	if (r == 0)
		r = add_parents(archive, err);
	if (r == 0)
		r = merge_doubles(archive, err);
	return r;
}
