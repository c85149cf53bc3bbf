/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bundle/place.h"

#include <errno.h>
#include <string.h>

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "place a bundle");
}

static int conflict(struct place *place, const char *path, const char *why)
{
	if (place->conflicts++ == 0)
		caisson_refuse(&place->first, EEXIST, "%s in the folder %s", path, why);
	return 0;
}

/* Why @path leads to no place: @error is view_resolve()'s. */
static int blocked(struct place *place, const char *path, int error, struct caisson_error *err)
{
	if (error == -ENOTDIR || error == -ELOOP)
		return conflict(place, path, "leads through something that is no folder");
	return caisson_fail(err, error, "look at %s in the folder", path);
}

/* Whether @node is as @record says. -errno when it cannot be read. */
static int as_recorded(struct view *view, struct view_node *node,
	const struct manifest_file *record, struct caisson_error *err)
{
	int r;

	switch (record->kind) {
	case CAISSON_BUNDLE_FOLDER:
		return node->found == VIEW_FOLDER;
	case CAISSON_BUNDLE_SYMLINK:
		return node->found == VIEW_SYMLINK &&
		       strcmp(node->found_target, record->target) == 0;
	case CAISSON_BUNDLE_FILE:
		break;
	}
	if (node->found != VIEW_FILE || node->size != record->size)
		return 0;
	r = view_digest(view, node, err);
	return r < 0 ? r : strcmp(node->sha256, record->sha256) == 0;
}

const struct manifest_file *place_owned(
	const struct place *place, struct view_node *node, struct caisson_error *err)
{
	const struct manifest *const manifests[] = {place->old, place->next};
	_cleanup_free_ char *path = view_path(node);

	for (size_t i = 0; i < ARRAY_SIZE(manifests) && path != NULL; i++) {
		const struct manifest_file *record =
			manifests[i] != NULL ? manifest_find(manifests[i], path) : NULL;

		if (record != NULL && record->owned &&
			as_recorded(place->view, node, record, err) > 0)
			return record;
	}
	return NULL;
}

/* Whether what stands at @node may give way to @file. */
static int make_way(
	struct place *place, struct view_node *node, struct plan_file *file, const char *why)
{
	if (node->kind == VIEW_FOLDER || node->kind == VIEW_OTHER)
		return conflict(place, file->path, "is no file");
	if (!place->replace && place_owned(place, node, NULL) == NULL)
		return conflict(place, file->path, why);
	file->state = CAISSON_BUNDLE_REPLACED;
	return 1;
}

static void take(struct plan_file *file, struct view_node *node)
{
	file->node = node;
	node->file = file;
	node->kind = file->kind == CAISSON_BUNDLE_SYMLINK ? VIEW_SYMLINK : VIEW_FILE;
	view_plan_parents(node);
}

static int take_link(struct plan_file *file, struct view_node *node, struct caisson_error *err)
{
	char *target = strdup(file->target);

	if (target == NULL)
		return out_of_memory(err);
	free(node->target);
	node->target = target;
	take(file, node);
	return 0;
}

/* What is there is what would be written. It stays ours if it was. */
static void keep(struct place *place, struct plan_file *file, struct view_node *node)
{
	file->state = CAISSON_BUNDLE_KEPT;
	file->owned = place_owned(place, node, NULL) != NULL;
	take(file, node);
}

/* A link of the folder's own, in the place of ours: it does when it leads to a folder, or to where
   ours would lead. */
static bool other_link_does(struct view *view, struct view_node *node, const char *target)
{
	struct view_node *theirs, *ours;

	if (view_resolve_from(view, node, node->target, &theirs) < 0)
		return false;
	if (theirs->kind == VIEW_FOLDER)
		return true;
	return view_resolve_from(view, node, target, &ours) >= 0 && theirs == ours &&
	       theirs->kind == VIEW_FILE;
}

/* With a folder's own links, one of ours can lead to itself: it is not needed then. */
static bool leads_back(struct view *view, struct view_node *node, const char *target)
{
	struct view_node *end;

	return view_resolve_from(view, node, target, &end) < 0 || end == node;
}

