/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect/rootfs_names.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/strbuf.h"

enum {
	BUCKETS = 1 << 16,
	LINKS_MOST = 40,           /* followed in one path, as in the kernel */
	PATH_BYTES_MOST = 1 << 28, /* of all names together */
};

#define STEPS_MOST (1ull << 30) /* bytes of paths looked at */

int rootfs_names_init(struct rootfs *root)
{
	size_t file;

	root->buckets = malloc(BUCKETS * sizeof(*root->buckets));
	root->nodes = calloc(64, sizeof(*root->nodes));
	if (root->buckets == NULL || root->nodes == NULL || rootfs_new_file(root, &file) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < BUCKETS; i++)
		root->buckets[i] = ROOTFS_NOTHING;
	root->node_capacity = 64;
	root->node_count = 1;
	root->files[file].mode = S_IFDIR | 0755;
	return 0;
}

int rootfs_new_file(struct rootfs *root, size_t *ret_file)
{
	if (root->file_count == root->file_capacity) {
		size_t capacity = MAX(root->file_capacity * 2, (size_t)64);
		void *items = reallocarray(root->files, capacity, sizeof(*root->files));

		if (items == NULL)
			return -ENOMEM;
		root->files = items;
		root->file_capacity = capacity;
	}
	root->files[root->file_count] = (struct rootfs_file){0};
	*ret_file = root->file_count++;
	return 0;
}

/* FNV-1a. */
static size_t bucket(size_t parent, const char *name, size_t size)
{
	uint64_t hash = 0xcbf29ce484222325ull ^ parent * 0x9e3779b97f4a7c15ull;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (uint8_t)name[i]) * 0x100000001b3ull;
	return (size_t)(hash ^ hash >> 29) % BUCKETS;
}

static size_t lookup(struct rootfs *root, size_t parent, const char *name, size_t size)
{
	size_t i = root->buckets[bucket(parent, name, size)];

	for (; i != ROOTFS_NOTHING; i = root->nodes[i].next) {
		const struct rootfs_node *node = &root->nodes[i];

		root->steps += 16;
		if (node->parent == parent && node->name_size == size &&
			memcmp(node->name, name, size) == 0)
			return i;
	}
	return ROOTFS_NOTHING;
}

int rootfs_link(struct rootfs *root, struct place *place, size_t file)
{
	size_t *first = &root->buckets[bucket(place->parent, place->name, place->name_size)];
	struct rootfs_node *parent = &root->nodes[place->parent], *node;
	size_t path_size = parent->path_size + (place->parent != 0) + place->name_size;

	if (path_size >= PATH_MAX || place->name_size > NAME_MAX)
		return -ENAMETOOLONG;
	root->path_bytes += path_size + 1;
	if (root->node_count > ROOTFS_ENTRIES_MOST || root->path_bytes > PATH_BYTES_MOST)
		return -E2BIG;
	if (root->node_count == root->node_capacity) {
		size_t capacity = root->node_capacity * 2;
		void *items = reallocarray(root->nodes, capacity, sizeof(*root->nodes));

		if (items == NULL)
			return -ENOMEM;
		root->nodes = items;
		root->node_capacity = capacity;
		parent = &root->nodes[place->parent];
	}
	parent->children++;
	root->files[file].links++;
	node = &root->nodes[root->node_count];
	*node = (struct rootfs_node){.name = place->name,
		.name_size = place->name_size,
		.parent = place->parent,
		.file = file,
		.next = *first,
		.path_size = path_size};
	*first = place->node = root->node_count++;
	return 0;
}

void rootfs_unlink(struct rootfs *root, size_t index)
{
	struct rootfs_node *node = &root->nodes[index];
	size_t *at = &root->buckets[bucket(node->parent, node->name, node->name_size)];

	while (*at != index)
		at = &root->nodes[*at].next;
	*at = node->next;
	node->gone = true;
	root->nodes[node->parent].children--;
	root->files[node->file].links--;
}

/* A path that is being followed: links are put in front of what is left of it. */
struct way {
	struct rootfs *root;
	size_t at; /* the folder that was reached */
	const char *rest;
	size_t left;
	unsigned int links;
	char buffers[2][2 * PATH_MAX];
};

