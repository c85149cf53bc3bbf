/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What will stand in an archive: added in any order, then completed with the folders above, led
 * through the links that stand in it (a module for /lib/modules goes to usr/lib/modules where /lib
 * is a link), and sorted by path.
 */
#pragma once

#include <caisson/error.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"
#include "boot/cpio.h"

enum archive_kind {
	ARCHIVE_DIRECTORY,
	ARCHIVE_SYMLINK,
	ARCHIVE_DEVICE,
	ARCHIVE_FILE,   /* read from @source */
	ARCHIVE_MODULE, /* the same, uncompressed and without debug sections */
	ARCHIVE_DATA,   /* @source itself */
};

struct archive_entry {
	char *path; /* in the archive, without a leading slash */
	enum archive_kind kind;
	mode_t mode;
	char *source; /* a file's path on this machine, a link's target, or text */
	size_t size;  /* of ARCHIVE_DATA, bytes */
	dev_t device;
	char *by;  /* the entry that wants it, by its path as it was added; NULL: none of them */
	char *why; /* NULL: not told */
};

struct archive {
	struct archive_entry *entries;
	size_t count, capacity;
};

#define ARCHIVE_INIT ((struct archive){NULL, 0, 0})

/* @path may start with a slash. @source is copied; NULL for folders and devices. */
int archive_add(struct archive *archive, const char *path, enum archive_kind kind, mode_t mode,
	const char *source, dev_t device, struct caisson_error *err);
int archive_add_data(struct archive *archive, const char *path, mode_t mode, const void *data,
	size_t size, struct caisson_error *err);
/* Says of what was added last who wants it and why; either may be NULL. */
int archive_explain(
	struct archive *archive, const char *by, const char *why, struct caisson_error *err);
/* Sorted, whole and without doubles; -EEXIST when two things want one path. */
int archive_complete(struct archive *archive, struct caisson_error *err);
/* The whole archive, with its trailer; every entry has the time @time. What is one file here under
   several names is one there too. */
int archive_write(
	const struct archive *archive, uint32_t time, struct sink sink, struct caisson_error *err);
void archive_done(struct archive *archive);

#define _cleanup_archive_ _cleanup_(archive_done)
