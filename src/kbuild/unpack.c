/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/io.h"
#include "base/strbuf.h"
#include "kbuild/unpack_archive.h"
#include "kernel/uncompress.h"

/* Linux 6.12 has 92000 entries with 1.5 GB. */
#define ENTRIES_MOST 1000000u
#define LINKS_MOST   65536u
#define FILE_MOST    (UINT64_C(1) << 30)
#define SIZE_MOST    (UINT64_C(8) << 30)

struct unpacking {
	struct archive *archive;
	const char *what;
	int fd;
	struct digest *digest; /* of what was read from it */
	char chunk[UNPACK_CHUNK];
	uint64_t input; /* bytes of the archive as it is */
	int root;
	char *top;    /* the folder that is left away; "": none is */
	char *parent; /* the folder of the last entry, and a descriptor of it */
	int parent_fd;
	struct strv links;
	struct unpacked done;
	const struct kbuild_watch *watch;
};

static void unpacking_done(struct unpacking *unpacking)
{
	if (unpacking->archive != NULL)
		(void)archive_read_free(unpacking->archive);
	digest_freep(&unpacking->digest);
	free(unpacking->top);
	free(unpacking->parent);
	closep(&unpacking->parent_fd);
	strv_done(&unpacking->links);
}

static int out_of_memory(const struct unpacking *unpacking, struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "unpack %s", unpacking->what);
}

/* The digest is of the very bytes that are unpacked: who can write to the archive has no time in
   which to exchange it. */
static ssize_t read_chunk(struct unpacking *unpacking)
{
	ssize_t n;

	do
		n = read(unpacking->fd, unpacking->chunk, sizeof(unpacking->chunk));
	while (n < 0 && errno == EINTR);
	if (n > 0 && digest_add(unpacking->digest, unpacking->chunk, (size_t)n, NULL) < 0) {
		errno = EIO;
		return -1;
	}
	return n;
}

static la_ssize_t on_read(struct archive *archive, void *userdata, const void **ret_data)
{
	struct unpacking *unpacking = userdata;
	ssize_t n = read_chunk(unpacking);

	if (n < 0)
		archive_set_error(archive, errno, "%s", strerror(errno));
	*ret_data = unpacking->chunk;
	return n;
}

/* With what stands behind the archive's end. */
static int end_digest(struct unpacking *unpacking, struct caisson_error *err)
{
	ssize_t n;

	do
		n = read_chunk(unpacking);
	while (n > 0);
	if (n < 0)
		return caisson_fail(err, errno, "read %s", unpacking->what);
	return digest_hex(unpacking->digest, unpacking->done.sha256, err);
}

