/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <sys/types.h>

/* A name of a volume or a machine: 1 to 63 of [a-z0-9_.-], starting with a letter or a digit. It is
   a file name, a host name and a device-mapper name at once, and can never be "..", hidden or an
   option. */
bool name_valid(const char *name);
int name_check(const char *what, const char *name, struct caisson_error *err);

/* @a and @b with one slash between; owned by the caller, NULL when memory runs out. */
char *path_join(const char *a, const char *b);
/* The part behind the last slash; points into @path. */
const char *path_base(const char *path);
/* The folder that the last part of @path stands in: "." when there is no slash. Owned by the
 * caller. */
char *path_parent(const char *path);
/* mkdir -p; existing folders keep their mode. */
int make_directories(const char *path, mode_t mode, struct caisson_error *err);
/* The same; those that are made are on the disk, for what is to be kept in them. */
int make_directories_durably(const char *path, mode_t mode, struct caisson_error *err);
/* rm -rf that never follows a link nor leaves the filesystem; what is gone already is fine. */
int remove_tree(const char *path, struct caisson_error *err);
