/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
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

int keep_index_name(const char *kind, const char *path, const struct stat *st, char **ret_name,
	struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf key = STRBUF_INIT;
	char hex[DIGEST_HEX_SIZE];
	int r;

	strbuf_add_format(&key, "%s\n%s\n", kind, path);
	keep_identity(&key, st, true);
	if (!strbuf_ok(&key))
		return caisson_fail(err, ENOMEM, "prepare %s", path);
	r = digest_of(key.data, key.size, hex, err);
	if (r < 0)
		return r;
	*ret_name = format_string("%s.index", hex);
	return *ret_name != NULL ? 0 : caisson_fail(err, ENOMEM, "prepare %s", path);
}

/* Appends "NAME IDENTITY" of the kept file as it is now. */
static int describe(const char *path, struct strbuf *text)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	strbuf_add_format(text, "%s ", path_base(path));
	keep_identity(text, &st, false);
	strbuf_add_char(text, '\n');
	return strbuf_ok(text) ? 0 : -ENOMEM;
}

int keep_index_find(const char *folder, const char *index, const char *suffix, char **ret_path)
{
	enum { INDEX_MOST = 256 };
	_cleanup_free_ char *file = path_join(folder, index);
	_cleanup_free_ char *path = NULL;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT, now = STRBUF_INIT;
	char hex[DIGEST_HEX_SIZE];

	if (file == NULL || read_file(file, INDEX_MOST, &text, NULL) < 0 || text.size == 0)
		return 0;
	if (strcmp(text.data, "none\n") == 0) {
		*ret_path = NULL;
		return 1;
	}
	if (sscanf(text.data, "%64[0-9a-f]", hex) != 1)
		return 0;
	path = format_string("%s/%s%s", folder, hex, suffix);
	if (path == NULL || describe(path, &now) < 0 || strcmp(text.data, now.data) != 0)
		return 0;
	*ret_path = take_ptr(path);
	return 1;
}

int keep_index_write(
	const char *folder, const char *index, const char *name, struct caisson_error *err)
{
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	int r = 0;

	if (name != NULL) {
		_cleanup_free_ char *path = path_join(folder, name);

		r = path != NULL ? describe(path, &text) : -ENOMEM;
		if (r < 0)
			return caisson_fail(err, r, "find %s again", name);
	} else {
		strbuf_add_string(&text, "none\n");
	}
	if (!strbuf_ok(&text))
		return caisson_fail(err, ENOMEM, "write %s", index);
	r = staging_file(&staging, folder, err);
	if (r == 0)
		r = write_all(staging.fd, text.data, text.size, index, err);
	if (r == 0)
		r = keep_publish(&staging, index, err);
	return r;
}
