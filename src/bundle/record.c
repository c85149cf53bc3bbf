/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bundle/record.h"

#include <errno.h>
#include <string.h>

#include "base/path.h"

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "record a bundle");
}

static char *copy(const char *text)
{
	return text != NULL ? strdup(text) : NULL;
}

static bool copied(const char *copy, const char *text)
{
	return copy != NULL || text == NULL;
}

static const char *root_of(const struct bundle_options *options)
{
	return options->closure.root != NULL ? options->closure.root : "/";
}

static int add_program(struct manifest *manifest, const struct place *place, size_t index,
	const struct bundle_options *options, struct caisson_error *err)
{
	struct manifest_program *program = manifest_add_program(manifest);
	const struct plan *plan = place->plan;

	if (program == NULL)
		return out_of_memory(err);
	program->path = strdup(plan->programs[index].asked);
	program->root = strdup(root_of(options));
	program->dlopen = options->closure.dlopen;
	program->library_path = copy(options->closure.library_path);
	program->hwcaps = copy(options->closure.hwcaps);
	program->with_config = options->closure.config;
	program->strip = options->strip;
	if (program->path == NULL || program->root == NULL ||
		!copied(program->library_path, options->closure.library_path) ||
		!copied(program->hwcaps, options->closure.hwcaps))
		return out_of_memory(err);
	for (size_t i = 0; i < plan->file_count; i++) {
		const struct plan_file *file = plan->files[i];

		if (file->node != NULL && file->node->file == file && plan_marked(file, index))
			strv_add_owned(&program->files, view_path(file->node));
	}
	return strv_ok(&program->files) ? 0 : out_of_memory(err);
}

static int add_file(struct manifest *manifest, const struct plan_file *file, const char *root,
	struct caisson_error *err)
{
	struct manifest_file *record = manifest_add_file(manifest);

	if (record == NULL)
		return out_of_memory(err);
	record->path = view_path(file->node);
	record->kind = file->kind;
	record->owned = file->owned;
	record->target = copy(file->target);
	record->source = copy(file->source);
	if (record->path == NULL || !copied(record->target, file->target) ||
		!copied(record->source, file->source))
		return out_of_memory(err);
	if (file->kind == CAISSON_BUNDLE_SYMLINK)
		return 0;
	record->size = file->size;
	record->mode = file->state == CAISSON_BUNDLE_KEPT ? file->node->mode : file->mode;
	memcpy(record->sha256, file->sha256, DIGEST_HEX_SIZE);
	if (file->source == NULL)
		return 0;
	record->root = strdup(root);
	record->source_size = file->source_size;
	memcpy(record->source_sha256, file->source_sha256, DIGEST_HEX_SIZE);
	return record->root != NULL ? 0 : out_of_memory(err);
}

static int add_folder(struct manifest *manifest, const char *path, struct caisson_error *err)
{
	struct manifest_file *record = manifest_add_file(manifest);

	if (record == NULL || (record->path = strdup(path)) == NULL)
		return out_of_memory(err);
	record->kind = CAISSON_BUNDLE_FOLDER;
	record->owned = true;
	record->mode = 0755;
	return 0;
}

static int copy_file(
	struct manifest *manifest, const struct manifest_file *from, struct caisson_error *err)
{
	struct manifest_file *record = manifest_add_file(manifest);

	if (record == NULL)
		return out_of_memory(err);
	*record = *from;
	record->path = copy(from->path);
	record->target = copy(from->target);
	record->source = copy(from->source);
	record->root = copy(from->root);
	if (record->path == NULL || !copied(record->target, from->target) ||
		!copied(record->source, from->source) || !copied(record->root, from->root))
		return out_of_memory(err);
	return 0;
}

/* A program that stays as an earlier bundle made it, and its files. */
static int copy_program(struct manifest *manifest, const struct manifest *old,
	const struct manifest_program *from, struct strv *extra, struct caisson_error *err)
{
	struct manifest_program *program = manifest_add_program(manifest);

	if (program == NULL)
		return out_of_memory(err);
	*program = *from;
	program->files = STRV_INIT;
	program->path = copy(from->path);
	program->root = copy(from->root);
	program->library_path = copy(from->library_path);
	program->hwcaps = copy(from->hwcaps);
	for (size_t i = 0; i < from->files.count; i++) {
		strv_add(&program->files, from->files.items[i]);
		if (manifest_find(old, from->files.items[i]) != NULL)
			strv_add(extra, from->files.items[i]);
	}
	if (program->path == NULL || program->root == NULL || !strv_ok(&program->files) ||
		!copied(program->library_path, from->library_path) ||
		!copied(program->hwcaps, from->hwcaps))
		return out_of_memory(err);
	return 0;
}

