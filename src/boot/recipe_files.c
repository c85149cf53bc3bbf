/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files, folders, texts and links that a spec names. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "boot/recipe.h"

enum { DEPTH_MOST = 64 };

struct adding {
	struct archive *archive;
	struct strv *inputs;
	const char *why;
	mode_t mode; /* of files; 0: their own */
};

static int add_path(const struct adding *adding, const char *source, const char *path,
	unsigned int depth, struct caisson_error *err);

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "put a boot archive together");
}

static int add_link(const struct adding *adding, const char *source, const char *path,
	struct caisson_error *err)
{
	char target[PATH_MAX];
	ssize_t size = readlink(source, target, sizeof(target) - 1);

	if (size < 0)
		return caisson_fail(err, errno, "read the link %s", source);
	target[size] = '\0';
	return archive_add(adding->archive, path, ARCHIVE_SYMLINK, 0777, target, 0, err);
}

static int add_folder(const struct adding *adding, const char *source, const char *path,
	mode_t mode, unsigned int depth, struct caisson_error *err)
{
	_cleanup_closedir_ DIR *folder = opendir(source);
	_cleanup_strv_ struct strv names = STRV_INIT;
	int r;

	if (folder == NULL)
		return caisson_fail(err, errno, "open %s", source);
	if (depth > DEPTH_MOST)
		return caisson_refuse(err, ELOOP, "%s: too many folders in each other", source);
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			strv_add(&names, entry->d_name);
	}
	if (!strv_ok(&names))
		return out_of_memory(err);
	strv_sort(&names);
	r = archive_add(adding->archive, path, ARCHIVE_DIRECTORY, mode, NULL, 0, err);
	for (size_t i = 0; i < names.count && r == 0; i++) {
		_cleanup_free_ char *from = path_join(source, names.items[i]);
		_cleanup_free_ char *to = path_join(path, names.items[i]);

		r = from != NULL && to != NULL ? add_path(adding, from, to, depth + 1, err)
					       : out_of_memory(err);
	}
	return r;
}

/* Looked at before it is opened; a device or a FIFO is no content. Recursion is bounded. */
static int add_path(const struct adding *adding, const char *source, const char *path,
	unsigned int depth, struct caisson_error *err)
{
	struct stat st;
	mode_t mode;
	int r;

	if (lstat(source, &st) < 0 || (depth == 0 && stat(source, &st) < 0))
		return caisson_fail(err, errno, "find the file %s", source);
	strv_add(adding->inputs, source);
	mode = adding->mode != 0 && !S_ISDIR(st.st_mode) ? adding->mode : st.st_mode & 07777;
	if (S_ISDIR(st.st_mode))
		return add_folder(adding, source, path, mode, depth, err);
	if (S_ISLNK(st.st_mode))
		r = add_link(adding, source, path, err);
	else if (S_ISREG(st.st_mode))
		r = archive_add(adding->archive, path, ARCHIVE_FILE, mode, source, 0, err);
	else
		return caisson_refuse(
			err, EINVAL, "%s is neither a file, a folder nor a link", source);
	return r == 0 ? archive_explain(adding->archive, NULL, adding->why, err) : r;
}

static int add_file(const struct spec_item *item, struct archive *archive, struct strv *inputs,
	struct caisson_error *err)
{
	const struct adding adding = {archive, inputs, item->why, item->mode};
	_cleanup_free_ char *source = realpath(item->source, NULL);
	const char *path = item->path != NULL ? item->path : item->source;
	int r;

	if (source == NULL && errno == ENOENT && item->optional)
		return 0;
	if (source == NULL) {
		caisson_fail(err, errno, "find the file %s", item->source);
		return item->why != NULL ? caisson_wrap(err, "%s", item->why) : -err->code;
	}
	if (path[0] != '/')
		path = source;
	r = add_path(&adding, source, path, 0, err);
	return r < 0 && item->why != NULL ? caisson_wrap(err, "%s", item->why) : r;
}

int recipe_add_files(const struct spec *spec, struct archive *archive, struct strv *inputs,
	struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < spec->files.count; i++)
		r = add_file(&spec->files.items[i], archive, inputs, err);
	for (size_t i = 0; r == 0 && i < spec->texts.count; i++) {
		const struct spec_item *item = &spec->texts.items[i];

		r = archive_add_data(archive, item->path, item->mode != 0 ? item->mode : 0644,
			item->source, strlen(item->source), err);
		if (r == 0)
			r = archive_explain(archive, NULL, item->why, err);
	}
	for (size_t i = 0; r == 0 && i < spec->links.count; i++) {
		const struct spec_item *item = &spec->links.items[i];

		r = archive_add(archive, item->path, ARCHIVE_SYMLINK, 0777, item->source, 0, err);
		if (r == 0)
			r = archive_explain(archive, NULL, item->why, err);
	}
	return r;
}
