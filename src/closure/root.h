/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A root folder and what is in it, each name looked at once: a tree of nodes, in which paths are
 * resolved as inside a chroot. Absolute links and ".." stay within, every link that was followed is
 * told, and only regular files are ever opened.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/strbuf.h"
#include "closure/table.h"

enum {
	ROOT_LINKS_MOST = 40, /* followed in one path, as in the kernel */
};

struct object;

enum node_kind {
	NODE_MISSING, /* or out of reach: @error says */
	NODE_FOLDER,
	NODE_SYMLINK,
	NODE_FILE,
	NODE_OTHER, /* device, FIFO, socket */
};

struct node {
	struct node *parent; /* the top is its own */
	struct atom *name;
	enum node_kind kind;
	unsigned int depth;
	int error;    /* of a missing one: positive errno */
	int fd;       /* of a folder: open, or -1 */
	char *target; /* of a symlink */
	mode_t mode;
	uint64_t size;
	dev_t device;
	ino_t inode;
	struct object *object; /* what was read from the file (library.h) */
	bool listed;           /* in the closure already */
};

/* The links that a path ran through, in that order. */
struct trail {
	struct node *links[ROOT_LINKS_MOST];
	size_t count;
};

struct root {
	char *path;
	struct atoms *atoms; /* borrowed */
	struct node *top;
	struct table nodes;
	/* Folders that are open now; the oldest makes room. */
	struct node *open[64];
	size_t open_next;
};

int root_open(
	struct root *ret_root, const char *path, struct atoms *atoms, struct caisson_error *err);
/* The node that @path leads to, every link followed. Says nothing when it is not there: -ENOENT,
   -ENOTDIR, -EACCES, -ELOOP or -ENAMETOOLONG (root_absent() knows them); other errors are final. */
int root_resolve(
	struct root *root, const char *path, struct trail *ret_trail, struct node **ret_node);
bool root_absent(int error);
/* Opens a regular file, takes its size and mode anew, and returns the descriptor. */
int root_open_file(struct root *root, struct node *node, struct caisson_error *err);
/* Appends the names in a folder, sorted, without "." and ".."; -E2BIG for more than is sane. */
int root_list(struct root *root, struct node *node, struct strv *names, struct caisson_error *err);
/* The path inside the root, without links; owned by the caller, NULL when memory runs out. */
char *root_path(const struct root *root, const struct node *node);
/* The same as this machine's path. */
char *root_source(const struct root *root, const struct node *node);
void root_done(struct root *root);
