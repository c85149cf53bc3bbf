/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/macros.h"

#define BUCKETS_FIRST 1024u

static int take_memory(struct tree *tree, size_t size, struct caisson_error *err)
{
	if (tree->memory + size > TREE_MEMORY_MOST)
		return caisson_refuse(err, EBADMSG,
			"the image's list of files takes more than %llu MiB of memory",
			TREE_MEMORY_MOST >> 20);
	tree->memory += size;
	return 0;
}

static int take_step(struct tree *tree, struct caisson_error *err)
{
	if (++tree->steps > TREE_STEPS_MOST)
		return caisson_refuse(err, EBADMSG,
			"the image's paths are so intricate that following them would take too "
			"long");
	return 0;
}

int tree_inode(struct tree *tree, struct inode **ret_inode, struct caisson_error *err)
{
	int r = take_memory(tree, sizeof(struct inode), err);
	struct inode *inode;

	if (r < 0)
		return r;
	inode = calloc(1, sizeof(*inode));
	if (inode == NULL)
		return caisson_fail(err, ENOMEM, "list an image's files");
	*ret_inode = inode;
	return 0;
}

int tree_set_target(
	struct tree *tree, struct inode *inode, const char *target, struct caisson_error *err)
{
	int r = take_memory(tree, strlen(target) + 1, err);

	if (r < 0)
		return r;
	inode->target = strdup(target);
	return inode->target != NULL ? 0 : caisson_fail(err, ENOMEM, "list an image's files");
}

int tree_add_xattr(struct tree *tree, struct inode *inode, const char *name, const void *value,
	size_t size, struct caisson_error *err)
{
	size_t length = strlen(name) + 1;
	struct xattr *xattr;
	int r = take_memory(tree, sizeof(*xattr) + length + size, err);

	if (r < 0)
		return r;
	xattr = malloc(sizeof(*xattr) + length + size);
	if (xattr == NULL)
		return caisson_fail(err, ENOMEM, "list an image's files");
	xattr->next = inode->xattrs;
	xattr->size = size;
	memcpy(xattr->name, name, length);
	xattr->value = (uint8_t *)xattr->name + length;
	if (size > 0)
		memcpy(xattr->value, value, size);
	inode->xattrs = xattr;
	return 0;
}

void tree_drop_inode(struct tree *tree, struct inode *inode)
{
	if (inode == NULL)
		return;
	while (inode->xattrs != NULL) {
		struct xattr *next = inode->xattrs->next;

		tree->memory -=
			sizeof(*next) + strlen(inode->xattrs->name) + 1 + inode->xattrs->size;
		free(inode->xattrs);
		inode->xattrs = next;
	}
	if (inode->target != NULL)
		tree->memory -= strlen(inode->target) + 1;
	free(inode->target);
	free(inode);
	tree->memory -= sizeof(*inode);
}

static void release_inode(struct tree *tree, struct inode *inode)
{
	if (--inode->names == 0)
		tree_drop_inode(tree, inode);
}

