/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A folder as a source: each name once, sorted, no link followed. */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/strbuf.h"
#include "filesystem/fill.h"
#include "filesystem/fill_xattrs.h"

#define NAMES_MOST (1u << 16) /* bytes that listxattr(2) gives, at most */
#define LINK_MOST  4096u

/* A folder on the way down. */
struct level {
	int fd;
	struct strv names;
	size_t next;
	size_t path_length; /* of its own path */
};

/* A file with several names, by the first of them. */
struct twin {
	dev_t dev;
	ino_t ino;
	char *path;
};

struct folder {
	struct fill_source source;
	char *what;
	bool cross;
	int top;
	dev_t dev;
	bool begun;
	struct level *levels;
	size_t depth, capacity;
	struct strbuf path;
	void *twins; /* tsearch(3) */
	struct fill_xattrs xattrs;
	int fd; /* the last file, unless it was taken */
	char target[LINK_MOST + 1];
	char names[NAMES_MOST];
	uint8_t value[FILL_XATTR_MOST];
};

static void twin_free(void *node)
{
	struct twin *twin = node;

	free(twin->path);
	free(twin);
}

static int by_identity(const void *a, const void *b)
{
	const struct twin *left = a, *right = b;

	if (left->dev != right->dev)
		return left->dev < right->dev ? -1 : 1;
	return left->ino < right->ino ? -1 : left->ino > right->ino;
}

static void leave(struct folder *folder)
{
	struct level *level = &folder->levels[--folder->depth];

	closep(&level->fd);
	strv_done(&level->names);
}

static void forget(struct folder *folder)
{
	while (folder->depth > 0)
		leave(folder);
	closep(&folder->fd);
	folder->fd = -1;
	tdestroy(folder->twins, twin_free);
	folder->twins = NULL;
	fill_xattrs_clear(&folder->xattrs);
	strbuf_clear(&folder->path);
	folder->begun = false;
}

static void folder_free(struct fill_source *source)
{
	struct folder *folder = (struct folder *)source;

	forget(folder);
	closep(&folder->top);
	free(folder->levels);
	fill_xattrs_done(&folder->xattrs);
	strbuf_done(&folder->path);
	free(folder->what);
	free(folder);
}

static int folder_rewind(struct fill_source *source, struct caisson_error *err _unused_)
{
	forget((struct folder *)source);
	return 0;
}

/* For errors: where it is on this host. */
static int fail_at(
	const struct folder *folder, const char *verb, int code, struct caisson_error *err)
{
	int r = caisson_fail(err, code, "%s %s%s%s", verb, folder->what,
		folder->path.size > 0 ? "/" : "", folder->path.size > 0 ? folder->path.data : "");

	if (code == EACCES || code == EPERM)
		return caisson_hint(err, "all of it must be readable to the user who runs caisson");
	if (code == EMFILE)
		return caisson_hint(err, "raise the limit of open files (ulimit -n): folders are "
					 "as many deep");
	return r;
}

static int set_path(struct folder *folder, size_t length, const char *name)
{
	folder->path.size = length;
	if (length > 0)
		strbuf_add_char(&folder->path, '/');
	strbuf_add_string(&folder->path, name);
	return strbuf_ok(&folder->path) ? 0 : -ENOMEM;
}

