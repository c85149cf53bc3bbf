/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The archive becomes a tree in memory first (rootfs.h), in which every path is real: no name that
 * is made here has a link, "." or ".." in its folders, and folders are opened without following
 * links. So hostile names and links have nothing to work on.
 */
#include "inspect/extract.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/io.h"
#include "base/log.h"
#include "base/path.h"

enum { TOLD_MOST = 10 };

struct extraction {
	const struct rootfs *root;
	int fd; /* the folder */
	const char *what;
	const bool *wanted;
	bool same; /* owners, setuid bits and devices */
	/* The folder that was written into last: entries come sorted. */
	int parent;
	const char *parent_path;
	size_t parent_size;
	size_t *first; /* of each file, the entry that has it already, counted from 1 */
	size_t skipped;
};

static void extraction_done(struct extraction *extraction)
{
	free(extraction->first);
	closep(&extraction->parent);
}

static int failed(const char *verb, const char *path, struct caisson_error *err)
{
	int error = errno;
	_cleanup_free_ char *name = strdup(path);

	if (name != NULL)
		text_flatten(name);
	return caisson_fail(err, error, "%s %s", verb, name != NULL ? name : "an entry");
}

/* Opens the folder of @path, one part after the other, and leaves the last part in *ret_name. */
static int open_parent(struct extraction *extraction, const char *path, const char **ret_name,
	struct caisson_error *err)
{
	const char *slash = strrchr(path, '/');
	size_t size = slash != NULL ? (size_t)(slash - path) : 0;
	_cleanup_close_ int at = -1;

	*ret_name = slash != NULL ? slash + 1 : path;
	if (extraction->parent >= 0 && size == extraction->parent_size &&
		memcmp(path, extraction->parent_path, size) == 0)
		return 0;
	at = fcntl(extraction->fd, F_DUPFD_CLOEXEC, 3);
	for (const char *part = path; at >= 0 && part < path + size;) {
		const char *end = memchr(part, '/', (size_t)(path + size - part));
		char name[NAME_MAX + 1];
		size_t length = (size_t)((end != NULL ? end : path + size) - part);
		int next;

		/* rootfs_link() has let no longer one in. */
		memcpy(name, part, MIN(length, sizeof(name) - 1));
		name[MIN(length, sizeof(name) - 1)] = '\0';
		next = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		closep(&at);
		at = next;
		part += length + 1;
	}
	if (at < 0)
		return failed("open the folder of", path, err);
	closep(&extraction->parent);
	extraction->parent = take_fd(&at);
	extraction->parent_path = path;
	extraction->parent_size = size;
	return 0;
}

static mode_t allowed(const struct extraction *extraction, mode_t mode)
{
	return mode & (extraction->same ? 07777 : 0777);
}

