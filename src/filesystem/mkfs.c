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
#define LABEL_MOST      16
#define ERRORS_MOST     4096

int mkfs_start(struct mkfs *ret_mkfs, uint64_t size, const char *label, struct caisson_error *err)
{
	struct process_options options = PROCESS_OPTIONS_INIT;
	_cleanup_mkfs_ struct mkfs mkfs = {.image = -1, .errors = -1, .size = size};
	char path[32], name[LABEL_MOST + 1];
	const char *const argv[] = {"mke2fs", "-q", "-F", "-t", "ext4", "-b", BLOCK_SIZE_TEXT, "-I",
		"256", "-m", "0", "-O", FEATURES, "-E", EXTENDED, "-L", name, path, NULL};

	mkfs.image = memfd_create("filesystem", MFD_CLOEXEC);
	mkfs.errors = memfd_create("mke2fs-errors", MFD_CLOEXEC);
	if (mkfs.image < 0 || mkfs.errors < 0 || ftruncate(mkfs.image, (off_t)size) < 0)
		return caisson_fail(err, errno, "make room in memory for a filesystem");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", mkfs.image);
	snprintf(name, sizeof(name), "%s", label);

	options.stderr_fd = mkfs.errors;
	options.keep_fds = &mkfs.image;
	options.keep_count = 1;
	mkfs.pid = process_start(argv, &options, err);
	if (mkfs.pid < 0)
		return mkfs.pid == -ENOENT ? caisson_hint(err, "install the package e2fsprogs")
					   : (int)mkfs.pid;
	*ret_mkfs = mkfs;
	mkfs = MKFS_NONE;
	return 0;
}

int mkfs_wait(struct mkfs *mkfs, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf errors = STRBUF_INIT;
	int status, r = process_wait(mkfs->pid, &status, err);
	char *line;

	if (r < 0)
		return r;
	mkfs->pid = 0;
	if (status == 0)
		return 0;
	if (lseek(mkfs->errors, 0, SEEK_SET) < 0 ||
		read_to_end(mkfs->errors, ERRORS_MOST, "mke2fs's errors", &errors, NULL) < 0 ||
		errors.size == 0)
		return caisson_refuse(err, EIO, "mke2fs ended with status %d", status);
	while (errors.size > 0 && errors.data[errors.size - 1] == '\n')
		errors.data[--errors.size] = '\0';
	line = strrchr(errors.data, '\n');
	return caisson_refuse(err, EIO, "mke2fs ended with status %d: %s", status,
		line != NULL ? line + 1 : errors.data);
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
	int r = blocks_of_file(mkfs->image, mkfs->size, true, "the new filesystem", &blocks, err);

	return r < 0 ? r : ext_extents(blocks, ret_extents, err);
}
