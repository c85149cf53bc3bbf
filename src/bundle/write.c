/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bundle/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/io.h"
#include "bundle/content.h"

/* In which folder what is written, and under which name in errors. */
struct target {
	int folder;
	const char *name; /* in @folder */
	const char *path;
	int64_t time;
};

static void set_times(struct timespec times[static 2], int64_t time)
{
	times[0] = times[1] = (struct timespec){.tv_sec = (time_t)time};
}

static int publish(const struct target *target, struct caisson_error *err)
{
	if (renameat(target->folder, MANIFEST_TEMPORARY, target->folder, target->name) == 0)
		return 0;
	return caisson_fail(err, errno, "write %s in the bundle", target->path);
}

static int drop_temporary(int folder, const char *path, struct caisson_error *err)
{
	if (unlinkat(folder, MANIFEST_TEMPORARY, 0) == 0 || errno == ENOENT || errno == ENOTDIR)
		return 0;
	if (errno == EISDIR && unlinkat(folder, MANIFEST_TEMPORARY, AT_REMOVEDIR) == 0)
		return 0;
	return caisson_fail(err, errno, "remove what a killed run left beside %s", path);
}

struct output {
	int fd;
	const char *path;
};

static int write_bytes(void *userdata, const void *data, size_t size, struct caisson_error *err)
{
	const struct output *output = userdata;

	return write_all(output->fd, data, size, output->path, err);
}

/* On the disk before it has its name: a name of ours never shows less than it should. */
static int finish_file(int fd, mode_t mode, const struct target *target, struct caisson_error *err)
{
	struct timespec times[2];

	set_times(times, target->time);
	if (fchmod(fd, mode) < 0 || futimens(fd, times) < 0 || fdatasync(fd) < 0)
		return caisson_fail(err, errno, "write %s in the bundle", target->path);
	return publish(target, err);
}

static int create_temporary(const struct target *target, struct caisson_error *err)
{
	int r = drop_temporary(target->folder, target->path, err);
	int fd;

	if (r < 0)
		return r;
	fd = openat(target->folder, MANIFEST_TEMPORARY,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd >= 0 ? fd : caisson_fail(err, errno, "write %s in the bundle", target->path);
}

/* From now on it is what was found. */
static void written(struct plan_file *file, dev_t device, ino_t inode)
{
	struct view_node *node = file->node;

	node->found = VIEW_FILE;
	node->size = file->size;
	node->mode = file->mode;
	node->device = device;
	node->inode = inode;
	memcpy(node->sha256, file->sha256, DIGEST_HEX_SIZE);
}

static int write_content(
	const struct target *target, struct plan_file *file, bool strip, struct caisson_error *err)
{
	_cleanup_close_ int fd = create_temporary(target, err);
	struct output output = {fd, target->path};
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	r = content_copy(file, strip, write_bytes, &output, err);
	if (r >= 0 && fstat(fd, &st) < 0)
		r = caisson_fail(err, errno, "stat %s in the bundle", target->path);
	if (r >= 0)
		r = finish_file(fd, file->mode, target, err);
	if (r < 0) {
		(void)unlinkat(target->folder, MANIFEST_TEMPORARY, 0);
		return r;
	}
	written(file, st.st_dev, st.st_ino);
	return 0;
}

static int write_link(
	const struct target *target, struct plan_file *file, struct caisson_error *err)
{
	struct timespec times[2];
	int r = drop_temporary(target->folder, target->path, err);

	if (r < 0)
		return r;
	set_times(times, target->time);
	if (symlinkat(file->target, target->folder, MANIFEST_TEMPORARY) < 0)
		return caisson_fail(err, errno, "write %s in the bundle", target->path);
	(void)utimensat(target->folder, MANIFEST_TEMPORARY, times, AT_SYMLINK_NOFOLLOW);
	r = publish(target, err);
	if (r < 0)
		(void)unlinkat(target->folder, MANIFEST_TEMPORARY, 0);
	return r;
}

/* Another name of a file that stands already; 0 when there cannot be one here. */
static int write_hard_link(const struct place *place, const struct target *target,
	struct plan_file *file, struct caisson_error *err)
{
	const struct view_node *first = file->link_to->node;
	_cleanup_close_ int here = fcntl(target->folder, F_DUPFD_CLOEXEC, 3);
	const struct target again = {here, target->name, target->path, target->time};
	int there, r;

	if (here < 0)
		return caisson_fail(err, errno, "write %s in the bundle", target->path);
	r = drop_temporary(here, target->path, err);
	there = r >= 0 ? view_folder(place->view, first->parent, err) : r;
	if (there < 0)
		return there;
	if (linkat(there, first->name, here, MANIFEST_TEMPORARY, 0) < 0)
		return 0;
	r = publish(&again, err);
	/* A rename onto itself leaves both. */
	(void)unlinkat(here, MANIFEST_TEMPORARY, 0);
	if (r < 0)
		return r;
	written(file, first->device, first->inode);
	return 1;
}

/* It has its mode, whatever the umask, before it has its name. */
static int make_folder(const struct place *place, struct view_node *node, struct caisson_error *err)
{
	_cleanup_free_ char *path = view_path(node);
	const char *name = path != NULL ? path : node->name;
	int folder = view_folder(place->view, node->parent, err);
	_cleanup_close_ int fd = -1;
	int r = folder < 0 ? folder : drop_temporary(folder, name, err);

	if (r < 0)
		return r;
	if (mkdirat(folder, MANIFEST_TEMPORARY, 0700) == 0)
		fd = openat(folder, MANIFEST_TEMPORARY,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, 0755) < 0 ||
		renameat(folder, MANIFEST_TEMPORARY, folder, node->name) < 0) {
		r = caisson_fail(err, errno, "create the folder %s in the bundle", name);
		(void)unlinkat(folder, MANIFEST_TEMPORARY, AT_REMOVEDIR);
		return r;
	}
	node->found = VIEW_FOLDER;
	node->made = true;
	return 0;
}

