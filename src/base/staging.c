/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/staging.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "base/strbuf.h"

#define PREFIX ".new-"

/* A sweeper may have removed the name between its making and our lock on it. */
static bool still_there(int fd, const char *path)
{
	struct stat by_fd, by_path;

	return fstat(fd, &by_fd) == 0 && lstat(path, &by_path) == 0 &&
	       by_fd.st_ino == by_path.st_ino && by_fd.st_dev == by_path.st_dev;
}

static int staging_new(
	struct staging *ret_staging, const char *parent, bool directory, struct caisson_error *err)
{
	for (int attempt = 0; attempt < 16; attempt++) {
		_cleanup_staging_ struct staging staging = STAGING_NONE;

		staging.parent = strdup(parent);
		staging.path = path_join(parent, PREFIX "XXXXXX");
		if (staging.parent == NULL || staging.path == NULL)
			return caisson_fail(err, ENOMEM, "create a file in %s", parent);

		if (directory) {
			if (mkdtemp(staging.path) == NULL) {
				int code = errno;

				staging.path[0] = '\0';
				return caisson_fail(err, code, "create a folder in %s", parent);
			}
			staging.fd = open(staging.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		} else {
			staging.fd = mkostemp(staging.path, O_CLOEXEC);
			if (staging.fd < 0) {
				int code = errno;

				staging.path[0] = '\0';
				return caisson_fail(err, code, "create a file in %s", parent);
			}
		}
		if (staging.fd < 0 || flock(staging.fd, LOCK_EX | LOCK_NB) < 0 ||
			!still_there(staging.fd, staging.path))
			continue;
		*ret_staging = staging;
		staging = STAGING_NONE;
		return 0;
	}
	return caisson_refuse(err, EAGAIN, "could not keep a new file in %s", parent);
}

int staging_directory(struct staging *ret_staging, const char *parent, struct caisson_error *err)
{
	return staging_new(ret_staging, parent, true, err);
}

int staging_file(struct staging *ret_staging, const char *parent, struct caisson_error *err)
{
	return staging_new(ret_staging, parent, false, err);
}

int staging_unnamed(struct staging *ret_staging, const char *parent, struct caisson_error *err)
{
	_cleanup_staging_ struct staging staging = STAGING_NONE;

	staging.fd = open(parent, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (staging.fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		return staging_file(ret_staging, parent, err);
	if (staging.fd < 0)
		return caisson_fail(err, errno, "create a file in %s", parent);
	staging.parent = strdup(parent);
	if (staging.parent == NULL)
		return caisson_fail(err, ENOMEM, "create a file in %s", parent);
	*ret_staging = staging;
	staging = STAGING_NONE;
	return 0;
}

/* Gives a file without a name one. */
static int link_as(const struct staging *staging, const char *target, struct caisson_error *err)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", staging->fd);
	if (linkat(AT_FDCWD, path, AT_FDCWD, target, AT_SYMLINK_FOLLOW) < 0)
		return caisson_fail(err, errno, "create %s", target);
	return 0;
}

/* NFS and most of FUSE know no flags of a rename. A second name for a file never takes another's
   place either; a folder can have none. */
static int rename_by_link(struct staging *staging, const char *target)
{
	if (link(staging->path, target) < 0)
		return errno == EEXIST ? -EEXIST : -EINVAL;
	/* One that stays is tried once more when all is done. */
	if (unlink(staging->path) == 0)
		free(take_ptr(staging->path));
	return 0;
}

static int rename_new(struct staging *staging, const char *name, struct caisson_error *err)
{
	_cleanup_free_ char *target = path_join(staging->parent, name);
	int r;

	if (target == NULL)
		return caisson_fail(err, ENOMEM, "publish %s", name);
	if (staging->path == NULL)
		return link_as(staging, target, err);
	if (renameat2(AT_FDCWD, staging->path, AT_FDCWD, target, RENAME_NOREPLACE) == 0) {
		free(take_ptr(staging->path));
		return 0;
	}
	r = errno == EINVAL ? rename_by_link(staging, target) : -errno;
	return r < 0 ? caisson_fail(err, r, "rename %s to %s", staging->path, target) : 0;
}

int staging_publish(struct staging *staging, const char *name, struct caisson_error *err)
{
	int r;

	if (fsync(staging->fd) < 0)
		return caisson_fail(err, errno, "sync a new file in %s", staging->parent);
	r = rename_new(staging, name, err);
	return r == 0 ? sync_directory(staging->parent, err) : r;
}

int staging_replace(struct staging *staging, const char *name, struct caisson_error *err)
{
	_cleanup_free_ char *target = path_join(staging->parent, name);

	if (target == NULL)
		return caisson_fail(err, ENOMEM, "publish %s", name);
	if (fsync(staging->fd) < 0)
		return caisson_fail(err, errno, "sync a new file in %s", staging->parent);
	/* Whole already, when it gets the name that is replaced by another one. */
	if (staging->path == NULL) {
		_cleanup_free_ char *hidden =
			format_string("%s/" PREFIX "%s-%d", staging->parent, name, getpid());
		int r = hidden != NULL ? link_as(staging, hidden, err)
				       : caisson_fail(err, ENOMEM, "publish %s", name);

		if (r < 0)
			return r;
		staging->path = take_ptr(hidden);
	}
	if (rename(staging->path, target) < 0)
		return caisson_fail(err, errno, "rename %s to %s", staging->path, target);
	free(take_ptr(staging->path));
	return sync_directory(staging->parent, err);
}

int staging_publish_unsynced(struct staging *staging, const char *name, struct caisson_error *err)
{
	return rename_new(staging, name, err);
}

void staging_done(struct staging *staging)
{
	int saved = errno;

	if (staging->path != NULL && staging->path[0] != '\0')
		(void)remove_tree(staging->path, NULL);
	closep(&staging->fd);
	free(staging->path);
	free(staging->parent);
	*staging = STAGING_NONE;
	errno = saved;
}

void staging_sweep(const char *parent)
{
	_cleanup_closedir_ DIR *directory = opendir(parent);
	struct dirent *entry;

	if (directory == NULL)
		return;
	while ((entry = readdir(directory)) != NULL) {
		_cleanup_close_ int fd = -1;
		_cleanup_free_ char *path = NULL;

		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0)
			continue;
		fd = openat(dirfd(directory), entry->d_name,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
			continue;
		path = path_join(parent, entry->d_name);
		if (path != NULL && still_there(fd, path))
			(void)remove_tree(path, NULL);
	}
}