/* A link that is not made is not missed: place_name() sees to what should lead through it. */
static int place_link(struct place *place, struct plan_file *file, struct caisson_error *err)
{
	struct view_node *node;
	int r;

	r = view_resolve(place->view, file->path, false, &node);
	if (r < 0)
		return blocked(place, file->path, r, err);
	file->state = CAISSON_BUNDLE_NEW;
	if (node->file != NULL)
		return conflict(place, file->path, "would be two things");
	if (node->kind == VIEW_NOTHING)
		return leads_back(place->view, node, file->target) ? 0 : take_link(file, node, err);
	if (node->kind == VIEW_SYMLINK && strcmp(node->target, file->target) == 0) {
		keep(place, file, node);
		return 0;
	}
	if (node->kind == VIEW_FOLDER ||
		(place_owned(place, node, NULL) == NULL &&
			(!place->replace ||
				(node->kind == VIEW_SYMLINK &&
					other_link_does(place->view, node, file->target)))))
		return 0;
	return make_way(place, node, file, "is no link") > 0 ? take_link(file, node, err) : 0;
}

/* The same bytes, and at least the permissions that are wanted. */
static int same_content(struct place *place, struct view_node *node, const struct plan_file *file,
	struct caisson_error *err)
{
	int r;

	if (node->found != VIEW_FILE || node->size != file->size ||
		(node->mode & file->mode) != file->mode)
		return 0;
	r = view_digest(place->view, node, err);
	return r < 0 ? r : strcmp(node->sha256, file->sha256) == 0;
}

/* Another planned file, which came to stand at the same place as the folder's links have it. */
static int place_again(struct place *place, struct plan_file *file, struct view_node *node)
{
	if (node->file->kind != CAISSON_BUNDLE_FILE ||
		strcmp(node->file->sha256, file->sha256) != 0)
		return conflict(place, file->path, "would be two things");
	for (size_t i = 0; i < place->plan->program_count; i++) {
		if (plan_marked(file, i))
			plan_mark(node->file, i);
	}
	file->node = node;
	return 0;
}

static int place_at(struct place *place, struct plan_file *file, struct view_node *node,
	struct caisson_error *err)
{
	int r;

	file->state = CAISSON_BUNDLE_NEW;
	if (node->file != NULL)
		return place_again(place, file, node);
	if (node->kind == VIEW_NOTHING) {
		take(file, node);
		return 0;
	}
	r = same_content(place, node, file, err);
	if (r < 0)
		return r;
	if (r > 0) {
		keep(place, file, node);
		return 0;
	}
	if (make_way(place, node, file, "is another file, and no bundle's") > 0)
		take(file, node);
	return 0;
}

static int place_file(struct place *place, struct plan_file *file, struct caisson_error *err)
{
	struct view_node *node, *end;
	int r;

	r = view_resolve(place->view, file->path, false, &node);
	if (r < 0)
		return blocked(place, file->path, r, err);
	/* A link to the same file does as well. */
	if (node->kind == VIEW_SYMLINK && node->file == NULL &&
		view_resolve(place->view, file->path, true, &end) >= 0) {
		r = end->file == NULL ? same_content(place, end, file, err) : 0;
		if (r < 0)
			return r;
		if (r > 0)
			node = end;
	}
	return place_at(place, file, node, err);
}

/* A link at @path; one of the plan's that was not made there becomes it. */
static int plan_link(struct place *place, const char *path, const char *target,
	const struct plan_name *name, struct plan_file **ret_link, struct caisson_error *err)
{
	struct plan_file *link = plan_find(place->plan, path);
	char *copy;

	if (link == NULL || link->kind != CAISSON_BUNDLE_SYMLINK || link->node != NULL)
		return plan_add_link(
			place->plan, path, target, name->file->role, name->program, ret_link, err);
	copy = strdup(target);
	if (copy == NULL)
		return out_of_memory(err);
	free(link->target);
	link->target = copy;
	plan_mark(link, name->program);
	*ret_link = link;
	return 0;
}

/* A relative link at @node that leads to the file which @name means. */
static int link_name(struct place *place, const struct plan_name *name, struct view_node *node,
	struct caisson_error *err)
{
	_cleanup_free_ char *path = view_path(node);
	_cleanup_free_ char *target = view_relative(node, name->file->node);
	struct plan_file *link;
	int r;