/* Those that do not exist yet, from the top. */
static int make_parents(
	const struct place *place, struct view_node *node, struct caisson_error *err)
{
	struct view_node *highest;
	int r = 0;

	do {
		highest = NULL;
		for (struct view_node *at = node->parent; at->parent != at; at = at->parent) {
			if (at->kind == VIEW_FOLDER && at->found == VIEW_NOTHING)
				highest = at;
		}
		if (highest != NULL)
			r = make_folder(place, highest, err);
	} while (highest != NULL && r >= 0);
	return r;
}

/* Other names of one file that stand there already, each by itself. */
static bool is_apart(const struct plan_file *file)
{
	const struct plan_file *first = file->link_to;

	return first != NULL && first->node != NULL && first->node != file->node && file->owned &&
	       (first->node->device != file->node->device ||
		       first->node->inode != file->node->inode);
}

static int write_one(const struct place *place, struct plan_file *file, bool strip, int64_t time,
	struct caisson_error *err)
{
	_cleanup_free_ char *path = view_path(file->node);
	struct target target = {-1, file->node->name, path, time};
	int r;

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "write %s", file->node->name);
	r = make_parents(place, file->node, err);
	if (r < 0)
		return r;
	target.folder = view_folder(place->view, file->node->parent, err);
	if (target.folder < 0)
		return target.folder;
	if (file->kind == CAISSON_BUNDLE_SYMLINK)
		return write_link(&target, file, err);
	if (is_apart(file)) {
		r = write_hard_link(place, &target, file, err);
		if (r != 0)
			return r < 0 ? r : 0;
		target.folder = view_folder(place->view, file->node->parent, err);
		if (target.folder < 0)
			return target.folder;
	}
	return write_content(&target, file, strip, err);
}

/* Folders that nothing stands in, but a path climbs out of. */
static int make_bare_folders(
	const struct place *place, struct view_node *node, struct caisson_error *err)
{
	int r = 0;

	for (struct view_node *child = node->children; child != NULL && r >= 0;
		child = child->next) {
		if (child->kind != VIEW_FOLDER)
			continue;
		if (child->found == VIEW_NOTHING)
			r = make_folder(place, child, err);
		if (r >= 0)
			r = make_bare_folders(place, child, err);
	}
	return r;
}

