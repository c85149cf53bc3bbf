/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/macros.h"
#include "base/strbuf.h"

enum {
	NODES_MOST = 1 << 20,  /* names looked at; a whole system's libraries are some thousands */
	DEPTH_MOST = 512,      /* folders below each other */
	NAMES_MOST = 64 << 10, /* in one folder */
};

bool root_absent(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -EACCES || error == -ELOOP ||
	       error == -ENAMETOOLONG;
}

static void node_free(struct node *node)
{
	closep(&node->fd);
	free(node->target);
	free(node);
}
DEFINE_CLEANUP(struct node *, node_free);

static struct node *node_new(struct node *parent, struct atom *name)
{
	struct node *node = calloc(1, sizeof(*node));

	if (node == NULL)
		return NULL;
	node->parent = parent != NULL ? parent : node;
	node->depth = parent != NULL ? parent->depth + 1 : 0;
	node->name = name;
	node->fd = -1;
	return node;
}

int root_open(
	struct root *ret_root, const char *path, struct atoms *atoms, struct caisson_error *err)
{
	_cleanup_(node_freep) struct node *top = node_new(NULL, NULL);
	char *copy;

	if (top == NULL)
		return caisson_fail(err, ENOMEM, "open %s", path);
	top->kind = NODE_FOLDER;
	top->fd = open_file(path, O_PATH | O_DIRECTORY, 0, err);
	if (top->fd < 0)
		return top->fd;
	copy = strdup(path);
	if (copy == NULL)
		return caisson_fail(err, ENOMEM, "open %s", path);
	for (size_t length = strlen(copy); length > 0 && copy[length - 1] == '/';)
		copy[--length] = '\0';
	*ret_root = (struct root){
		.path = copy,
		.atoms = atoms,
		.top = take_ptr(top),
	};
	return 0;
}

/* A descriptor of a folder, reached from its parent's by its name, so that nothing that is swapped
   meanwhile leads out of the root. Recursion is bounded by DEPTH_MOST. */