static int read_names(
	const struct folder *folder, int fd, struct strv *names, struct caisson_error *err)
{
	_cleanup_closedir_ DIR *stream = NULL;
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	struct dirent *entry;

	stream = own >= 0 ? fdopendir(own) : NULL;
	if (stream == NULL) {
		closep(&own);
		return fail_at(folder, "read the folder", errno, err);
	}
	rewinddir(stream); /* the position is shared with @fd */
	while (errno = 0, (entry = readdir(stream)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			strv_add(names, entry->d_name);
	}
	if (errno != 0)
		return fail_at(folder, "read the folder", errno, err);
	if (!strv_ok(names))
		return caisson_fail(err, ENOMEM, "read a folder");
	strv_sort(names);
	return 0;
}

/* The folder @fd becomes the one that is read next; its descriptor is the level's. */
static int enter(struct folder *folder, int fd, bool look, struct caisson_error *err)
{
	struct level *level;

	if (folder->depth == folder->capacity) {
		size_t capacity = folder->capacity > 0 ? folder->capacity * 2 : 32;
		struct level *levels =
			reallocarray(folder->levels, capacity, sizeof(*folder->levels));

		if (levels == NULL) {
			close(fd);
			return caisson_fail(err, ENOMEM, "read a folder");
		}
		folder->levels = levels;
		folder->capacity = capacity;
	}
	level = &folder->levels[folder->depth++];
	*level = (struct level){.fd = fd, .names = STRV_INIT, .path_length = folder->path.size};
	return look ? read_names(folder, fd, &level->names, err) : 0;
}

/* What has no descriptor is looked at through its folder's. */
static ssize_t get_xattr(int fd, const char *path, const char *name, void *value, size_t size)
{
	return fd >= 0 ? fgetxattr(fd, name, value, size) : lgetxattr(path, name, value, size);
}

static int read_xattrs(
	struct folder *folder, int fd, int parent, const char *name, struct caisson_error *err)
{
	char path[64 + 256];
	ssize_t length;

	fill_xattrs_clear(&folder->xattrs);
	if (fd < 0)
		snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", parent, name);
	length = fd >= 0 ? flistxattr(fd, folder->names, sizeof(folder->names))
			 : llistxattr(path, folder->names, sizeof(folder->names));
	if (length < 0 && (errno == ENOTSUP || errno == ENOSYS))
		return 0;
	if (length < 0)
		return fail_at(folder, "read the extended attributes of", errno, err);
	for (ssize_t at = 0; at < length;) {
		const char *xattr = folder->names + at;
		ssize_t size;
		int r;

		at += (ssize_t)strlen(xattr) + 1;
		if (!ext4_xattr_known(xattr))
			continue;
		size = get_xattr(fd, path, xattr, folder->value, sizeof(folder->value));
		/* Gone by now, or root's alone. */
		if (size < 0 && (errno == ENODATA ||
					(errno == EPERM && strncmp(xattr, "trusted.", 8) == 0)))
			continue;
		if (size < 0)
			return fail_at(folder, "read an extended attribute of", errno, err);
		r = fill_xattrs_add(&folder->xattrs, xattr, folder->value, (size_t)size, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* 1 and the first name, when this file had one before. */
static int find_twin(struct folder *folder, const struct stat *st, const char **ret_path,
	struct caisson_error *err)
{
	struct twin key = {.dev = st->st_dev, .ino = st->st_ino}, *twin;
	struct twin *const *found = tfind(&key, &folder->twins, by_identity);

	if (found != NULL) {
		*ret_path = (*found)->path;
		return 1;
	}
	twin = malloc(sizeof(*twin));
	if (twin == NULL)
		return caisson_fail(err, ENOMEM, "read a folder");
	*twin = key;
	twin->path = strdup(folder->path.data);
	if (twin->path == NULL || tsearch(twin, &folder->twins, by_identity) == NULL) {
		twin_free(twin);
		return caisson_fail(err, ENOMEM, "read a folder");
	}
	return 0;
}

static void describe(struct folder *folder, const struct stat *st, struct fill_entry *entry)
{
	uint64_t size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	uint64_t there = MIN((uint64_t)st->st_blocks * 512, size);

	*entry = (struct fill_entry){
		.path = folder->path.size > 0 ? folder->path.data : "",
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime = st->st_mtim,
		.size = size,
		.data = there,
		.major = major(st->st_rdev),
		.minor = minor(st->st_rdev),
		.fd = -1,
		.stat = *st,
	};
}

static int read_target(
	struct folder *folder, int parent, const char *name, struct caisson_error *err)
{
	ssize_t length = readlinkat(parent, name, folder->target, LINK_MOST + 1);

	if (length < 0)
		return fail_at(folder, "read the link", errno, err);
	if (length > (ssize_t)LINK_MOST)
		return fail_at(folder, "read the link", ENAMETOOLONG, err);
	folder->target[length] = '\0';
	return 0;
}

/* Opens what @st was said of, and nothing that took its place meanwhile. */
static int open_same(struct folder *folder, int parent, const char *name, int flags,
	struct stat *st, int *ret_fd, struct caisson_error *err)
{
	/* A FIFO that took a file's place must not make us wait. */
	_cleanup_close_ int fd = openat(
		parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags);
	struct stat now;

	if (fd < 0)
		return fail_at(folder, "open", errno, err);
	if (fstat(fd, &now) < 0)
		return fail_at(folder, "look at", errno, err);
	if (now.st_dev != st->st_dev || now.st_ino != st->st_ino ||
		(now.st_mode & S_IFMT) != (st->st_mode & S_IFMT))
		return caisson_refuse(err, EAGAIN, "%s/%s changed while it was read", folder->what,
			folder->path.data);
	*st = now;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int give_folder(struct folder *folder, int parent, const char *name, struct stat *st,
	struct fill_entry *entry, struct caisson_error *err)
{
	int fd = -1, r = open_same(folder, parent, name, O_DIRECTORY, st, &fd, err);

	if (r == 0)
		r = read_xattrs(folder, fd, -1, NULL, err);
	if (r < 0) {
		closep(&fd);
		return r;
	}
	r = enter(folder, fd, folder->cross || st->st_dev == folder->dev, err);
	describe(folder, st, entry);
	return r;
}

static int give_other(struct folder *folder, int parent, const char *name, struct stat *st,
	struct fill_entry *entry, struct caisson_error *err)
{
	const char *first = NULL;
	int r = 0;

	if (st->st_nlink > 1)
		r = find_twin(folder, st, &first, err);
	if (r < 0)
		return r;
	if (r > 0) {
		fill_xattrs_clear(&folder->xattrs);
		describe(folder, st, entry);
		entry->hard_link = first;
		return 0;
	}
	if (S_ISREG(st->st_mode))
		r = open_same(folder, parent, name, 0, st, &folder->fd, err);
	else if (S_ISLNK(st->st_mode))
		r = read_target(folder, parent, name, err);
	if (r == 0)
		r = read_xattrs(folder, folder->fd, parent, name, err);
	describe(folder, st, entry);
	entry->fd = folder->fd;
	entry->own = &folder->fd;
	entry->target = S_ISLNK(st->st_mode) ? folder->target : NULL;
	return r;
}

static int give_top(struct folder *folder, struct fill_entry *entry, struct caisson_error *err)
{
	int fd = fcntl(folder->top, F_DUPFD_CLOEXEC, 3), r;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = fail_at(folder, "open", errno, err);
		closep(&fd);
		return r;
	}
	folder->begun = true;
	folder->dev = st.st_dev;
	r = read_xattrs(folder, fd, -1, NULL, err);
	if (r < 0) {
		close(fd);
		return r;
	}
	r = enter(folder, fd, true, err);
	describe(folder, &st, entry);
	return r;
}

static int give_next(struct folder *folder, struct fill_entry *entry, struct caisson_error *err)
{
	struct level *level = &folder->levels[folder->depth - 1];
	const char *name = level->names.items[level->next++];
	int parent = level->fd;
	struct stat st;

	if (set_path(folder, level->path_length, name) < 0)
		return caisson_fail(err, ENOMEM, "read a folder");
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_at(folder, "look at", errno, err);
	if (S_ISDIR(st.st_mode))
		return give_folder(folder, parent, name, &st, entry, err);
	return give_other(folder, parent, name, &st, entry, err);
}

static int folder_next(
	struct fill_source *source, struct fill_entry *ret_entry, struct caisson_error *err)
{
	struct folder *folder = (struct folder *)source;
	int r;

	closep(&folder->fd);
	folder->fd = -1;
	if (!folder->begun) {
		r = give_top(folder, ret_entry, err);
	} else {
		while (folder->depth > 0 && folder->levels[folder->depth - 1].next ==
						    folder->levels[folder->depth - 1].names.count)
			leave(folder);
		if (folder->depth == 0)
			return 0;
		r = give_next(folder, ret_entry, err);
	}
	if (r < 0)
		return r;
	ret_entry->xattrs = folder->xattrs.list;
	ret_entry->xattr_count = folder->xattrs.count;
	return 1;
}

int fill_source_folder(int fd, const char *what, const struct fill_source_options *options,
	struct fill_source **ret_source, struct caisson_error *err)
{
	static const struct fill_source_ops ops = {
		.next = folder_next,
		.rewind = folder_rewind,
		.free = folder_free,
	};
	struct folder *folder = calloc(1, sizeof(*folder));
	char *name = strdup(what);

	if (folder == NULL || name == NULL) {
		free(folder);
		free(name);
		close(fd);
		return caisson_fail(err, ENOMEM, "read %s", what);
	}
	folder->source = (struct fill_source){.ops = &ops, .what = name};
	folder->what = name;
	folder->cross = options != NULL && options->cross;
	folder->top = fd;
	folder->fd = -1;
	*ret_source = &folder->source;
	return 0;
}