/* FNV-1a, then mixed: bits of the parent's address must reach the low ones. */
static uint64_t hash_of(const struct node *parent, const char *name)
{
	uint64_t hash = 0xcbf29ce484222325u ^ (uint64_t)(uintptr_t)parent;

	for (; *name != '\0'; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3u;
	hash ^= hash >> 33;
	hash *= 0xff51afd7ed558ccdu;
	return hash ^ (hash >> 33);
}

static struct node **bucket_of(const struct tree *tree, uint64_t hash)
{
	return &tree->buckets[hash & (tree->bucket_count - 1)];
}

static int grow(struct tree *tree, struct caisson_error *err)
{
	size_t count = tree->bucket_count * 2;
	struct node **old = tree->buckets, **buckets;
	int r = take_memory(tree, tree->bucket_count * sizeof(*buckets), err);

	if (r < 0)
		return r;
	buckets = calloc(count, sizeof(*buckets));
	if (buckets == NULL)
		return caisson_fail(err, ENOMEM, "list an image's files");
	for (size_t i = 0; i < tree->bucket_count; i++) {
		struct node *next;

		for (struct node *node = old[i]; node != NULL; node = next) {
			struct node **bucket = &buckets[node->hash & (count - 1)];

			next = node->bucket_next;
			node->bucket_next = *bucket;
			*bucket = node;
		}
	}
	free(old);
	tree->buckets = buckets;
	tree->bucket_count = count;
	return 0;
}

static int new_node(struct tree *tree, struct node *parent, const char *name,
	struct node **ret_node, struct caisson_error *err)
{
	size_t length = strlen(name);
	size_t path_length = length + (parent != NULL ? parent->path_length + 1u : 0);
	struct node *node, **bucket;
	int r;

	if (path_length > TREE_PATH_MOST)
		return caisson_refuse(
			err, EBADMSG, "its path is longer than %d bytes", TREE_PATH_MOST);
	if (tree->node_count >= TREE_ENTRIES_MOST)
		return caisson_refuse(
			err, EBADMSG, "the image has more than %u files", TREE_ENTRIES_MOST);
	r = tree->node_count >= tree->bucket_count ? grow(tree, err) : 0;
	if (r == 0)
		r = take_memory(tree, sizeof(*node) + length + 1, err);
	if (r < 0)
		return r;
	node = calloc(1, sizeof(*node) + length + 1);
	if (node == NULL)
		return caisson_fail(err, ENOMEM, "list an image's files");
	memcpy(node->name, name, length + 1);
	node->path_length = (uint16_t)path_length;
	node->hash = hash_of(parent, name);
	bucket = bucket_of(tree, node->hash);
	node->bucket_next = *bucket;
	*bucket = node;
	tree->node_count++;
	node->parent = parent;
	if (parent != NULL) {
		node->next = parent->children;
		if (node->next != NULL)
			node->next->link = &node->next;
		node->link = &parent->children;
		parent->children = node;
	}
	*ret_node = node;
	return 0;
}

/* A node without children. */
static void drop_node(struct tree *tree, struct node *node)
{
	struct node **at = bucket_of(tree, node->hash);

	while (*at != node) {
		tree->steps++;
		at = &(*at)->bucket_next;
	}
	*at = node->bucket_next;
	if (node->link != NULL)
		*node->link = node->next;
	if (node->next != NULL)
		node->next->link = node->link;
	if (node->inode != NULL)
		release_inode(tree, node->inode);
	tree->memory -= sizeof(*node) + strlen(node->name) + 1;
	tree->node_count--;
	free(node);
}

static void remove_all(struct tree *tree, struct node *top, bool itself)
{
	struct node *node = top;

	for (;;) {
		struct node *parent;

		while (node->children != NULL)
			node = node->children;
		if (node == top) {
			if (itself)
				drop_node(tree, node);
			return;
		}
		parent = node->parent;
		drop_node(tree, node);
		tree->steps++;
		node = parent;
	}
}

/* A folder that nobody described. */
static int default_folder(struct tree *tree, struct inode **ret_inode, struct caisson_error *err)
{
	int r = tree_inode(tree, ret_inode, err);

	if (r == 0)
		(*ret_inode)->mode = S_IFDIR | 0755;
	return r;
}

int tree_new(struct tree *ret_tree, struct caisson_error *err)
{
	_cleanup_tree_ struct tree tree = TREE_NONE;
	int r;

	tree.bucket_count = BUCKETS_FIRST;
	tree.buckets = calloc(tree.bucket_count, sizeof(*tree.buckets));
	if (tree.buckets == NULL)
		return caisson_fail(err, ENOMEM, "list an image's files");
	tree.memory = tree.bucket_count * sizeof(*tree.buckets);
	r = new_node(&tree, NULL, "", &tree.root, err);
	if (r == 0)
		r = default_folder(&tree, &tree.root->inode, err);
	if (r < 0)
		return r;
	tree.root->inode->names = 1;
	*ret_tree = tree;
	tree = TREE_NONE;
	return 0;
}

void tree_done(struct tree *tree)
{
	if (tree->root != NULL)
		remove_all(tree, tree->root, true);
	free(tree->buckets);
	*tree = TREE_NONE;
}

int tree_child(struct tree *tree, struct node *folder, const char *name, struct node **ret_node,
	struct caisson_error *err)
{
	uint64_t hash = hash_of(folder, name);
	struct node *node = *bucket_of(tree, hash);
	int r = take_step(tree, err);

	for (; r == 0 && node != NULL; node = node->bucket_next) {
		if (node->hash == hash && node->parent == folder && strcmp(node->name, name) == 0)
			break;
		r = take_step(tree, err);
	}
	if (r == 0)
		*ret_node = node;
	return r;
}

int tree_put(struct tree *tree, struct node *folder, const char *name, uint32_t layer,
	struct inode *inode, struct caisson_error *err)
{
	struct node *node = NULL;
	int r = tree_child(tree, folder, name, &node, err);

	if (r < 0)
		return r;
	/* A link to itself, perhaps by way of another layer, changes nothing. */
	inode->names++;
	if (node == NULL) {
		r = new_node(tree, folder, name, &node, err);
		if (r < 0) {
			inode->names--;
			return r;
		}
	} else if (!S_ISDIR(node->inode->mode) || !S_ISDIR(inode->mode)) {
		remove_all(tree, node, false);
	}
	if (node->inode != NULL)
		release_inode(tree, node->inode);
	node->inode = inode;
	node->layer = layer;
	return 0;
}

void tree_put_root(struct tree *tree, struct inode *inode)
{
	inode->names++;
	release_inode(tree, tree->root->inode);
	tree->root->inode = inode;
}

int tree_hide_children(
	struct tree *tree, struct node *node, uint32_t layer, struct caisson_error *err)
{
	struct node *next;
	int r = 0;

	/* Paths are bounded, so the depth is. */
	for (struct node *child = node->children; r == 0 && child != NULL; child = next) {
		next = child->next;
		r = tree_hide(tree, child, layer, err);
	}
	return r;
}

int tree_hide(struct tree *tree, struct node *node, uint32_t layer, struct caisson_error *err)
{
	struct inode *fresh = NULL;
	int r = take_step(tree, err);

	if (r == 0)
		r = tree_hide_children(tree, node, layer, err);
	if (r < 0 || node->layer == layer)
		return r;
	if (node->children == NULL) {
		drop_node(tree, node);
		return 0;
	}
	/* The folder itself goes; what this layer put into it wants a new one. */
	r = default_folder(tree, &fresh, err);
	if (r < 0)
		return r;
	fresh->names = 1;
	release_inode(tree, node->inode);
	node->inode = fresh;
	node->layer = layer;
	return 0;
}

static int compare_nodes(const void *a, const void *b)
{
	const struct node *const *left = a, *const *right = b;

	return strcmp((*left)->name, (*right)->name);
}

static void sort_children(struct node *folder, struct node **scratch)
{
	struct node **link = &folder->children;
	size_t count = 0;

	for (struct node *child = folder->children; child != NULL; child = child->next)
		scratch[count++] = child;
	if (count < 2)
		return;
	qsort(scratch, count, sizeof(*scratch), compare_nodes);
	for (size_t i = 0; i < count; i++) {
		*link = scratch[i];
		scratch[i]->link = link;
		link = &scratch[i]->next;
	}
	*link = NULL;
}

int tree_sort(struct tree *tree, struct caisson_error *err)
{
	_cleanup_free_ struct node **scratch = calloc(tree->node_count, sizeof(*scratch));

	if (scratch == NULL)
		return caisson_fail(err, ENOMEM, "list an image's files");
	for (struct node *node = tree->root; node != NULL; node = tree_next(tree, node))
		sort_children(node, scratch);
	return 0;
}

struct node *tree_next(const struct tree *tree, struct node *node)
{
	if (node->children != NULL)
		return node->children;
	while (node != tree->root && node->next == NULL)
		node = node->parent;
	return node != tree->root ? node->next : NULL;
}

void node_path(const struct node *node, char *ret_path)
{
	/* The root's name is empty and counts no slash, its children's paths count one too many. */
	char *end = ret_path + TREE_PATH_MOST;
	char *at = end;

	*at = '\0';
	for (; node->parent != NULL; node = node->parent) {
		size_t length = strlen(node->name);

		if (at != end)
			*--at = '/';
		at -= length;
		memcpy(at, node->name, length);
	}
	memmove(ret_path, at, (size_t)(end - at) + 1);
}
