/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect/rootfs.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "inspect/rootfs_names.h"

enum { LINK_BUCKETS = 1 << 14 };

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "unpack a boot archive");
}

/* Never fails: what cannot be noted is not. */
static void note(struct rootfs *root, const struct cpio_entry *entry, const char *why)
{
	char *path;
	void *items;

	if (root->problem_count == ROOTFS_PROBLEMS_MOST)
		return;
	items = reallocarray(root->problems, root->problem_count + 1, sizeof(*root->problems));
	if (items == NULL)
		return;
	root->problems = items;
	path = strdup(entry->path);
	if (path != NULL)
		root->problems[root->problem_count++] = (struct rootfs_problem){path, why};
}

static const char *why_dropped(int error)
{
	switch (error) {
	case -ENOENT:
		return "the folder that it belongs into is not there, so the kernel drops it";
	case -ENOTDIR:
		return "what should be its folder is none, so the kernel drops it";
	case -ENOTEMPTY:
	case -EISDIR:
		return "a folder stands in its place, so the kernel drops it";
	case -ELOOP:
		return "its path runs through too many links, so the kernel drops it";
	case -EEXIST:
		return "something stands in its place, so the kernel drops it";
	default:
		return "its path is too long, so the kernel drops it";
	}
}

/* Removes what is of another type (clean_path() in the kernel; with type 0: whatever is there). */
static int clean(struct rootfs *root, const struct place *place, mode_t type)
{
	const struct rootfs_node *node;

	if (place->node == ROOTFS_NOTHING)
		return 0;
	node = &root->nodes[place->node];
	if ((root->files[node->file].mode & S_IFMT) == type)
		return 0;
	if (place->name_size == 0)
		return -EISDIR;
	if (node->children > 0)
		return -ENOTEMPTY;
	rootfs_unlink(root, place->node);
	return 0;
}

static void own(struct rootfs_file *file, const struct cpio_entry *entry)
{
	file->mode = entry->mode;
	file->uid = entry->uid;
	file->gid = entry->gid;
	file->mtime = entry->mtime;
}

static void fill(struct rootfs_file *file, const struct cpio_entry *entry, size_t member)
{
	file->data = entry->data;
	file->size = entry->size;
	file->member = member;
}

static size_t link_bucket(const struct cpio_entry *entry)
{
	uint32_t hash = entry->inode * 2654435761u;

	hash ^= entry->disk_major * 40503u ^ entry->disk_minor;
	return (hash ^ hash >> 15) % LINK_BUCKETS;
}

static size_t find_link(const struct rootfs *root, const struct cpio_entry *entry)
{
	size_t i = root->link_buckets[link_bucket(entry)];

	for (; i != ROOTFS_NOTHING; i = root->links[i].next) {
		const struct rootfs_link *link = &root->links[i];

		if (link->inode == entry->inode && link->major == entry->disk_major &&
			link->minor == entry->disk_minor &&
			((link->mode ^ entry->mode) & S_IFMT) == 0)
			return link->file;
	}
	return ROOTFS_NOTHING;
}

static int remember_link(struct rootfs *root, const struct cpio_entry *entry, size_t file)
{
	size_t *bucket = &root->link_buckets[link_bucket(entry)];

	if (root->link_count == root->link_capacity) {
		size_t capacity = MAX(root->link_capacity * 2, (size_t)64);
		void *items = reallocarray(root->links, capacity, sizeof(*root->links));

		if (items == NULL)
			return -ENOMEM;
		root->links = items;
		root->link_capacity = capacity;
	}
	root->links[root->link_count] = (struct rootfs_link){
		entry->disk_major, entry->disk_minor, entry->inode, entry->mode, file, *bucket};
	*bucket = root->link_count++;
	return 0;
}

/* At a trailer: inode numbers count in one archive alone. */
static void forget_links(struct rootfs *root)
{
	for (size_t i = 0; i < root->link_count; i++) {
		struct cpio_entry entry = {.inode = root->links[i].inode,
			.disk_major = root->links[i].major,
			.disk_minor = root->links[i].minor};

		root->link_buckets[link_bucket(&entry)] = ROOTFS_NOTHING;
	}
	root->link_count = 0;
}

/* One more name for a file of this archive: 1 when it is one. */
static int maybe_link(struct rootfs *root, struct place *place, const struct cpio_entry *entry)
{
	size_t file;
	int r;

	if (entry->links < 2)
		return 0;
	file = find_link(root, entry);
	if (file == ROOTFS_NOTHING)
		return 0;
	if (root->files[file].links == 0)
		return -ENOENT;
	if (place->node != ROOTFS_NOTHING && root->nodes[place->node].file == file)
		return 1;
	r = clean(root, place, 0);
	if (r < 0)
		return r;
	place->node = ROOTFS_NOTHING;
	r = rootfs_link(root, place, file);
	return r < 0 ? r : 1;
}