/* Without following any link, and never out of @root. */
static int open_inside(int root, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC,
		.resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

static int refuse_path(const struct unpacking *unpacking, const char *path, const char *why,
	struct caisson_error *err)
{
	return caisson_refuse(err, EBADMSG, "%s holds %.200s, %s", unpacking->what, path, why);
}

static bool is_dots(const char *part, size_t length)
{
	return (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.');
}

/* An entry's path without the folder at the top; "" is that folder itself. */
static int strip_top(struct unpacking *unpacking, const char *path, const char **ret_rest,
	struct caisson_error *err)
{
	const char *all = path, *rest;
	size_t length;

	if (path[0] == '/')
		return refuse_path(unpacking, all, "whose path is absolute", err);
	while (path[0] == '.' && path[1] == '/')
		path += 2 + strspn(path + 2, "/");
	if (strcmp(path, ".") == 0)
		path = "";
	if (strlen(path) >= PATH_MAX)
		return refuse_path(unpacking, all, "whose path is too long", err);
	for (const char *part = path; *part != '\0'; part += length + (part[length] == '/')) {
		length = strcspn(part, "/");
		if (is_dots(part, length) || (length == 0 && part[0] == '/'))
			return refuse_path(
				unpacking, all, "which could lead out of its folder", err);
	}
	length = strcspn(path, "/");
	if (unpacking->top == NULL) {
		unpacking->top = strndup(path, length);
		if (unpacking->top == NULL)
			return out_of_memory(unpacking, err);
	}
	if (unpacking->top[0] == '\0') {
		*ret_rest = path;
		return 0;
	}
	if (strlen(unpacking->top) != length || memcmp(unpacking->top, path, length) != 0)
		return refuse_path(
			unpacking, all, "which is not in the folder of all the rest", err);
	rest = path + length;
	*ret_rest = rest + strspn(rest, "/");
	return 0;
}

/* Opens the folder @path below the root, and makes what is missing of it. */
static int open_folder(struct unpacking *unpacking, const char *path, struct caisson_error *err)
{
	_cleanup_free_ char *copy = strdup(path);
	int fd;

	if (copy == NULL)
		return out_of_memory(unpacking, err);
	for (char *slash = copy;; slash++) {
		slash = strchrnul(slash, '/');
		bool last = *slash == '\0';

		*slash = '\0';
		if (copy[0] != '\0' && mkdirat(unpacking->root, copy, 0755) < 0 && errno != EEXIST)
			return caisson_fail(err, errno, "create the folder %s", copy);
		fd = open_inside(unpacking->root, copy[0] != '\0' ? copy : ".",
			O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
		if (fd < 0 && (errno == ELOOP || errno == ENOTDIR || errno == EXDEV))
			return refuse_path(unpacking, path, "where there is a link or a file", err);
		if (fd < 0)
			return caisson_fail(err, errno, "open the folder %s", copy);
		if (last)
			return fd;
		close(fd);
		*slash = '/';
	}
}

/* unpacking->parent_fd is the folder that @path stands in; *ret_name its last part. */
static int enter_parent(struct unpacking *unpacking, const char *path, const char **ret_name,
	struct caisson_error *err)
{
	const char *slash = strrchr(path, '/');
	size_t length = slash != NULL ? (size_t)(slash - path) : 0;

	*ret_name = slash != NULL ? slash + 1 : path;
	if (unpacking->parent != NULL && strlen(unpacking->parent) == length &&
		memcmp(unpacking->parent, path, length) == 0)
		return 0;
	closep(&unpacking->parent_fd);
	unpacking->parent_fd = -1;
	free(unpacking->parent);
	unpacking->parent = strndup(path, length);
	if (unpacking->parent == NULL)
		return out_of_memory(unpacking, err);
	unpacking->parent_fd = open_folder(unpacking, unpacking->parent, err);
	return unpacking->parent_fd < 0 ? unpacking->parent_fd : 0;
}

static int add_size(
	struct unpacking *unpacking, const char *path, uint64_t size, struct caisson_error *err)
{
	if (size > SIZE_MOST - unpacking->done.size)
		return refuse_path(unpacking, path, "and more than a kernel's source has", err);
	unpacking->done.size += size;
	return 0;
}

static int write_file(
	struct unpacking *unpacking, const char *path, int fd, struct caisson_error *err)
{
	uint64_t end = 0;

	for (;;) {
		const void *block = NULL;
		la_int64_t offset = 0;
		size_t size = 0;
		int r = archive_read_data_block(unpacking->archive, &block, &size, &offset);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK)
			return unpack_damaged(unpacking->archive, unpacking->what, err);
		if (offset < 0 || (uint64_t)offset < end || (uint64_t)offset > FILE_MOST ||
			size > FILE_MOST)
			return refuse_path(unpacking, path, "which is too large", err);
		r = add_size(unpacking, path, size, err);
		if (r == 0)
			r = pwrite_all(fd, block, size, (uint64_t)offset, path, err);
		if (r < 0)
			return r;
		end = (uint64_t)offset + size;
	}
}

/* make(1) compares times: they stay, but for those to come. */
static void set_time(int fd, time_t time_of_entry)
{
	time_t now = time(NULL);
	struct timespec times[2];

	times[0].tv_sec = times[1].tv_sec = MIN(time_of_entry, now);
	times[0].tv_nsec = times[1].tv_nsec = 0;
	(void)futimens(fd, times);
}

static int add_file(struct unpacking *unpacking, struct archive_entry *entry, const char *path,
	const char *name, struct caisson_error *err)
{
	mode_t mode = (archive_entry_perm(entry) & 0100) != 0 ? 0755 : 0644;
	_cleanup_close_ int fd = openat(unpacking->parent_fd, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	int r;

	if (fd < 0 && errno == EEXIST)
		return refuse_path(unpacking, path, "twice", err);
	if (fd < 0)
		return caisson_fail(err, errno, "create %s", path);
	r = write_file(unpacking, path, fd, err);
	if (r < 0)
		return r;
	set_time(fd, archive_entry_mtime(entry));
	return 0;
}

/* Where they lead is looked at when all is there: see check_links(). */
static int add_symlink(struct unpacking *unpacking, const char *target, const char *path,
	const char *name, struct caisson_error *err)
{
	if (unpacking->links.count >= LINKS_MOST)
		return refuse_path(
			unpacking, path, "and more links than a kernel's source has", err);
	if (target == NULL || symlinkat(target, unpacking->parent_fd, name) < 0) {
		if (target != NULL && errno == EEXIST)
			return refuse_path(unpacking, path, "twice", err);
		return caisson_fail(err, target != NULL ? errno : EBADMSG, "create %s", path);
	}
	strv_add(&unpacking->links, path);
	return strv_ok(&unpacking->links) ? 0 : out_of_memory(unpacking, err);
}

/* A second name of a file that came before. */
static int add_hardlink(struct unpacking *unpacking, const char *target, const char *path,
	const char *name, struct caisson_error *err)
{
	_cleanup_close_ int fd = -1;
	const char *rest;
	char by_fd[32];
	struct stat st;
	int r = strip_top(unpacking, target, &rest, err);

	if (r < 0)
		return r;
	fd = open_inside(
		unpacking->root, rest[0] != '\0' ? rest : ".", O_PATH, RESOLVE_NO_SYMLINKS);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return refuse_path(unpacking, path, "a link to what is no file of it", err);
	snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, by_fd, unpacking->parent_fd, name, AT_SYMLINK_FOLLOW) < 0)
		return caisson_fail(err, errno, "create %s", path);
	return 0;
}

static int add_entry(
	struct unpacking *unpacking, struct archive_entry *entry, struct caisson_error *err)
{
	const char *full = archive_entry_pathname(entry);
	const char *path, *name;
	int r;

	if (full == NULL)
		return caisson_refuse(
			err, EBADMSG, "%s holds a file without a name", unpacking->what);
	if (++unpacking->done.entries > ENTRIES_MOST)
		return refuse_path(
			unpacking, full, "and more files than a kernel's source has", err);
	r = strip_top(unpacking, full, &path, err);
	if (r < 0)
		return r;
	if (path[0] == '\0' || archive_entry_filetype(entry) == AE_IFDIR) {
		_cleanup_close_ int folder = -1;
		size_t length = strlen(path);
		_cleanup_free_ char *bare =
			strndup(path, length - (length > 0 && path[length - 1] == '/'));

		if (path[0] == '\0' && archive_entry_filetype(entry) != AE_IFDIR)
			return refuse_path(
				unpacking, full, "a file where its top folder should be", err);
		if (bare == NULL)
			return out_of_memory(unpacking, err);
		folder = open_folder(unpacking, bare, err);
		return folder < 0 ? folder : 0;
	}
	if (path[strlen(path) - 1] == '/')
		return refuse_path(unpacking, full, "which is no folder", err);
	r = enter_parent(unpacking, path, &name, err);
	if (r < 0)
		return r;
	if (archive_entry_hardlink(entry) != NULL)
		return add_hardlink(unpacking, archive_entry_hardlink(entry), path, name, err);
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return add_file(unpacking, entry, path, name, err);
	case AE_IFLNK:
		return add_symlink(unpacking, archive_entry_symlink(entry), path, name, err);
	default:
		return refuse_path(unpacking, full, "which is neither file, folder nor link", err);
	}
}

