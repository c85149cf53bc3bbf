/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bundle/view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/strbuf.h"

enum {
	NODES_MOST = 1 << 20,
	DEPTH_MOST = 256,
};

/* Bytes that are read to compare a file: of /proc/kcore, say, a manifest could tell the size. */
#define DIGEST_MOST ((uint64_t)16 << 30)

static struct view_node *node_new(struct view *view, struct view_node *parent, const char *name)
{
	struct view_node *node;

	if (view->count >= NODES_MOST)
		return NULL;
	node = calloc(1, sizeof(*node));
	if (node == NULL || (node->name = strdup(name)) == NULL) {
		free(node);
		return NULL;
	}
	node->parent = parent != NULL ? parent : node;
	if (parent != NULL) {
		node->next = parent->children;
		parent->children = node;
	}
	view->count++;
	return node;
}

int view_open(struct view *ret_view, int fd, struct caisson_error *err)
{
	struct view view = {.fd = fd, .last_fd = -1};

	view.top = node_new(&view, NULL, "");
	if (view.top == NULL)
		return caisson_fail(err, ENOMEM, "look into a folder");
	view.top->kind = view.top->found = VIEW_FOLDER;
	*ret_view = view;
	return 0;
}

static void node_free(struct view_node *node)
{
	free(node->name);
	free(node->target);
	free(node->found_target);
	free(node);
}

/* Without recursion: a hostile folder may be deep. */
void view_done(struct view *view)
{
	struct view_node *node = view->top;

	while (node != NULL) {
		struct view_node *child = node->children;

		if (child != NULL) {
			node->children = child->next;
			node = child;
			continue;
		}
		child = node;
		node = node->parent != node ? node->parent : NULL;
		node_free(child);
	}
	closep(&view->last_fd);
	*view = (struct view){.fd = -1, .last_fd = -1};
}

/* From the top, one name at a time; O_PATH asks for no right to list the folder. */
static int open_folder(const struct view *view, const struct view_node *node)
{
	enum { FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };
	const struct view_node *above[DEPTH_MOST];
	size_t count = 0;
	int fd;

	for (; node->parent != node; node = node->parent) {
		if (count == DEPTH_MOST)
			return -ENAMETOOLONG;
		above[count++] = node;
	}
	fd = openat(view->fd, ".", FLAGS);
	while (fd >= 0 && count > 0) {
		int next = openat(fd, above[--count]->name, FLAGS);

		closep(&fd);
		fd = next;
	}
	return fd >= 0 ? fd : -errno;
}

/* -errno, and no sentence. */
static int folder_fd(struct view *view, struct view_node *node)
{
	int fd;

	if (view->last == node)
		return view->last_fd;
	fd = open_folder(view, node);
	if (fd < 0)
		return fd;
	closep(&view->last_fd);
	view->last_fd = fd;
	view->last = node;
	return fd;
}

int view_folder(struct view *view, struct view_node *node, struct caisson_error *err)
{
	int fd = folder_fd(view, node);
	_cleanup_free_ char *path = fd < 0 ? view_path(node) : NULL;

	return fd < 0 ? caisson_fail(err, -fd, "open the folder %s", path != NULL ? path : "") : fd;
}

static int take_target(int folder, struct view_node *node)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(folder, node->name, target, sizeof(target));

	if (n < 0)
		return -errno;
	if (n == 0 || (size_t)n >= sizeof(target))
		return -ENAMETOOLONG;
	node->target = strndup(target, (size_t)n);
	node->found_target = strndup(target, (size_t)n);
	return node->target != NULL && node->found_target != NULL ? 0 : -ENOMEM;
}