/* A new inode at @place when nothing is there now. */
static int make(
	struct rootfs *root, struct place *place, const struct cpio_entry *entry, size_t *ret_file)
{
	int r = rootfs_new_file(root, ret_file);

	if (r < 0)
		return r;
	own(&root->files[*ret_file], entry);
	root->files[*ret_file].major = entry->major;
	root->files[*ret_file].minor = entry->minor;
	return rootfs_link(root, place, *ret_file);
}

static int put_file(
	struct rootfs *root, struct place *place, const struct cpio_entry *entry, size_t member)
{
	size_t file;
	int r = maybe_link(root, place, entry);

	if (r < 0)
		return r;
	if (r == 1) {
		file = find_link(root, entry);
		own(&root->files[file], entry);
		if (entry->size > 0)
			fill(&root->files[file], entry, member);
		return 0;
	}
	if (place->node != ROOTFS_NOTHING) {
		file = root->nodes[place->node].file;
		own(&root->files[file], entry);
	} else {
		r = make(root, place, entry, &file);
		if (r < 0)
			return r;
	}
	fill(&root->files[file], entry, member);
	return entry->links >= 2 ? remember_link(root, entry, file) : 0;
}

static int put_folder(struct rootfs *root, struct place *place, const struct cpio_entry *entry)
{
	size_t file;

	if (place->node == ROOTFS_NOTHING)
		return make(root, place, entry, &file);
	own(&root->files[root->nodes[place->node].file], entry);
	root->nodes[place->node].builtin = false;
	return 0;
}

static int put_special(struct rootfs *root, struct place *place, const struct cpio_entry *entry)
{
	size_t file;
	int r = maybe_link(root, place, entry);

	if (r != 0)
		return MIN(r, 0);
	if (place->node != ROOTFS_NOTHING) {
		own(&root->files[root->nodes[place->node].file], entry);
		return 0;
	}
	r = make(root, place, entry, &file);
	if (r == 0 && entry->links >= 2)
		r = remember_link(root, entry, file);
	return r;
}

static int put_symlink(
	struct rootfs *root, struct place *place, const struct cpio_entry *entry, size_t member)
{
	size_t file;
	int r = make(root, place, entry, &file);

	if (r == 0)
		fill(&root->files[file], entry, member);
	return r;
}

static int put(struct rootfs *root, const struct cpio_entry *entry, size_t member)
{
	mode_t type = entry->mode & S_IFMT;
	struct place place;
	int r = rootfs_place(root, entry->path, S_ISDIR(entry->mode), &place);

	if (r == 0)
		r = clean(root, &place, S_ISLNK(type) ? 0 : type);
	if (r < 0)
		return r;
	/* It may have been removed. */
	if (place.node != ROOTFS_NOTHING && root->nodes[place.node].gone)
		place.node = ROOTFS_NOTHING;
	if (place.name_size == 0 && !S_ISDIR(entry->mode))
		return -EISDIR;
	switch (type) {
	case S_IFREG:
		return put_file(root, &place, entry, member);
	case S_IFDIR:
		return put_folder(root, &place, entry);
	case S_IFLNK:
		return put_symlink(root, &place, entry, member);
	default:
		return put_special(root, &place, entry);
	}
}

/* For programs that, unlike the kernel, start somewhere below the top. */
static bool climbs(const char *path)
{
	for (const char *at = path; (at = strstr(at, "..")) != NULL; at += 2) {
		if ((at == path || at[-1] == '/') && (at[2] == '/' || at[2] == '\0'))
			return true;
	}
	return false;
}

static int add(struct rootfs *root, const struct cpio_entry *entry, size_t member, const char *what,
	struct caisson_error *err)
{
	int r = put(root, entry, member);

	if (r == -ENOMEM)
		return out_of_memory(err);
	if (r == -E2BIG)
		return caisson_refuse(err, E2BIG, "%s asks for more than any boot archive", what);
	if (r < 0)
		note(root, entry, why_dropped(r));
	if (climbs(entry->path))
		note(root, entry, "its path climbs: unpacked elsewhere, it may escape");
	return 0;
}

int rootfs_add_member(struct rootfs *root, const struct member *member, size_t index,
	const char *what, struct caisson_error *err)
{
	struct cpio_reader reader;
	struct cpio_entry entry;
	int r = 0;

	cpio_reader_init(&reader, member->data, member->data_size);
	while (r == 0 && reader.offset < reader.size) {
		/* Zero bytes in front of the first archive. */
		if (!reader.inside && reader.data[reader.offset] == 0) {
			reader.offset++;
			continue;
		}
		r = cpio_read_one(&reader, &entry, err);
		if (r < 0)
			return caisson_wrap(err, "%s", what);
		if (r == 0) {
			forget_links(root);
			continue;
		}
		r = add(root, &entry, index, what, err);
	}
	if (r == 0 && reader.inside)
		return caisson_refuse(err, EBADMSG, "%s ends without a trailer", what);
	return r;
}

