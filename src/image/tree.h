/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The image's files while its layers are laid over each other: names, and the inodes that they
 * stand for. Hard links share an inode, so that replacing one name leaves the others what they
 * were.
 *
 * Names come from outside: the number of nodes, the memory and the work are bounded.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TREE_ENTRIES_MOST (4u << 20)
#define TREE_MEMORY_MOST  (1ull << 30)
#define TREE_STEPS_MOST   (400u << 20) /* looks at a node: a large image takes 1 % of this */
#define TREE_PATH_MOST    4095
#define TREE_NAME_MOST    255
#define TREE_LINKS_MOST   40 /* as the kernel: symlinks on one path */

struct xattr {
	struct xattr *next;
	size_t size;
	uint8_t *value; /* behind the name */
	char name[];
};

struct node;

struct inode {
	mode_t mode; /* with the type */
	uid_t uid;
	gid_t gid;
	uint32_t mtime;
	uint32_t device_major, device_minor;
	uint64_t size;
	char *target; /* of a symbolic link */
	struct xattr *xattrs;
	/* A regular file's data is the @ordinal-th entry of layer @layer, both from 0. */
	uint32_t layer, ordinal;
	uint32_t names;       /* how many nodes hold it */
	struct node *written; /* the name under which it went out */
};

struct node {
	struct node *parent, *children, *next, **link; /* siblings; *link points here */
	struct node *bucket_next;
	struct inode *inode;
	uint64_t hash;
	uint32_t layer;       /* the last that had an entry for this name */
	uint16_t path_length; /* from the root, without its slash */
	char name[];
};

struct tree {
	struct node *root;
	struct node **buckets;
	size_t bucket_count, node_count;
	uint64_t memory, steps;
};

#define TREE_NONE ((struct tree){.root = NULL})

int tree_new(struct tree *ret_tree, struct caisson_error *err);
void tree_done(struct tree *tree);

/* A new inode without a name; tree_put() takes it. Free with tree_drop_inode(). */
int tree_inode(struct tree *tree, struct inode **ret_inode, struct caisson_error *err);
int tree_set_target(
	struct tree *tree, struct inode *inode, const char *target, struct caisson_error *err);
int tree_add_xattr(struct tree *tree, struct inode *inode, const char *name, const void *value,
	size_t size, struct caisson_error *err);
void tree_drop_inode(struct tree *tree, struct inode *inode);

/*
 * Finds the folder @path (clean: no leading slash, no "." or ".." in it), following symbolic links
 * inside the image. With @make, missing folders are made as part of @layer; without, *ret_node
 * becomes NULL. -EBADMSG for a path that leads out of the image.
 */
int tree_folder(struct tree *tree, const char *path, uint32_t layer, bool make,
	struct node **ret_node, struct caisson_error *err);
/* The entry @name of @folder itself, or NULL. */
int tree_child(struct tree *tree, struct node *folder, const char *name, struct node **ret_node,
	struct caisson_error *err);
/*
 * @name in @folder becomes @inode (whose names count goes up). A folder over a folder keeps the
 * children; anything else replaces all that was there.
 */
int tree_put(struct tree *tree, struct node *folder, const char *name, uint32_t layer,
	struct inode *inode, struct caisson_error *err);
/* The root folder's own attributes. */
void tree_put_root(struct tree *tree, struct inode *inode);
/* Removes from @node and what is below it all that is of layers under @layer. */
int tree_hide(struct tree *tree, struct node *node, uint32_t layer, struct caisson_error *err);
/* The same for what is below @node alone. */
int tree_hide_children(
	struct tree *tree, struct node *node, uint32_t layer, struct caisson_error *err);

/* Sorts every folder by name; then tree_next() walks all nodes, folders before their contents. */
int tree_sort(struct tree *tree, struct caisson_error *err);
struct node *tree_next(const struct tree *tree, struct node *node);
/* The path from the root without a leading slash; @buffer has TREE_PATH_MOST + 1 bytes. */
void node_path(const struct node *node, char *ret_path);

#define _cleanup_tree_ _cleanup_(tree_done)