static int make_file(struct extraction *extraction, const char *path, const char *name,
	const struct rootfs_file *file, struct caisson_error *err)
{
	const struct timespec times[] = {{0, UTIME_OMIT}, {file->mtime, 0}};
	_cleanup_close_ int fd = openat(extraction->parent, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return failed("create", path, err);
	r = write_all(fd, file->data, file->size, path, err);
	if (r < 0)
		return r;
	if ((extraction->same && fchown(fd, file->uid, file->gid) < 0) ||
		fchmod(fd, allowed(extraction, file->mode)) < 0 || futimens(fd, times) < 0)
		return failed("set the mode of", path, err);
	return 0;
}

static int make_link(struct extraction *extraction, const char *path, const char *name,
	const struct rootfs_file *file, struct caisson_error *err)
{
	_cleanup_free_ char *target = strndup((const char *)file->data, file->size);

	if (target == NULL)
		return caisson_fail(err, ENOMEM, "unpack %s", extraction->what);
	if (symlinkat(target, extraction->parent, name) < 0 ||
		(extraction->same && fchownat(extraction->parent, name, file->uid, file->gid,
					     AT_SYMLINK_NOFOLLOW) < 0))
		return failed("create", path, err);
	return 0;
}

/* The owner first: changing it drops the bits that chmod() sets. */
static int make_special(struct extraction *extraction, const char *path, const char *name,
	const struct rootfs_file *file, struct caisson_error *err)
{
	if (!extraction->same) {
		extraction->skipped++;
		return 0;
	}
	if (mknodat(extraction->parent, name, (file->mode & S_IFMT) | 0600,
		    makedev(file->major, file->minor)) < 0 ||
		fchownat(extraction->parent, name, file->uid, file->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
		fchmodat(extraction->parent, name, file->mode & 07777, 0) < 0)
		return failed("create", path, err);
	return 0;
}

static int make_entry(struct extraction *extraction, size_t index, struct caisson_error *err)
{
	const struct rootfs_entry *entry = &extraction->root->entries[index];
	const struct rootfs_file *file = &extraction->root->files[entry->file];
	size_t first = extraction->first[entry->file];
	const char *name;
	int r = open_parent(extraction, entry->path, &name, err);

	if (r < 0)
		return r;
	if (S_ISDIR(file->mode))
		return mkdirat(extraction->parent, name, 0700) < 0
			       ? failed("create", entry->path, err)
			       : 0;
	if (first > 0) {
		const char *old = extraction->root->entries[first - 1].path;

		return linkat(extraction->fd, old, extraction->parent, name, 0) < 0
			       ? failed("link", entry->path, err)
			       : 0;
	}
	if (S_ISREG(file->mode))
		r = make_file(extraction, entry->path, name, file, err);
	else if (S_ISLNK(file->mode))
		r = make_link(extraction, entry->path, name, file, err);
	else
		return make_special(extraction, entry->path, name, file, err);
	extraction->first[entry->file] = index + 1;
	return r;
}

/* When everything is in it: one without the right to write takes nothing more. */
static int finish_folder(
	struct extraction *extraction, const struct rootfs_entry *entry, struct caisson_error *err)
{
	const struct rootfs_file *file = &extraction->root->files[entry->file];
	const char *name;
	int r = open_parent(extraction, entry->path, &name, err);

	if (r < 0)
		return r;
	if ((extraction->same && fchownat(extraction->parent, name, file->uid, file->gid,
					 AT_SYMLINK_NOFOLLOW) < 0) ||
		fchmodat(extraction->parent, name, allowed(extraction, file->mode), 0) < 0)
		return failed("set the mode of", entry->path, err);
	return 0;
}

int extract_root(const struct rootfs *root, int fd, const char *what, const bool *wanted,
	bool same_permissions, size_t *ret_skipped, struct caisson_error *err)
{
	_cleanup_(extraction_done) struct extraction extraction = {.root = root,
		.fd = fd,
		.what = what,
		.wanted = wanted,
		.same = same_permissions,
		.parent = -1,
		.first = calloc(root->file_count, sizeof(*extraction.first))};
	int r = 0;

	if (extraction.first == NULL)
		return caisson_fail(err, ENOMEM, "unpack %s", what);
	for (size_t i = 0; r == 0 && i < root->count; i++) {
		if (wanted == NULL || wanted[i])
			r = make_entry(&extraction, i, err);
	}
	for (size_t i = root->count; r == 0 && i-- > 0;) {
		const struct rootfs_entry *entry = &root->entries[i];

		if ((wanted == NULL || wanted[i]) && S_ISDIR(root->files[entry->file].mode))
			r = finish_folder(&extraction, entry, err);
	}
	if (r == 0)
		*ret_skipped = extraction.skipped;
	return r;
}

/* @path is @top, or below it. */
static bool is_below(const char *path, const char *top, size_t size)
{
	return size == 0 ||
	       (strncmp(path, top, size) == 0 && (path[size] == '/' || path[size] == '\0'));
}

/* Marks what @path names, what is below it, and the folders that it is in. */
static int select_path(struct rootfs *root, const char *path, const char *what, bool *wanted,
	struct caisson_error *err)
{
	_cleanup_free_ char *real = rootfs_real(root, path);
	size_t size;

	if (real == NULL)
		return caisson_refuse(err, ENOENT, "%s has no %s", what, path);
	size = strlen(real);
	for (size_t i = 0; i < root->count; i++) {
		const char *entry = root->entries[i].path;

		if (is_below(entry, real, size) ||
			(S_ISDIR(root->files[root->entries[i].file].mode) &&
				is_below(real, entry, strlen(entry))))
			wanted[i] = true;
	}
	return 0;
}

static int select_paths(struct rootfs *root, const char *const *paths, const char *what,
	bool **ret_wanted, struct caisson_error *err)
{
	_cleanup_free_ bool *wanted = calloc(root->count + 1, sizeof(*wanted));

	if (wanted == NULL)
		return caisson_fail(err, ENOMEM, "unpack %s", what);
	for (; *paths != NULL; paths++) {
		int r = select_path(root, *paths, what, wanted, err);

		if (r < 0)
			return r;
	}
	*ret_wanted = take_ptr(wanted);
	return 0;
}

static int check_empty(int fd, const char *path, struct caisson_error *err)
{
	_cleanup_close_ int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *folder = again >= 0 ? fdopendir(again) : NULL;
	const struct dirent *entry;

	if (folder == NULL)
		return caisson_fail(err, errno, "read %s", path);
	take_fd(&again);
	while ((entry = readdir(folder)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		caisson_refuse(err, ENOTEMPTY, "%s is not empty", path);
		return caisson_hint(err, "unpack into a folder that is new or empty");
	}
	return 0;
}

/* The folder, made when it is not there. Nobody else looks in before it is whole. */
static int open_target(const char *path, bool *ret_made, struct caisson_error *err)
{
	_cleanup_close_ int fd = -1;
	bool made = mkdir(path, 0700) == 0;

	if (!made && errno != EEXIST)
		return caisson_fail(err, errno, "create %s", path);
	fd = open_file(path, O_RDONLY | O_DIRECTORY, 0, err);
	if (fd < 0)
		return fd;
	if (!made) {
		int r = check_empty(fd, path, err);

		if (r < 0)
			return r;
	}
	*ret_made = made;
	return take_fd(&fd);
}

static void tell(const struct rootfs *root, size_t skipped, const struct caisson_log *log)
{
	for (size_t i = 0; i < MIN(root->problem_count, (size_t)TOLD_MOST); i++) {
		const struct rootfs_problem *problem = &root->problems[i];

		text_flatten(problem->path);
		log_warning(log, "%s: %s", problem->path, problem->why);
	}
	if (root->problem_count > TOLD_MOST)
		log_warning(log, "and %zu more", root->problem_count - TOLD_MOST);
	if (skipped > 0)
		log_warning(log, "left out %zu device node%s, FIFO%s or socket%s", skipped,
			skipped == 1 ? "" : "s", skipped == 1 ? "" : "s", skipped == 1 ? "" : "s");
}

int initramfs_extract(int fd, const char *what,
	const struct caisson_initramfs_extract_options *options, const struct caisson_log *log,
	struct caisson_error *err)
{
	_cleanup_rootfs_ struct rootfs root = ROOTFS_NONE;
	_cleanup_close_ int target = -1;
	_cleanup_free_ bool *wanted = NULL;
	size_t skipped = 0;
	bool made = false;
	int r = rootfs_open(fd, what, &root, err);

	if (r == 0 && options->paths != NULL)
		r = select_paths(&root, options->paths, what, &wanted, err);
	if (r < 0)
		return r;
	target = open_target(options->into, &made, err);
	if (target < 0)
		return target;
	r = extract_root(&root, target, what, wanted, options->same_permissions, &skipped, err);
	if (r == 0 && made && fchmod(target, 0755) < 0)
		r = caisson_fail(err, errno, "set the mode of %s", options->into);
	if (r < 0 && made)
		(void)remove_tree(options->into, NULL);
	if (r == 0)
		tell(&root, skipped, log);
	return r;
}
