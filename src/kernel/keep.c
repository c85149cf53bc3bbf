/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"

int keep_lock(const char *folder, int *ret_fd, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(folder, O_RDONLY | O_DIRECTORY, 0, err);

	if (fd < 0)
		return fd;
	while (flock(fd, LOCK_EX) < 0) {
		if (errno != EINTR)
			return caisson_fail(err, errno, "lock %s", folder);
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

static int make_way(struct staging *staging, const char *name, struct caisson_error *err)
{
	_cleanup_free_ char *old = path_join(staging->parent, name);

	if (old == NULL)
		return caisson_fail(err, ENOMEM, "publish %s", name);
	/* A kernel is no secret, and QEMU reads it as a user of its own. */
	if (fchmod(staging->fd, 0644) < 0)
		return caisson_fail(err, errno, "set the mode of %s", name);
	if (unlink(old) < 0 && errno != ENOENT)
		return caisson_fail(err, errno, "remove %s", old);
	return 0;
}

int keep_publish(struct staging *staging, const char *name, struct caisson_error *err)
{
	int r = make_way(staging, name, err);

	return r == 0 ? staging_publish(staging, name, err) : r;
}

int keep_publish_unsynced(struct staging *staging, const char *name, struct caisson_error *err)
{
	int r = make_way(staging, name, err);

	return r == 0 ? staging_publish_unsynced(staging, name, err) : r;
}

void keep_identity(struct strbuf *text, const struct stat *st, bool with_ctime)
{
	strbuf_add_format(text, "%llx:%llx:%llx:%llx.%lx", (unsigned long long)st->st_dev,
		(unsigned long long)st->st_ino, (unsigned long long)st->st_size,
		(unsigned long long)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec);
	if (with_ctime)
		strbuf_add_format(text, ":%llx.%lx", (unsigned long long)st->st_ctim.tv_sec,
			(unsigned long)st->st_ctim.tv_nsec);
}
