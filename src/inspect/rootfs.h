/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The root filesystem that the kernel makes of a boot archive, in memory: what do_name() and
 * do_symlink() of its init/initramfs.c leave behind. Later entries take the place of earlier ones,
 * folders are never made unasked, links in a path are followed, and nothing is above the root.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"
#include "boot/cpio.h"
#include "inspect/member.h"

enum {
	ROOTFS_ENTRIES_MOST = 1 << 20,
	ROOTFS_PROBLEMS_MOST = 1000,
};

/* An inode. */
struct rootfs_file {
	mode_t mode;
	uint32_t uid, gid, mtime;
	uint32_t major, minor; /* of a device */
	const uint8_t *data;   /* of a file, or a link's target (without a NUL) */
	uint32_t size;
	uint32_t links;
	size_t member; /* of which its contents come */
};

/* A name; for rootfs.c alone. */
struct rootfs_node {
	const char *name;
	size_t name_size, parent, file, next;
	size_t path_size; /* bytes of the path, no NUL */
	uint32_t children;
	bool gone, builtin;
};

struct rootfs_entry {
	char *path; /* without a leading slash */
	size_t file;
};

/* What the kernel would drop, or another program trip over. */
struct rootfs_problem {
	char *path; /* as the archive has it */
	const char *why;
};

struct rootfs {
	struct members members;
	/* After rootfs_finish(): every name, sorted; the root itself is not among them. */
	struct rootfs_entry *entries;
	size_t count;
	struct rootfs_file *files;
	size_t file_count, file_capacity;
	struct rootfs_problem *problems;
	size_t problem_count;

	struct rootfs_node *nodes;
	size_t node_count, node_capacity;
	size_t *buckets;
	struct rootfs_link {
		uint32_t major, minor, inode;
		mode_t mode;
		size_t file, next;
	} * links;
	size_t link_count, link_capacity;
	size_t *link_buckets;
	uint64_t steps, path_bytes;
};

#define ROOTFS_NONE ((struct rootfs){0})

/* An empty root, as the kernel's built-in archive makes it. */
int rootfs_new(struct rootfs *ret_root, struct caisson_error *err);
/* One archive behind the other out of @member, whose data has to outlive @root. */
int rootfs_add_member(struct rootfs *root, const struct member *member, size_t index,
	const char *what, struct caisson_error *err);
/* Fills in the sorted entries. */
int rootfs_finish(struct rootfs *root, struct caisson_error *err);
/* All of the above for the archive in @fd. */
int rootfs_open(int fd, const char *what, struct rootfs *ret_root, struct caisson_error *err);
/* The entry with this very path, NULL when there is none. */
const struct rootfs_entry *rootfs_entry(const struct rootfs *root, const char *path);
/* What a path leads to, every link followed; NULL when it leads nowhere. */
const struct rootfs_file *rootfs_resolve(struct rootfs *root, const char *path);
/* The path of the entry that @path names, links in its folders followed and its last part not;
   owned by the caller. NULL when there is none. */
char *rootfs_real(struct rootfs *root, const char *path);
void rootfs_done(struct rootfs *root);

#define _cleanup_rootfs_ _cleanup_(rootfs_done)