int write_plan(const struct place *place, bool strip, int64_t time, struct caisson_error *err)
{
	struct plan *plan = place->plan;

	for (size_t i = 0; i < plan->file_count; i++) {
		struct plan_file *file = plan->files[i];
		int r;

		if (file->node == NULL || file->node->file != file)
			continue;
		if (file->state == CAISSON_BUNDLE_KEPT &&
			(file->kind != CAISSON_BUNDLE_FILE || !is_apart(file)))
			continue;
		r = write_one(place, file, strip, time, err);
		if (r < 0)
			return r;
	}
	return make_bare_folders(place, place->view->top, err);
}

/* @last: the folder that was swept last; paths come in order. */
static int sweep_at(const struct place *place, const char *path, struct view_node **last,
	struct caisson_error *err)
{
	struct view_node *node;
	int folder;

	if (view_resolve(place->view, path, false, &node) < 0 ||
		node->parent->found != VIEW_FOLDER || node->parent == *last)
		return 0;
	*last = node->parent;
	folder = view_folder(place->view, node->parent, err);
	return folder < 0 ? folder : drop_temporary(folder, path, err);
}

int write_sweep(const struct place *place, struct caisson_error *err)
{
	const struct manifest *const earlier[] = {place->old, place->next};
	struct view_node *last = NULL;
	int r = sweep_at(place, "/" MANIFEST_NAME, &last, err);

	for (size_t i = 0; i < place->plan->file_count && r >= 0; i++)
		r = sweep_at(place, place->plan->files[i]->path, &last, err);
	for (size_t i = 0; i < ARRAY_SIZE(earlier); i++) {
		for (size_t j = 0; earlier[i] != NULL && j < earlier[i]->file_count && r >= 0; j++)
			r = sweep_at(place, earlier[i]->files[j].path, &last, err);
	}
	return r;
}

/* 1 when it was there to be removed. */
static int remove_one(
	const struct place *place, const struct manifest_file *file, struct caisson_error *err)
{
	bool is_folder = file->kind == CAISSON_BUNDLE_FOLDER;
	struct view_node *node;
	int folder;

	if (!file->owned || view_resolve(place->view, file->path, false, &node) < 0 ||
		node->file != NULL || place_owned(place, node, NULL) != file)
		return 0;
	folder = view_folder(place->view, node->parent, err);
	if (folder < 0)
		return folder;
	if (unlinkat(folder, node->name, is_folder ? AT_REMOVEDIR : 0) < 0) {
		if (errno == ENOENT || is_folder)
			return 0;
		return caisson_fail(err, errno, "remove %s in the bundle", file->path);
	}
	node->found = node->kind = VIEW_NOTHING;
	return 1;
}

int write_removals(const struct place *place, const struct manifest *now,
	int (*each)(const struct manifest_file *file, void *userdata), void *userdata,
	struct caisson_error *err)
{
	const struct manifest *const earlier[] = {place->old, place->next};

	for (size_t i = 0; i < ARRAY_SIZE(earlier); i++) {
		/* From the end: what is in a folder goes before the folder. */
		for (size_t j = earlier[i] != NULL ? earlier[i]->file_count : 0; j-- > 0;) {
			const struct manifest_file *file = &earlier[i]->files[j];
			int r;

			if (manifest_find(now, file->path) != NULL)
				continue;
			r = remove_one(place, file, err);
			if (r > 0)
				r = each(file, userdata);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

void write_times(const struct place *place, const struct manifest *now, int64_t time)
{
	struct timespec times[2];

	set_times(times, time);
	for (size_t i = 0; i < now->file_count; i++) {
		struct view_node *node;
		int folder;

		if (now->files[i].kind != CAISSON_BUNDLE_FOLDER ||
			view_resolve(place->view, now->files[i].path, false, &node) < 0)
			continue;
		folder = view_folder(place->view, node->parent, NULL);
		if (folder >= 0)
			(void)utimensat(folder, node->name, times, AT_SYMLINK_NOFOLLOW);
	}
}

int write_top_file(const struct view *view, const char *name, const void *data, size_t size,
	int64_t time, struct caisson_error *err)
{
	const struct target target = {view->fd, name, name, time};
	_cleanup_close_ int fd = create_temporary(&target, err);
	int r;

	if (fd < 0)
		return fd;
	r = write_all(fd, data, size, name, err);
	if (r >= 0)
		r = finish_file(fd, 0644, &target, err);
	if (r < 0)
		(void)unlinkat(view->fd, MANIFEST_TEMPORARY, 0);
	return r;
}
