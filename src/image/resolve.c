/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Following a path inside the image, never out of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "image/tree.h"

/* What is left to follow; symbolic links put their target in front. */
struct walk {
	struct node *at;
	unsigned links;
	char pending[2 * (TREE_PATH_MOST + 1)];
	char *rest;
};

/* Cuts the next component off. */
static bool next_component(struct walk *walk, char **ret_name)
{
	char *name = walk->rest + strspn(walk->rest, "/");
	size_t length = strcspn(name, "/");

	if (length == 0)
		return false;
	walk->rest = name + length;
	if (*walk->rest == '/')
		*walk->rest++ = '\0';
	*ret_name = name;
	return true;
}

static int follow_link(struct tree *tree, struct walk *walk, const struct node *link,
	uint32_t layer, struct caisson_error *err)
{
	char path[TREE_PATH_MOST + 1], rest[sizeof(walk->pending)];
	const char *target = link->inode->target;
	int length;

	if (++walk->links > TREE_LINKS_MOST)
		return caisson_refuse(err, EBADMSG, "it goes through more than %d symbolic links",
			TREE_LINKS_MOST);
	if (target[0] == '/' && link->layer == layer) {
		/* On a base image's absolute link (/var/run -> /run) a layer may build. A layer
		   that brings the link along with what goes through it was not made from a
		   filesystem, but against one. */
		node_path(link, path);
		return caisson_refuse(err, EBADMSG,
			"it climbs out of the image through the symbolic link '%s' to '%s' that "
			"the same layer makes",
			path, target);
	}
	memcpy(rest, walk->rest, strlen(walk->rest) + 1);
	length = snprintf(walk->pending, sizeof(walk->pending), "%s/%s", target, rest);
	if (length < 0 || (size_t)length >= sizeof(walk->pending))
		return caisson_refuse(err, EBADMSG, "it goes through too long symbolic links");
	walk->rest = walk->pending;
	if (target[0] == '/')
		walk->at = tree->root;
	return 0;
}

static int go_up(struct walk *walk, struct caisson_error *err)
{
	if (walk->at->parent == NULL)
		return caisson_refuse(err, EBADMSG,
			"it climbs out of the image through a symbolic link with '..'");
	walk->at = walk->at->parent;
	return 0;
}

static int make_folder(struct tree *tree, struct node *parent, const char *name, uint32_t layer,
	struct node **ret_node, struct caisson_error *err)
{
	struct inode *inode;
	int r;

	if (strlen(name) > TREE_NAME_MOST)
		return caisson_refuse(
			err, EBADMSG, "a name in it is longer than %d bytes", TREE_NAME_MOST);
	r = tree_inode(tree, &inode, err);
	if (r < 0)
		return r;
	inode->mode = S_IFDIR | 0755;
	r = tree_put(tree, parent, name, layer, inode, err);
	if (r < 0) {
		tree_drop_inode(tree, inode);
		return r;
	}
	return tree_child(tree, parent, name, ret_node, err);
}

int tree_folder(struct tree *tree, const char *path, uint32_t layer, bool make,
	struct node **ret_node, struct caisson_error *err)
{
	struct walk walk;
	char *name;
	int r = 0;

	if (strlen(path) > TREE_PATH_MOST)
		return caisson_refuse(
			err, EBADMSG, "its path is longer than %d bytes", TREE_PATH_MOST);
	/* Not an initialiser: that would clear 8 KiB for each of millions of entries. */
	memcpy(walk.pending, path, strlen(path) + 1);
	walk.rest = walk.pending;
	walk.at = tree->root;
	walk.links = 0;
	while (r == 0 && next_component(&walk, &name)) {
		struct node *child = NULL;

		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			r = go_up(&walk, err);
			continue;
		}
		r = tree_child(tree, walk.at, name, &child, err);
		if (r == 0 && child == NULL && !make) {
			*ret_node = NULL;
			return 0;
		}
		if (r == 0 && child == NULL)
			r = make_folder(tree, walk.at, name, layer, &child, err);
		if (r < 0)
			break;
		if (S_ISLNK(child->inode->mode))
			r = follow_link(tree, &walk, child, layer, err);
		else if (S_ISDIR(child->inode->mode))
			walk.at = child;
		else
			r = caisson_refuse(
				err, EBADMSG, "it goes through '%s', which is not a folder", name);
	}
	if (r < 0)
		return r;
	*ret_node = walk.at;
	return 0;
}