static int folder_fd(struct root *root, struct node *node)
{
	struct node **slot;
	int parent, fd;

	if (node->fd >= 0)
		return node->fd;
	parent = folder_fd(root, node->parent);
	if (parent < 0)
		return parent;
	fd = openat(parent, node->name->text, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	slot = &root->open[root->open_next];
	root->open_next = (root->open_next + 1) % ARRAY_SIZE(root->open);
	if (*slot != NULL) {
		close((*slot)->fd);
		(*slot)->fd = -1;
	}
	*slot = node;
	node->fd = fd;
	return fd;
}

static void take_stat(struct node *node, const struct stat *st)
{
	node->mode = st->st_mode & 07777;
	node->size = (uint64_t)st->st_size;
	node->device = st->st_dev;
	node->inode = st->st_ino;
}

static int read_target(int parent, struct node *node)
{
	char target[PATH_MAX];
	ssize_t size = readlinkat(parent, node->name->text, target, sizeof(target));

	if (size < 0)
		return -errno;
	if (size == 0 || size == (ssize_t)sizeof(target))
		return -ENAMETOOLONG;
	node->target = strndup(target, (size_t)size);
	return node->target != NULL ? 0 : -ENOMEM;
}

/* Finds out what @node is. What cannot be looked at counts as missing, and keeps its errno. */
static int look(struct root *root, struct node *node)
{
	int parent = folder_fd(root, node->parent), r = 0;
	struct stat st;

	if (parent < 0)
		r = parent;
	else if (fstatat(parent, node->name->text, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	else if (S_ISLNK(st.st_mode))
		r = read_target(parent, node);
	if (r < 0) {
		node->kind = NODE_MISSING;
		node->error = -r;
		return root_absent(r) ? 0 : r;
	}
	take_stat(node, &st);
	if (S_ISLNK(st.st_mode))
		node->kind = NODE_SYMLINK;
	else if (S_ISDIR(st.st_mode))
		node->kind = NODE_FOLDER;
	else
		node->kind = S_ISREG(st.st_mode) ? NODE_FILE : NODE_OTHER;
	return 0;
}

struct child {
	const struct node *parent;
	const struct atom *name;
};

static bool same_child(const void *item, const void *key)
{
	const struct node *node = item;
	const struct child *child = key;

	return node->parent == child->parent && node->name == child->name;
}

static int child_of(struct root *root, struct node *parent, const char *name, size_t length,
	struct node **ret_node)
{
	_cleanup_(node_freep) struct node *node = NULL;
	struct child child = {.parent = parent};
	struct node *known;
	struct atom *atom;
	uint64_t hash;
	int r;

	if (length > NAME_MAX || parent->depth == DEPTH_MOST)
		return -ENAMETOOLONG;
	atom = atom_intern(root->atoms, name, length);
	if (atom == NULL)
		return -ENOMEM;
	child.name = atom;
	hash = atom->hash ^ ((uintptr_t)parent * UINT64_C(0x9e3779b97f4a7c15));
	known = table_find(&root->nodes, hash, same_child, &child);
	if (known != NULL) {
		*ret_node = known;
		return 0;
	}
	if (root->nodes.count >= NODES_MOST)
		return -E2BIG;
	node = node_new(parent, atom);
	if (node == NULL)
		return -ENOMEM;
	r = look(root, node);
	if (r < 0)
		return r;
	r = table_add(&root->nodes, hash, node);
	if (r < 0)
		return r;
	*ret_node = take_ptr(node);
	return 0;
}

/* One walk: where it stands, and the path that is still ahead. */
struct walk {
	struct node *node;
	char ahead[PATH_MAX];
};

/* Puts the link's target in front of what is ahead. */
static int follow(struct root *root, struct walk *walk, struct node *link, struct trail *trail)
{
	size_t target = strlen(link->target), rest = strlen(walk->ahead);

	if (trail->count == ROOT_LINKS_MOST)
		return -ELOOP;
	if (target + 1 + rest >= sizeof(walk->ahead))
		return -ENAMETOOLONG;
	trail->links[trail->count++] = link;
	memmove(walk->ahead + target + 1, walk->ahead, rest + 1);
	memcpy(walk->ahead, link->target, target);
	walk->ahead[target] = '/';
	if (rest == 0)
		walk->ahead[target] = '\0';
	if (link->target[0] == '/')
		walk->node = root->top;
	return 0;
}

/* Takes one name from what is ahead. */
static int step(struct root *root, struct walk *walk, struct trail *trail)
{
	size_t skip = strspn(walk->ahead, "/");
	size_t length = strcspn(walk->ahead + skip, "/");
	const char *name = walk->ahead + skip;
	struct node *next = walk->node;
	int r = 0;

	if (walk->node->kind != NODE_FOLDER)
		return -ENOTDIR;
	if (length == 2 && memcmp(name, "..", 2) == 0)
		next = walk->node->parent;
	else if (length > 0 && (length != 1 || name[0] != '.'))
		r = child_of(root, walk->node, name, length, &next);
	if (r < 0)
		return r;
	memmove(walk->ahead, name + length, strlen(name + length) + 1);
	if (next->kind == NODE_MISSING)
		return -next->error;
	if (next->kind == NODE_SYMLINK)
		return follow(root, walk, next, trail);
	walk->node = next;
	return 0;
}

int root_resolve(
	struct root *root, const char *path, struct trail *ret_trail, struct node **ret_node)
{
	struct walk walk = {.node = root->top};
	struct trail trail;
	size_t length = strnlen(path, sizeof(walk.ahead));

	trail.count = 0;
	if (length == 0)
		return -ENOENT;
	if (length == sizeof(walk.ahead))
		return -ENAMETOOLONG;
	memcpy(walk.ahead, path, length + 1);
	while (walk.ahead[0] != '\0') {
		int r = step(root, &walk, &trail);

		if (r < 0)
			return r;
	}
	memcpy(ret_trail->links, trail.links, trail.count * sizeof(trail.links[0]));
	ret_trail->count = trail.count;
	*ret_node = walk.node;
	return 0;
}

int root_open_file(struct root *root, struct node *node, struct caisson_error *err)
{
	_cleanup_free_ char *path = root_source(root, node);
	_cleanup_close_ int fd = -1;
	struct stat st;
	int parent;

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "open a file");
	/* Looked at before it is opened: opening a device may do something. */
	if (node->kind != NODE_FILE)
		return caisson_refuse(err, ENOEXEC, "%s is not a regular file", path);
	parent = folder_fd(root, node->parent);
	if (parent < 0)
		return caisson_fail(err, parent, "open %s", path);
	fd = openat(parent, node->name->text,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return caisson_fail(err, errno, "open %s", path);
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", path);
	if (!S_ISREG(st.st_mode))
		return caisson_refuse(err, ENOEXEC, "%s is not a regular file", path);
	take_stat(node, &st);
	return take_fd(&fd);
}

int root_list(struct root *root, struct node *node, struct strv *names, struct caisson_error *err)
{
	_cleanup_free_ char *path = root_source(root, node);
	_cleanup_closedir_ DIR *dir = NULL;
	int above, fd;

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "list a folder");
	above = folder_fd(root, node);
	if (above < 0)
		return caisson_fail(err, above, "open %s", path);
	fd = openat(above, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		closep(&fd);
		return caisson_fail(err, errno, "list %s", path);
	}
	for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (names->count == NAMES_MOST)
			return caisson_refuse(
				err, E2BIG, "%s holds more than %d files", path, (int)NAMES_MOST);
		strv_add(names, entry->d_name);
	}
	if (!strv_ok(names))
		return caisson_fail(err, ENOMEM, "list %s", path);
	strv_sort(names);
	return 0;
}

char *root_path(const struct root *root, const struct node *node)
{
	_cleanup_strbuf_ struct strbuf path = STRBUF_INIT;
	size_t size = 0;
	char *to;

	if (node == root->top)
		return strdup("/");
	for (const struct node *n = node; n != root->top; n = n->parent)
		size += 1 + n->name->length;
	to = strbuf_reserve(&path, size);
	if (to == NULL)
		return NULL;
	strbuf_commit(&path, size);
	to += size;
	for (const struct node *n = node; n != root->top; n = n->parent) {
		to -= n->name->length;
		memcpy(to, n->name->text, n->name->length);
		*--to = '/';
	}
	return strbuf_take(&path);
}

char *root_source(const struct root *root, const struct node *node)
{
	_cleanup_free_ char *path = root_path(root, node);

	return path != NULL ? format_string("%s%s", root->path, path) : NULL;
}

void root_done(struct root *root)
{
	for (size_t i = 0; i < root->nodes.capacity; i++) {
		if (root->nodes.slots[i].item != NULL)
			node_free(root->nodes.slots[i].item);
	}
	table_done(&root->nodes);
	if (root->top != NULL)
		node_free(root->top);
	free(root->path);
	*root = (struct root){0};
}