/* A chain of links may lead out although no single one does: the kernel itself is asked. A link to
   what is not there does no harm as long as it stays inside. */
static int check_links(struct unpacking *unpacking, struct caisson_error *err)
{
	for (size_t i = 0; i < unpacking->links.count; i++) {
		const char *path = unpacking->links.items[i];
		_cleanup_close_ int fd = open_inside(unpacking->root, path, O_PATH, 0);

		if (fd < 0 && errno != ENOENT)
			return refuse_path(
				unpacking, path, "a link that leads out of it, or nowhere", err);
	}
	return 0;
}

static int unpack_entries(struct unpacking *unpacking, struct caisson_error *err)
{
	struct archive_entry *entry;
	int r;

	while ((r = archive_read_next_header(unpacking->archive, &entry)) == ARCHIVE_OK ||
		r == ARCHIVE_WARN) {
		r = add_entry(unpacking, entry, err);
		if (r < 0)
			return r;
		if (unpacking->done.entries % 64 == 0)
			kbuild_bytes(unpacking->watch,
				(uint64_t)archive_filter_bytes(unpacking->archive, -1),
				unpacking->input);
	}
	if (r != ARCHIVE_EOF)
		return unpack_damaged(unpacking->archive, unpacking->what, err);
	if (unpacking->done.entries == 0)
		return caisson_refuse(err, EBADMSG, "%s holds no files", unpacking->what);
	return check_links(unpacking, err);
}

static int run(struct unpacking *unpacking, struct caisson_error *err)
{
	struct stat st;
	int r;

	if (fstat(unpacking->fd, &st) < 0 || lseek(unpacking->fd, 0, SEEK_SET) < 0)
		return caisson_fail(err, errno, "read %s", unpacking->what);
	unpacking->input = (uint64_t)st.st_size;
	r = digest_new(&unpacking->digest, err);
	if (r < 0)
		return r;
	unpacking->archive = archive_read_new();
	if (unpacking->archive == NULL || !uncompress_filters(unpacking->archive) ||
		archive_read_support_format_tar(unpacking->archive) != ARCHIVE_OK)
		return out_of_memory(unpacking, err);
	if (archive_read_open(unpacking->archive, unpacking, NULL, on_read, NULL) != ARCHIVE_OK)
		return unpack_damaged(unpacking->archive, unpacking->what, err);
	r = unpack_entries(unpacking, err);
	if (r == -ENOSPC || r == -EDQUOT)
		return caisson_wrap(err, "unpack %s", unpacking->what);
	return r == 0 ? end_digest(unpacking, err) : r;
}

int unpack_source(int fd, const char *what, int root, const struct kbuild_watch *watch,
	struct unpacked *ret_unpacked, struct caisson_error *err)
{
	struct unpacking *unpacking = calloc(1, sizeof(*unpacking));
	int r;

	if (unpacking == NULL)
		return caisson_fail(err, ENOMEM, "unpack %s", what);
	unpacking->what = what;
	unpacking->fd = fd;
	unpacking->root = root;
	unpacking->parent_fd = -1;
	unpacking->watch = watch;
	r = run(unpacking, err);
	if (r == 0)
		*ret_unpacked = unpacking->done;
	unpacking_done(unpacking);
	free(unpacking);
	return r;
}