/* Goes on with the target of a link and what was left behind it. */
static int enter_link(struct way *way, const struct rootfs_file *link)
{
	char *to = way->buffers[way->links & 1];
	size_t size = link->size;

	if (++way->links > LINKS_MOST)
		return -ELOOP;
	if (size + 1 + way->left > sizeof(way->buffers[0]))
		return -ENAMETOOLONG;
	memcpy(to, link->data, size);
	to[size++] = '/';
	memcpy(to + size, way->rest, way->left);
	if (to[0] == '/')
		way->at = 0;
	way->rest = to;
	way->left += size;
	return 0;
}

static bool is_dots(const char *name, size_t size)
{
	return (size == 1 && name[0] == '.') || (size == 2 && name[0] == '.' && name[1] == '.');
}

/* One folder further. */
static int enter(struct way *way, const char *name, size_t size)
{
	struct rootfs *root = way->root;
	const struct rootfs_file *file;
	size_t node;

	if (is_dots(name, size)) {
		/* The parent of the root is the root. */
		if (size == 2)
			way->at = root->nodes[way->at].parent;
		return 0;
	}
	node = lookup(root, way->at, name, size);
	if (node == ROOTFS_NOTHING)
		return -ENOENT;
	file = &root->files[root->nodes[node].file];
	if (S_ISLNK(file->mode))
		return enter_link(way, file);
	if (!S_ISDIR(file->mode))
		return -ENOTDIR;
	way->at = node;
	return 0;
}

static void skip_slashes(struct way *way)
{
	while (way->left > 0 && *way->rest == '/') {
		way->rest++;
		way->left--;
	}
}

static void arrive(struct way *way, const char *name, size_t size, struct place *ret_place)
{
	ret_place->parent = way->at;
	ret_place->name = name;
	ret_place->name_size = size;
	ret_place->node = size > 0 ? lookup(way->root, way->at, name, size) : way->at;
}

static int walk(struct way *way, bool folder, struct place *ret_place)
{
	for (;;) {
		const char *name, *slash;
		size_t size, before;
		int r;

		skip_slashes(way);
		name = way->rest;
		slash = memchr(name, '/', way->left);
		size = slash != NULL ? (size_t)(slash - name) : way->left;
		way->root->steps += size + 16;
		if (way->root->steps > STEPS_MOST)
			return -E2BIG;
		before = way->left - size;
		way->rest += size;
		way->left -= size;
		skip_slashes(way);
		if (way->left == 0 && (size == 0 || !is_dots(name, size))) {
			if (before > 0 && !folder)
				return -EISDIR;
			arrive(way, name, size, ret_place);
			return 0;
		}
		r = enter(way, name, size);
		if (r < 0)
			return r;
	}
}

/* The last part of a place outlives the buffers of the way only when it stands in the archive. */
static int place(struct rootfs *root, size_t from, const char *path, size_t size, bool folder,
	struct place *ret_place)
{
	struct way way;
	int r;

	while (folder && size > 1 && path[size - 1] == '/')
		size--;
	way.root = root;
	way.at = from;
	way.rest = path;
	way.left = size;
	way.links = 0;
	r = walk(&way, folder, ret_place);
	if (r == 0 && way.links > 0 && ret_place->name_size > 0)
		ret_place->name = path + size - ret_place->name_size;
	return r;
}

int rootfs_place(struct rootfs *root, const char *path, bool folder, struct place *ret_place)
{
	return place(root, 0, path, strlen(path), folder, ret_place);
}

int rootfs_place_link(struct rootfs *root, struct place *at)
{
	const struct rootfs_node *node = &root->nodes[at->node];
	const struct rootfs_file *link = &root->files[node->file];
	size_t from = link->size > 0 && link->data[0] == '/' ? 0 : node->parent;

	return place(root, from, (const char *)link->data, link->size, true, at);
}

char *rootfs_path(const struct rootfs *root, size_t index)
{
	size_t at = root->nodes[index].path_size;
	char *path = malloc(at + 1);

	if (path == NULL)
		return NULL;
	path[at] = '\0';
	for (; index != 0; index = root->nodes[index].parent) {
		const struct rootfs_node *node = &root->nodes[index];

		at -= node->name_size;
		memcpy(path + at, node->name, node->name_size);
		if (at > 0)
			path[--at] = '/';
	}
	return path;
}
