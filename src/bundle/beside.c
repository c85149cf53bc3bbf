/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "bundle/pack.h"

enum { RANDOM = 6 }; /* characters that mkstemp() fills */

/* "DIR/.NAME.caisson-", of "DIR/NAME". */
static char *prefix(const char *archive)
{
	const char *name = path_base(archive);

	return format_string("%.*s.%s.caisson-", (int)(name - archive), archive, name);
}

static bool is_locked(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) < 0;
}

/* What carries the name of a temporary one of this archive, and is nobody's. */
static void sweep(const char *start)
{
	_cleanup_free_ char *parent = strndup(start, (size_t)(path_base(start) - start));
	_cleanup_closedir_ DIR *directory =
		parent != NULL ? opendir(parent[0] != '\0' ? parent : ".") : NULL;
	const char *name = path_base(start);
	struct dirent *entry;

	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		_cleanup_free_ char *path = NULL;
		_cleanup_close_ int fd = -1;

		if (strncmp(entry->d_name, name, strlen(name)) != 0 ||
			strlen(entry->d_name) != strlen(name) + RANDOM)
			continue;
		fd = openat(dirfd(directory), entry->d_name,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		path = format_string("%s%s", parent, entry->d_name);
		if (fd >= 0 && path != NULL && !is_locked(fd))
			(void)remove_tree(path, NULL);
	}
}

int beside_new(
	struct beside *ret_beside, const char *archive, bool folder, struct caisson_error *err)
{
	_cleanup_beside_ struct beside beside = BESIDE_NONE;
	_cleanup_free_ char *start = prefix(archive);
	_cleanup_free_ char *path = start != NULL ? format_string("%sXXXXXX", start) : NULL;

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "write %s", archive);
	sweep(start);
	if (folder && mkdtemp(path) != NULL)
		beside.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	else if (!folder)
		beside.fd = mkostemp(path, O_CLOEXEC);
	if (beside.fd < 0)
		return caisson_fail(err, errno, "write beside %s", archive);
	beside.path = take_ptr(path);
	/* For whoever tries it (trial.c). */
	if (folder && fchmod(beside.fd, 0755) < 0)
		return caisson_fail(err, errno, "set the mode of %s", beside.path);
	if (is_locked(beside.fd))
		return caisson_refuse(err, EAGAIN, "%s is being swept away", beside.path);
	*ret_beside = beside;
	beside = BESIDE_NONE;
	return 0;
}

void beside_done(struct beside *beside)
{
	int saved = errno;

	if (beside->path != NULL)
		(void)remove_tree(beside->path, NULL);
	free(beside->path);
	closep(&beside->fd);
	*beside = BESIDE_NONE;
	errno = saved;
}
