/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a folder holds and will hold: each name looked at once, with what is planned laid over it.
 * Paths are resolved in this model as inside a chroot, so that no link of a stranger's folder leads
 * outside; what comes out is a node, whose path has no link in it. Work on the disk is done by
 * nodes alone, folder by folder and without following a link: one that appears meanwhile is an
 * error. Without a folder (an archive) nothing is there but what is planned.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"
#include "base/macros.h"

enum view_kind {
	VIEW_NOTHING,
	VIEW_FOLDER,
	VIEW_SYMLINK,
	VIEW_FILE,
	VIEW_OTHER, /* device, FIFO, socket */
};

struct plan_file;

struct view_node {
	struct view_node *parent; /* the top is its own */
	struct view_node *children, *next;
	char *name;
	enum view_kind kind;  /* when all is written */
	enum view_kind found; /* now */
	char *target;         /* of a symlink, as @kind says */
	char *found_target;
	mode_t mode; /* what was found, as the rest below; permission bits */
	uint64_t size;
	dev_t device;
	ino_t inode;
	char sha256[DIGEST_HEX_SIZE]; /* "" until view_digest() */
	struct plan_file *file;       /* planned here */
	bool made;                    /* a folder of ours */
};

enum { VIEW_LINKS_MOST = 40 }; /* followed in one path, as in the kernel */

struct view {
	int fd; /* borrowed; -1: of an archive */
	struct view_node *top;
	size_t count;
	/* The folder that was opened last. */
	struct view_node *last;
	int last_fd;
	/* The links that were followed last, in their order. */
	struct view_node *trail[VIEW_LINKS_MOST];
	size_t trail_count;
};

int view_open(struct view *ret_view, int fd, struct caisson_error *err);
/* The node at @path, seen from the top; the folders in between need not be there. The last link is
   followed with @follow. -ELOOP, -ENOTDIR, and what lstat() may fail with. Says nothing. */
int view_resolve(struct view *view, const char *path, bool follow, struct view_node **ret_node);
/* The same, seen from the folder that @from stands in: where a link there would lead. */
int view_resolve_from(
	struct view *view, struct view_node *from, const char *target, struct view_node **ret_node);
/* Plans folders for everything above @node. */
void view_plan_parents(struct view_node *node);
/* SHA-256 of the file that was found. -EEXIST when it is another by now. */
int view_digest(struct view *view, struct view_node *node, struct caisson_error *err);
/* Opens the file that was found. Returns the descriptor. */
int view_open_file(struct view *view, struct view_node *node, struct caisson_error *err);
/* The folder that is on the disk; borrowed until the next call. */
int view_folder(struct view *view, struct view_node *node, struct caisson_error *err);
/* Absolute, inside the folder; owned by the caller, NULL when memory runs out. */
char *view_path(const struct view_node *node);
/* What a link at @from has to say to lead to @to. The same. */
char *view_relative(const struct view_node *from, const struct view_node *to);
void view_done(struct view *view);

#define _cleanup_view_ _cleanup_(view_done)