static int look(struct view *view, struct view_node *node)
{
	struct stat st;
	int folder;

	if (view->fd < 0 || node->parent->found != VIEW_FOLDER)
		return 0;
	folder = folder_fd(view, node->parent);
	if (folder < 0)
		return folder;
	if (fstatat(folder, node->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	node->mode = st.st_mode & 07777;
	node->size = (uint64_t)st.st_size;
	node->device = st.st_dev;
	node->inode = st.st_ino;
	node->found = S_ISDIR(st.st_mode)   ? VIEW_FOLDER
		      : S_ISLNK(st.st_mode) ? VIEW_SYMLINK
		      : S_ISREG(st.st_mode) ? VIEW_FILE
					    : VIEW_OTHER;
	node->kind = node->found;
	return node->kind == VIEW_SYMLINK ? take_target(folder, node) : 0;
}

static int child(
	struct view *view, struct view_node *folder, const char *name, struct view_node **ret_node)
{
	struct view_node *node;
	int r;

	for (node = folder->children; node != NULL; node = node->next) {
		if (strcmp(node->name, name) == 0) {
			*ret_node = node;
			return 0;
		}
	}
	node = node_new(view, folder, name);
	if (node == NULL)
		return view->count >= NODES_MOST ? -E2BIG : -ENOMEM;
	r = look(view, node);
	if (r < 0) {
		folder->children = node->next;
		node_free(node);
		return r;
	}
	*ret_node = node;
	return 0;
}

void view_plan_parents(struct view_node *node)
{
	for (node = node->parent; node->kind == VIEW_NOTHING; node = node->parent)
		node->kind = VIEW_FOLDER;
}

static int walk(struct view *view, struct view_node *node, const char *path, bool follow,
	struct view_node **ret_node);

static int step(struct view *view, struct view_node **node, const char *name, bool follow)
{
	struct view_node *next;
	int r;

	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0) {
		/* The kernel only climbs out of a folder that is there. */
		if ((*node)->kind == VIEW_NOTHING) {
			(*node)->kind = VIEW_FOLDER;
			view_plan_parents(*node);
		}
		*node = (*node)->parent;
		return 0;
	}
	r = child(view, *node, name, &next);
	if (r >= 0 && next->kind == VIEW_SYMLINK && follow) {
		if (view->trail_count == VIEW_LINKS_MOST)
			return -ELOOP;
		view->trail[view->trail_count++] = next;
		r = walk(view, *node, next->target, true, &next);
	}
	if (r >= 0)
		*node = next;
	return r;
}

/* Calls itself for links alone, so at most VIEW_LINKS_MOST deep. */
static int walk(struct view *view, struct view_node *node, const char *path, bool follow,
	struct view_node **ret_node)
{
	char name[NAME_MAX + 1];
	int r = 0;

	if (path[0] == '/')
		node = view->top;
	path += strspn(path, "/");
	while (*path != '\0' && r >= 0) {
		size_t length = strcspn(path, "/");
		size_t slashes = strspn(path + length, "/");

		if (length > NAME_MAX)
			return -ENAMETOOLONG;
		if (node->kind == VIEW_FILE || node->kind == VIEW_OTHER ||
			node->kind == VIEW_SYMLINK)
			return -ENOTDIR;
		memcpy(name, path, length);
		name[length] = '\0';
		path += length + slashes;
		r = step(view, &node, name, follow || *path != '\0');
	}
	if (r >= 0)
		*ret_node = node;
	return r;
}

int view_resolve(struct view *view, const char *path, bool follow, struct view_node **ret_node)
{
	view->trail_count = 0;
	return walk(view, view->top, path, follow, ret_node);
}

int view_resolve_from(
	struct view *view, struct view_node *from, const char *target, struct view_node **ret_node)
{
	view->trail_count = 0;
	return walk(view, from->parent, target, true, ret_node);
}

int view_open_file(struct view *view, struct view_node *node, struct caisson_error *err)
{
	_cleanup_free_ char *path = view_path(node);
	const char *name = path != NULL ? path : node->name;
	_cleanup_close_ int fd = -1;
	struct stat st;
	int folder = view_folder(view, node->parent, err);

	if (folder < 0)
		return folder;
	fd = openat(folder, node->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return caisson_fail(err, errno, "open %s", name);
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", name);
	if (!S_ISREG(st.st_mode) || st.st_dev != node->device || st.st_ino != node->inode ||
		(uint64_t)st.st_size != node->size)
		return caisson_refuse(err, EEXIST, "%s is being changed by somebody else", name);
	return take_fd(&fd);
}

int view_digest(struct view *view, struct view_node *node, struct caisson_error *err)
{
	_cleanup_close_ int fd = -1;

	if (node->sha256[0] != '\0')
		return 0;
	if (node->size > DIGEST_MOST)
		return caisson_refuse(err, EFBIG, "%s is too large to be compared", node->name);
	fd = view_open_file(view, node, err);
	return fd < 0 ? fd : digest_of_fd(fd, node->name, node->sha256, err);
}

static size_t depth(const struct view_node *node)
{
	size_t count = 0;

	for (; node->parent != node; node = node->parent)
		count++;
	return count;
}

/* Appends the path down from @top, which is above @node, without a slash in front. */
static void add_below(
	struct strbuf *path, const struct view_node *top, const struct view_node *node)
{
	size_t count = depth(node) - depth(top);

	while (count > 0) {
		const struct view_node *at = node;

		for (size_t i = 1; i < count; i++)
			at = at->parent;
		strbuf_add_format(path, "%s%s", at->name, --count > 0 ? "/" : "");
	}
}

char *view_path(const struct view_node *node)
{
	_cleanup_strbuf_ struct strbuf path = STRBUF_INIT;
	const struct view_node *top = node;

	while (top->parent != top)
		top = top->parent;
	strbuf_add_char(&path, '/');
	add_below(&path, top, node);
	return strbuf_take(&path);
}

char *view_relative(const struct view_node *from, const struct view_node *to)
{
	_cleanup_strbuf_ struct strbuf path = STRBUF_INIT;
	const struct view_node *folder = from->parent, *above = to->parent;
	size_t up = 0;

	while (depth(above) > depth(folder))
		above = above->parent;
	while (folder != above) {
		if (depth(folder) > depth(above)) {
			folder = folder->parent;
			up++;
		} else {
			above = above->parent;
		}
	}
	while (up-- > 0)
		strbuf_add_string(&path, "../");
	add_below(&path, above, to);
	return strbuf_take(&path);
}
