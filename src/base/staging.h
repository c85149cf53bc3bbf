/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How anything comes into the state directory: whole, or not at all.
 *
 * A file or folder is made under a hidden name (".new-XXXXXX") that its maker holds a lock on, and
 * is renamed to its own name when it is complete and on disk. A maker that is killed leaves a
 * hidden name without a lock, which staging_sweep() removes: the next command calls it.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>

#include "base/macros.h"

struct staging {
	char *parent; /* folder that the result will stand in */
	char *path;   /* of the hidden file or folder */
	int fd;       /* open on it, and holding the lock */
};

#define STAGING_NONE ((struct staging){NULL, NULL, -1})

int staging_directory(struct staging *ret_staging, const char *parent, struct caisson_error *err);
int staging_file(struct staging *ret_staging, const char *parent, struct caisson_error *err);
/* A file without a name, for folders that nobody sweeps: it is gone with its maker. With a hidden
   name where the file system knows no other way. */
int staging_unnamed(struct staging *ret_staging, const char *parent, struct caisson_error *err);
/*
 * Syncs and renames to @parent/@name. -EEXIST when that exists already (and nothing is changed).
 * A published folder keeps its lock until staging_done(), files too.
 */
int staging_publish(struct staging *staging, const char *name, struct caisson_error *err);
/* The same, in the place of what is called so already. */
int staging_replace(struct staging *staging, const char *name, struct caisson_error *err);
/* The same for what has no worth after the host's next start, and is not synced. */
int staging_publish_unsynced(struct staging *staging, const char *name, struct caisson_error *err);
/* Removes what was not published. */
void staging_done(struct staging *staging);
/* Removes what dead makers left in @parent. Never fails: what cannot be removed stays. */
void staging_sweep(const char *parent);

#define _cleanup_staging_ _cleanup_(staging_done)
