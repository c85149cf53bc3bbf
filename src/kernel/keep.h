/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What folders of the state directory that hold prepared things (kernels, boot archives) have in
 * common. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/staging.h"
#include "base/strbuf.h"

/*
 * One builder at a time: whoever waited looks again and finds what the other one has built. The
 * lock is on the folder itself, so that it leaves nothing behind; closing @ret_fd gives it back.
 */
int keep_lock(const char *folder, int *ret_fd, struct caisson_error *err);
/* Publishes under @name in the place of what is there: older, damaged, or the same. Locked folders
 * only. */
int keep_publish(struct staging *staging, const char *name, struct caisson_error *err);
/* The same for what is made anew after the host's next start. */
int keep_publish_unsynced(struct staging *staging, const char *name, struct caisson_error *err);
/* Appends what tells one state of a file from another without reading it: device, inode, size,
   mtime, and ctime if asked. (Hard links to a file change its ctime and not its contents.) */
void keep_identity(struct strbuf *text, const struct stat *st, bool with_ctime);

/*
 * Indexes: what was found out about a file, without reading it again. An index is a small file
 * beside what is kept, named by the input's path and identity; it holds the name and identity of
 * what was made of it, or "none".
 *
 * @kind tells the uses apart: "pvh 1".
 */
int keep_index_name(const char *kind, const char *path, const struct stat *st, char **ret_name,
	struct caisson_error *err);
/* 1 when the index is there and what it names (SHA256@suffix) is whole: its path, or NULL for
   "none"; else 0. */
int keep_index_find(const char *folder, const char *index, const char *suffix, char **ret_path);
/* @name: of the kept file, which is there; NULL for "none". */
int keep_index_write(
	const char *folder, const char *index, const char *name, struct caisson_error *err);