static int add_builtin(struct rootfs *root, const char *name, mode_t mode)
{
	struct cpio_entry entry = {.path = name, .mode = mode};
	struct place place;
	int r = rootfs_place(root, name, true, &place);

	if (r == 0)
		r = put_folder(root, &place, &entry);
	if (r == 0)
		root->nodes[root->node_count - 1].builtin = true;
	return r;
}

int rootfs_new(struct rootfs *ret_root, struct caisson_error *err)
{
	_cleanup_rootfs_ struct rootfs root = ROOTFS_NONE;
	int r = rootfs_names_init(&root);

	root.link_buckets = malloc(LINK_BUCKETS * sizeof(*root.link_buckets));
	if (r < 0 || root.link_buckets == NULL)
		return out_of_memory(err);
	for (size_t i = 0; i < LINK_BUCKETS; i++)
		root.link_buckets[i] = ROOTFS_NOTHING;
	/* usr/default_cpio_list of the kernel. Its /dev/console is not counted: an archive that
	   relies on it works with most kernels, not with all. */
	if (add_builtin(&root, "dev", S_IFDIR | 0755) < 0 ||
		add_builtin(&root, "root", S_IFDIR | 0700) < 0)
		return out_of_memory(err);
	*ret_root = root;
	root = ROOTFS_NONE;
	return 0;
}

static int compare_entries(const void *a, const void *b)
{
	return strcmp(
		((const struct rootfs_entry *)a)->path, ((const struct rootfs_entry *)b)->path);
}

int rootfs_finish(struct rootfs *root, struct caisson_error *err)
{
	root->entries = calloc(root->node_count, sizeof(*root->entries));
	if (root->entries == NULL)
		return out_of_memory(err);
	for (size_t i = 1; i < root->node_count; i++) {
		const struct rootfs_node *node = &root->nodes[i];

		if (node->gone || (node->builtin && node->children == 0))
			continue;
		root->entries[root->count].path = rootfs_path(root, i);
		root->entries[root->count].file = node->file;
		if (root->entries[root->count].path == NULL)
			return out_of_memory(err);
		root->count++;
	}
	if (root->count > 1)
		qsort(root->entries, root->count, sizeof(*root->entries), compare_entries);
	return 0;
}

int rootfs_open(int fd, const char *what, struct rootfs *ret_root, struct caisson_error *err)
{
	_cleanup_rootfs_ struct rootfs root = ROOTFS_NONE;
	int r = rootfs_new(&root, err);

	if (r == 0)
		r = members_open(fd, what, &root.members, err);
	for (size_t i = 0; r == 0 && i < root.members.count; i++)
		r = rootfs_add_member(&root, &root.members.items[i], i, what, err);
	if (r == 0)
		r = rootfs_finish(&root, err);
	if (r < 0)
		return r;
	*ret_root = root;
	root = ROOTFS_NONE;
	return 0;
}

const struct rootfs_entry *rootfs_entry(const struct rootfs *root, const char *path)
{
	const struct rootfs_entry key = {.path = (char *)path};

	return root->count == 0 ? NULL
				: bsearch(&key, root->entries, root->count, sizeof(*root->entries),
					  compare_entries);
}

const struct rootfs_file *rootfs_resolve(struct rootfs *root, const char *path)
{
	struct place place;
	size_t follow = 0;

	root->steps = 0;
	if (rootfs_place(root, path, true, &place) < 0 || place.node == ROOTFS_NOTHING)
		return NULL;
	while (S_ISLNK(root->files[root->nodes[place.node].file].mode)) {
		if (follow++ == 40 || rootfs_place_link(root, &place) < 0 ||
			place.node == ROOTFS_NOTHING)
			return NULL;
	}
	return &root->files[root->nodes[place.node].file];
}

char *rootfs_real(struct rootfs *root, const char *path)
{
	struct place place;

	root->steps = 0;
	if (rootfs_place(root, path, true, &place) < 0 || place.node == ROOTFS_NOTHING)
		return NULL;
	return rootfs_path(root, place.node);
}

void rootfs_done(struct rootfs *root)
{
	for (size_t i = 0; i < root->count; i++)
		free(root->entries[i].path);
	for (size_t i = 0; i < root->problem_count; i++)
		free(root->problems[i].path);
	free(root->entries);
	free(root->problems);
	free(root->files);
	free(root->nodes);
	free(root->buckets);
	free(root->links);
	free(root->link_buckets);
	members_done(&root->members);
	*root = ROOTFS_NONE;
}