static bool made_again(const struct place *place, const struct bundle_options *options,
	const struct manifest_program *program)
{
	if (strcmp(program->root, root_of(options)) != 0)
		return false;
	for (size_t i = 0; i < place->plan->program_count; i++) {
		if (strcmp(place->plan->programs[i].asked, program->path) == 0)
			return true;
	}
	return false;
}

static int add_old(struct manifest *manifest, const struct place *place,
	const struct bundle_options *options, struct caisson_error *err)
{
	_cleanup_strv_ struct strv extra = STRV_INIT;
	int r = 0;

	for (size_t i = 0; i < place->old->program_count && r >= 0; i++) {
		if (!made_again(place, options, &place->old->programs[i]))
			r = copy_program(
				manifest, place->old, &place->old->programs[i], &extra, err);
	}
	if (r >= 0 && !strv_ok(&extra))
		return out_of_memory(err);
	strv_sort(&extra);
	manifest_sort(manifest);
	for (size_t i = 0, known = manifest->file_count; i < extra.count && r >= 0; i++) {
		struct manifest there = {.files = manifest->files, .file_count = known};

		if ((i == 0 || strcmp(extra.items[i], extra.items[i - 1]) != 0) &&
			manifest_find(&there, extra.items[i]) == NULL)
			r = copy_file(manifest, manifest_find(place->old, extra.items[i]), err);
	}
	return r;
}

/* Whether a file of @manifest, which is sorted, stands below @folder. */
static bool holds_files(const struct manifest *manifest, size_t count, const char *folder)
{
	size_t length = strlen(folder);

	for (size_t i = 0; i < count; i++) {
		if (strncmp(manifest->files[i].path, folder, length) == 0 &&
			manifest->files[i].path[length] == '/')
			return true;
	}
	return false;
}

/* Folders of ours are those that are made now, and those of earlier bundles that are in use. */
static int add_folders(
	struct manifest *manifest, const struct place *place, struct caisson_error *err)
{
	const struct manifest *const earlier[] = {place->old, place->next};
	_cleanup_strv_ struct strv folders = STRV_INIT;
	size_t count = manifest->file_count;
	int r = 0;

	for (size_t i = 0; i < place->plan->file_count; i++) {
		const struct view_node *node = place->plan->files[i]->node;

		for (node = node != NULL ? node->parent : place->view->top; node->parent != node;
			node = node->parent) {
			if (node->found == VIEW_NOTHING)
				strv_add_owned(&folders, view_path(node));
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(earlier); i++) {
		for (size_t j = 0; earlier[i] != NULL && j < earlier[i]->file_count; j++) {
			const struct manifest_file *file = &earlier[i]->files[j];

			if (file->kind == CAISSON_BUNDLE_FOLDER && file->owned &&
				holds_files(manifest, count, file->path))
				strv_add(&folders, file->path);
		}
	}
	if (!strv_ok(&folders))
		return out_of_memory(err);
	strv_sort(&folders);
	for (size_t i = 0; i < folders.count && r >= 0; i++) {
		if (i == 0 || strcmp(folders.items[i], folders.items[i - 1]) != 0)
			r = add_folder(manifest, folders.items[i], err);
	}
	return r;
}

int record_make(const struct place *place, const struct bundle_options *options,
	struct manifest *ret_manifest, struct caisson_error *err)
{
	_cleanup_manifest_ struct manifest manifest = {
		.layout = options->layout, .wrapper = options->wrapper};
	const struct plan *plan = place->plan;
	int r = 0;

	for (size_t i = 0; i < plan->program_count && r >= 0; i++)
		r = add_program(&manifest, place, i, options, err);
	for (size_t i = 0; i < plan->file_count && r >= 0; i++) {
		const struct plan_file *file = plan->files[i];

		if (file->node != NULL && file->node->file == file)
			r = add_file(&manifest, file, root_of(options), err);
	}
	if (r >= 0 && place->old != NULL)
		r = add_old(&manifest, place, options, err);
	if (r >= 0)
		r = add_folders(&manifest, place, err);
	if (r < 0)
		return r;
	manifest_sort(&manifest);
	*ret_manifest = manifest;
	manifest = MANIFEST_NONE;
	return 0;
}
