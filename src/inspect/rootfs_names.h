/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The names of a root in memory, and the way from a path to one. For rootfs.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "inspect/rootfs.h"

#define ROOTFS_NOTHING SIZE_MAX

/* Where a path leads, its last part not followed. */
struct place {
	size_t parent;
	const char *name; /* points into the archive */
	size_t name_size; /* 0: the parent itself (the root, ".", "..") */
	size_t node;      /* what is there; ROOTFS_NOTHING */
};

int rootfs_names_init(struct rootfs *root);
/* -ENOENT or -ENOTDIR when a folder on the way is not there, -ELOOP, -ENAMETOOLONG; -EISDIR for a
   trailing slash when @folder is false; -E2BIG when all paths together took too long. */
int rootfs_place(struct rootfs *root, const char *path, bool folder, struct place *ret_place);
/* From a symbolic link to the place that it names. */
int rootfs_place_link(struct rootfs *root, struct place *place);
int rootfs_new_file(struct rootfs *root, size_t *ret_file);
/* Gives @file the name at @place, where nothing may be yet. */
int rootfs_link(struct rootfs *root, struct place *place, size_t file);
void rootfs_unlink(struct rootfs *root, size_t node);
/* Owned by the caller; NULL when memory runs out. */
char *rootfs_path(const struct rootfs *root, size_t node);
