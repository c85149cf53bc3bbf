/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The names of a filesystem that is being filled: a tree in memory, from which folders are written
   at the end. */
#pragma once

#include <caisson/error.h>
#include <stdint.h>

#include "base/macros.h"

#define FILL_NONE       UINT32_MAX
#define FILL_ROOT       0u
#define FILL_NAME_MOST  255u
#define FILL_PATH_MOST  65536u
#define FILL_LINKS_MOST 40u

/* One name; a file with several links has several. */
struct fill_name {
	uint64_t text; /* where it stands in the heap of names */
	uint32_t inode;
	uint32_t parent, first, next; /* @first of its own, @next to it in @parent */
	uint32_t bucket_next;
	uint32_t folders;     /* how many of a folder's names are folders */
	uint8_t length, type; /* EXT2_FT_... */
};

struct fill_names;

/* There is a root, inode @root. */
int fill_names_new(uint32_t root, struct fill_names **ret_names, struct caisson_error *err);
void fill_names_free(struct fill_names *names);
DEFINE_CLEANUP(struct fill_names *, fill_names_free);
uint32_t fill_names_count(const struct fill_names *names);
/* Bytes that all names take in directory blocks. */
uint64_t fill_names_bytes(const struct fill_names *names);
/* How many folders there are. */
uint32_t fill_names_folders(const struct fill_names *names);
/* Valid until the next name is added. */
const struct fill_name *fill_names_get(const struct fill_names *names, uint32_t index);
const char *fill_names_text(const struct fill_names *names, uint32_t index);
/* FILL_NONE when there is none. */
uint32_t fill_names_find(
	const struct fill_names *names, uint32_t parent, const char *text, size_t length);
int fill_names_add(struct fill_names *names, uint32_t parent, const char *text, size_t length,
	uint32_t inode, uint8_t type, uint32_t *ret_index, struct caisson_error *err);
/* Another file by a name that has none below it. */
void fill_names_replace(struct fill_names *names, uint32_t index, uint32_t inode, uint8_t type);

/* What a path is followed with. */
struct fill_walk {
	struct fill_names *names;
	/* A missing folder's name: makes it. NULL: -ENOENT. */
	int (*make)(struct fill_walk *walk, uint32_t parent, const char *text, size_t length,
		uint32_t *ret_index, struct caisson_error *err);
	/* What the symbolic link says, owned by the caller. */
	int (*link)(struct fill_walk *walk, uint32_t index, char **ret_target,
		struct caisson_error *err);
	void *userdata;
};

/*
 * Follows all of @path but its last part, from the root, through symbolic links, never above the
 * root. "/", "." and empty parts are nothing; ".." in @path itself is refused (-EBADMSG).
 * @ret_name points into @path and ends after @ret_length bytes; 0: @path is the root itself.
 */
int fill_walk_path(struct fill_walk *walk, const char *path, uint32_t *ret_parent,
	const char **ret_name, size_t *ret_length, struct caisson_error *err);
