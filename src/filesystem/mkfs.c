/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filesystem/mkfs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "base/process.h"
#include "filesystem/ext.h"

/*
 * Written out, so that a volume is the same whatever /etc/mke2fs.conf says on this host: what
 * mke2fs 1.46 and 1.47 make by default, which every kernel since 4.5 mounts.
 */
#define FEATURES \
	"none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg," \
	"sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum"
/* 4096: no smaller than dm-crypt's sector. No blocks kept for root: as a rule the workload is root,
   and its volume is not what the system runs on. */
#define BLOCK_SIZE_TEXT "4096"
#define EXTENDED        "nodiscard,lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0"
#define EXT4_LABEL_MOST 16
#define XFS_LABEL_MOST  12
#define LABEL_MOST      256
#define ERRORS_MOST     4096
#define SECONDS_MOST    600 /* into memory or, on a device, hardly more than a log */
/* mkfs.xfs writes the whole log, which here is memory; it would be 2 GiB for a large volume. */
#define XFS_LOG       "size=64m"
#define XFS_LARGE_LOG "size=256m"
#define XFS_LARGE     (UINT64_C(64) << 30)

static pid_t start(
	struct mkfs *mkfs, const char *const argv[], const char *package, struct caisson_error *err)
{
	struct process_options options = PROCESS_OPTIONS_INIT;
	pid_t pid;

	options.stderr_fd = mkfs->errors;
	options.keep_fds = &mkfs->image;
	options.keep_count = mkfs->image >= 0 ? 1 : 0;
	pid = process_start(argv, &options, err);
	return pid == -ENOENT ? caisson_hint(err, "install the package %s", package) : pid;
}

static pid_t start_kind(
	struct mkfs *mkfs, const char *path, const char *label, struct caisson_error *err)
{
	char name[LABEL_MOST], inodes[32];
	const char *const ext4[] = {"mke2fs", "-q", "-F", "-t", "ext4", "-b", BLOCK_SIZE_TEXT, "-I",
		"256", "-m", "0", "-O", FEATURES, "-E", EXTENDED, "-L", name,
		mkfs->inodes > 0 ? "-N" : path, mkfs->inodes > 0 ? inodes : NULL, path, NULL};
	const char *const xfs[] = {"mkfs.xfs", "-q", "-f", "-K", "-b", "size=" BLOCK_SIZE_TEXT,
		"-s", "size=" BLOCK_SIZE_TEXT, "-l",
		mkfs->size < XFS_LARGE ? XFS_LOG : XFS_LARGE_LOG, "-L", name, path, NULL};
	const char *const btrfs[] = {
		"mkfs.btrfs", "-q", "-f", "-K", "-s", BLOCK_SIZE_TEXT, "-L", name, path, NULL};

	if (strcmp(mkfs->kind, "xfs") == 0) {
		snprintf(name, XFS_LABEL_MOST + 1, "%s", label);
		return start(mkfs, xfs, "xfsprogs", err);
	}
	if (strcmp(mkfs->kind, "btrfs") == 0) {
		snprintf(name, sizeof(name), "%s", label);
		return start(mkfs, btrfs, "btrfs-progs", err);
	}
	snprintf(name, EXT4_LABEL_MOST + 1, "%s", label);
	snprintf(inodes, sizeof(inodes), "%llu", (unsigned long long)mkfs->inodes);
	return start(mkfs, ext4, "e2fsprogs", err);
}

int mkfs_start(struct mkfs *ret_mkfs, const char *kind, uint64_t size, uint64_t inodes,
	const char *label, struct caisson_error *err)
{
	_cleanup_mkfs_ struct mkfs mkfs = {
		.image = -1, .errors = -1, .size = size, .inodes = inodes};
	char path[32];

	snprintf(mkfs.kind, sizeof(mkfs.kind), "%s", kind);
	mkfs.image = memfd_create("filesystem", MFD_CLOEXEC);
	mkfs.errors = memfd_create("mkfs-errors", MFD_CLOEXEC);
	if (mkfs.image < 0 || mkfs.errors < 0 || ftruncate(mkfs.image, (off_t)size) < 0)
		return caisson_fail(err, errno, "make room in memory for a filesystem");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", mkfs.image);
	mkfs.pid = start_kind(&mkfs, path, label, err);
	if (mkfs.pid < 0)
		return (int)mkfs.pid;
	*ret_mkfs = mkfs;
	mkfs = MKFS_NONE;
	return 0;
}

int mkfs_wait(struct mkfs *mkfs, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf errors = STRBUF_INIT;
	char *line, what[32];
	int status, r;

	snprintf(what, sizeof(what), "mkfs (%s)", mkfs->kind);
	r = process_wait_for(mkfs->pid, what, SECONDS_MOST, &status, err);
	mkfs->pid = 0;
	if (r < 0)
		return r;
	if (status == 0)
		return 0;
	if (lseek(mkfs->errors, 0, SEEK_SET) < 0 ||
		read_to_end(mkfs->errors, ERRORS_MOST, "mkfs's errors", &errors, NULL) < 0 ||
		errors.size == 0)
		return caisson_refuse(err, EIO, "%s ended with status %d", what, status);
	while (errors.size > 0 && errors.data[errors.size - 1] == '\n')
		errors.data[--errors.size] = '\0';
	line = strrchr(errors.data, '\n');
	return caisson_refuse(err, EIO, "%s ended with status %d: %s", what, status,
		line != NULL ? line + 1 : errors.data);
}

int mkfs_device(const char *path, const char *kind, uint64_t size, const char *label,
	struct caisson_error *err)
{
	_cleanup_mkfs_ struct mkfs mkfs = {.image = -1, .errors = -1, .size = size};

	snprintf(mkfs.kind, sizeof(mkfs.kind), "%s", kind);
	mkfs.errors = memfd_create("mkfs-errors", MFD_CLOEXEC);
	if (mkfs.errors < 0)
		return caisson_fail(err, errno, "make room for what mkfs says");
	mkfs.pid = start_kind(&mkfs, path, label, err);
	return mkfs.pid < 0 ? (int)mkfs.pid : mkfs_wait(&mkfs, err);
}

void mkfs_done(struct mkfs *mkfs)
{
	process_kill(mkfs->pid);
	closep(&mkfs->image);
	closep(&mkfs->errors);
	*mkfs = MKFS_NONE;
}

int mkfs_extents(const struct mkfs *mkfs, struct extents *ret_extents, struct caisson_error *err)
{
	_cleanup_blocks_ struct blocks *blocks = NULL;
	int r;

	/* What mkfs left a hole it did not write, and could not rely on, had it been a device. */
	if (strcmp(mkfs->kind, "ext4") != 0)
		return extents_of_data(mkfs->image, 0, mkfs->size, ret_extents, err);
	r = blocks_of_file(mkfs->image, mkfs->size, true, "the new filesystem", &blocks, err);

	return r < 0 ? r : ext_extents(blocks, ret_extents, err);
}