	if (path == NULL || target == NULL)
		return out_of_memory(err);
	r = plan_link(place, path, target, name, &link, err);
	if (r == -EEXIST)
		return conflict(place, path, "would be two things");
	if (r < 0)
		return r;
	link->state = CAISSON_BUNDLE_NEW;
	if (node->kind != VIEW_NOTHING &&
		make_way(place, node, link, "is another file, and no bundle's") <= 0)
		return 0;
	return take_link(link, node, err);
}

/* The folder's own file, which is the same: it is part of the bundle then. */
static int adopt(struct place *place, const struct plan_name *name, struct view_node *node,
	struct caisson_error *err)
{
	const struct plan_file *from = name->file;
	_cleanup_free_ char *path = view_path(node);
	struct closure_entry entry = {
		.path = from->source,
		.kind = CLOSURE_FILE,
		.role = from->role,
		.source = from->open_path,
		.mode = from->mode,
		.size = from->size,
		.device = from->device,
		.inode = from->inode,
		.wanted_by = from->wanted_by,
		.rule = from->rule,
	};
	struct plan_file *file;
	int r;

	if (path == NULL)
		return out_of_memory(err);
	r = plan_add_entry(place->plan, &entry, path, name->program, &file, err);
	if (r < 0)
		return r;
	file->source_size = from->source_size;
	memcpy(file->sha256, from->sha256, DIGEST_HEX_SIZE);
	memcpy(file->source_sha256, from->source_sha256, DIGEST_HEX_SIZE);
	keep(place, file, node);
	return 0;
}

/* Links of an earlier bundle, which were made for the folder's layout, are still needed. */
static int keep_trail(struct place *place, const struct plan_name *name, struct caisson_error *err)
{
	for (size_t i = 0; i < place->view->trail_count; i++) {
		struct view_node *node = place->view->trail[i];
		_cleanup_free_ char *path = NULL;
		struct plan_file *link;
		int r;

		if (node->file != NULL) {
			plan_mark(node->file, name->program);
			continue;
		}
		if (place_owned(place, node, NULL) == NULL)
			continue;
		path = view_path(node);
		r = path != NULL ? plan_link(place, path, node->target, name, &link, err)
				 : out_of_memory(err);
		if (r < 0)
			return r;
		keep(place, link, node);
	}
	return 0;
}

/* Makes the path that will be asked for lead to its file. */
static int place_name(struct place *place, const struct plan_name *name, struct caisson_error *err)
{
	struct view_node *node;
	int r;

	if (name->file->node == NULL)
		return 0; /* in the way of something: told already */
	r = view_resolve(place->view, name->path, true, &node);
	if (r < 0)
		return blocked(place, name->path, r, err);
	if (node == name->file->node)
		return keep_trail(place, name, err);
	if (node->file != NULL) {
		if (node->file->kind == CAISSON_BUNDLE_FILE &&
			strcmp(node->file->sha256, name->file->sha256) == 0) {
			plan_mark(node->file, name->program);
			return 0;
		}
		return conflict(place, name->path, "would be two things");
	}
	r = name->file->source != NULL ? same_content(place, node, name->file, err) : 0;
	if (r != 0)
		return r < 0 ? r : adopt(place, name, node, err);
	return link_name(place, name, node, err);
}

/* Of what cannot be placed, the programs need it all the same; of a dropped link, none does. */
int place_plan(struct place *place, struct caisson_error *err)
{
	size_t count = place->plan->file_count;
	int r = 0;

	for (size_t i = 0; i < count; i++)
		place->plan->files[i]->node = NULL;
	for (size_t i = 0; i < count && r >= 0; i++) {
		if (place->plan->files[i]->kind == CAISSON_BUNDLE_SYMLINK)
			r = place_link(place, place->plan->files[i], err);
	}
	for (size_t i = 0; i < count && r >= 0; i++) {
		if (place->plan->files[i]->kind == CAISSON_BUNDLE_FILE)
			r = place_file(place, place->plan->files[i], err);
	}
	/* What stands in the way of a file is told once. */
	for (size_t i = 0; i < place->plan->name_count && r >= 0 && place->conflicts == 0; i++)
		r = place_name(place, &place->plan->names[i], err);
	plan_sort(place->plan);
	return r;
}
