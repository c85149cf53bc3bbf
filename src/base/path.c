/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _XOPEN_SOURCE 700
#include "base/path.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/macros.h"
#include "base/strbuf.h"

bool name_valid(const char *name)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t length = strlen(name);

	return length >= 1 && length <= 63 && strchr(first, name[0]) != NULL &&
	       strspn(name, rest) == length;
}

int name_check(const char *what, const char *name, struct caisson_error *err)
{
	if (name_valid(name))
		return 0;
	return caisson_refuse(err, EINVAL,
		"'%s' cannot be the name of a %s: 1 to 63 of a-z, 0-9, '_', '.', '-', with a "
		"letter or a digit first",
		name, what);
}

char *path_join(const char *a, const char *b)
{
	size_t length = strlen(a);

	while (length > 0 && a[length - 1] == '/')
		length--;
	while (*b == '/')
		b++;
	return format_string("%.*s/%s", (int)length, a, b);
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

char *path_parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static int make_directory(const char *path, mode_t mode, bool sync, struct caisson_error *err)
{
	_cleanup_free_ char *parent = NULL;
	struct caisson_error failure = {0};
	int r;

	if (mkdir(path, mode) < 0)
		return errno == EEXIST ? 0 : caisson_fail(err, errno, "create the folder %s", path);
	if (!sync)
		return 0;
	parent = path_parent(path);
	if (parent == NULL)
		return caisson_fail(err, ENOMEM, "create the folder %s", path);
	r = sync_directory(parent, &failure);
	/* One that may be written and not read is another's to sync. */
	if (r == 0 || r == -EACCES)
		return 0;
	if (err != NULL)
		*err = failure;
	return r;
}

static int make_all(const char *path, mode_t mode, bool sync, struct caisson_error *err)
{
	_cleanup_free_ char *copy = strdup(path);
	int r = 0;

	if (copy == NULL)
		return caisson_fail(err, ENOMEM, "create %s", path);
	for (char *slash = strchr(copy + 1, '/'); r == 0 && slash != NULL;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		r = make_directory(copy, mode, sync, err);
		*slash = '/';
	}
	return r < 0 ? r : make_directory(copy, mode, sync, err);
}

int make_directories(const char *path, mode_t mode, struct caisson_error *err)
{
	return make_all(path, mode, false, err);
}

int make_directories_durably(const char *path, mode_t mode, struct caisson_error *err)
{
	return make_all(path, mode, true, err);
}

static int remove_entry(
	const char *path, const struct stat *st _unused_, int type, struct FTW *ftw _unused_)
{
	int r = type == FTW_DP || type == FTW_D || type == FTW_DNR ? rmdir(path) : unlink(path);

	return r < 0 && errno != ENOENT ? -1 : 0;
}

int remove_tree(const char *path, struct caisson_error *err)
{
	if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0 || errno == ENOENT)
		return 0;
	return caisson_fail(err, errno, "remove %s", path);
}
