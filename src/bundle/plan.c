/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bundle/plan.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/strbuf.h"

enum { FILES_MOST = 1 << 16, PROGRAMS_MOST = 4096 };

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "plan a bundle");
}

static void file_free(struct plan_file *file)
{
	free(file->path);
	free(file->target);
	free(file->data);
	free(file->source);
	free(file->open_path);
	free(file->wanted_by);
	free(file->programs);
	free(file);
}
DEFINE_CLEANUP(struct plan_file *, file_free);

void plan_done(struct plan *plan)
{
	for (size_t i = 0; i < plan->file_count; i++)
		file_free(plan->files[i]);
	for (size_t i = 0; i < plan->name_count; i++)
		free(plan->names[i].path);
	for (size_t i = 0; i < plan->program_count; i++) {
		free(plan->programs[i].asked);
		free(plan->programs[i].starts);
		free(plan->programs[i].loader);
	}
	free(plan->files);
	free(plan->names);
	free(plan->programs);
	strv_done(&plan->left_out);
	*plan = PLAN_INIT;
}

struct plan_file *plan_find(const struct plan *plan, const char *path)
{
	for (size_t i = plan->file_count; i-- > 0;) {
		if (strcmp(plan->files[i]->path, path) == 0)
			return plan->files[i];
	}
	return NULL;
}

static int file_new(struct plan *plan, const char *path, enum caisson_bundle_kind kind,
	size_t program, struct plan_file **ret_file, struct caisson_error *err)
{
	_cleanup_(file_freep) struct plan_file *file = calloc(1, sizeof(*file));

	if (plan->file_count >= FILES_MOST)
		return caisson_refuse(err, E2BIG, "a bundle holds up to %d files", FILES_MOST);
	if (strlen(path) >= PATH_MAX)
		return caisson_fail(err, ENAMETOOLONG, "bundle %s", path);
	if (plan->file_count == plan->file_capacity) {
		size_t capacity = 2 * plan->file_capacity + 64;
		void *files = reallocarray(plan->files, capacity, sizeof(struct plan_file *));

		if (files == NULL)
			return out_of_memory(err);
		plan->files = files;
		plan->file_capacity = capacity;
	}
	if (file == NULL || (file->path = strdup(path)) == NULL ||
		(file->programs = calloc(1, plan->program_count / 8 + 1)) == NULL)
		return out_of_memory(err);
	file->kind = kind;
	file->rule = "";
	file->owned = true;
	plan_mark(file, program);
	*ret_file = plan->files[plan->file_count++] = take_ptr(file);
	return 0;
}

static int two_things(
	const char *path, const char *one, const char *other, struct caisson_error *err)
{
	return caisson_refuse(err, EEXIST, "%s would be two things in the bundle: %s and %s", path,
		one != NULL ? one : "what is made here",
		other != NULL ? other : "what is made here");
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Finds out whether @file, which is there already, is what @entry asks for. */
static bool is_entry(const struct plan_file *file, const struct closure_entry *entry)
{
	switch (entry->kind) {
	case CLOSURE_SYMLINK:
		return file->kind == CAISSON_BUNDLE_SYMLINK &&
		       same_text(file->target, entry->target);
	case CLOSURE_DATA:
		/* Made for one program yet: see plan_join(). */
		return plan_is_joint(file);
	case CLOSURE_FILE:
		return file->source != NULL && file->device == entry->device &&
		       file->inode == entry->inode;
	}
	return false;
}

static int take_entry(
	struct plan_file *file, const struct closure_entry *entry, struct caisson_error *err)
{
	bool failed = false;

	file->role = entry->role;
	file->rule = entry->rule;
	file->mode = entry->mode & 0777;
	file->size = entry->size;
	file->device = entry->device;
	file->inode = entry->inode;
	if (entry->wanted_by != NULL)
		failed |= (file->wanted_by = strdup(entry->wanted_by)) == NULL;
	if (entry->kind == CLOSURE_SYMLINK) {
		failed |= (file->target = strdup(entry->target)) == NULL;
		file->mode = 0777;
	} else if (entry->kind == CLOSURE_DATA) {
		file->data = malloc(entry->size + 1);
		failed |= file->data == NULL;
		if (file->data != NULL)
			memcpy(file->data, entry->data, entry->size);
	} else {
		file->source = strdup(entry->path);
		file->open_path = strdup(entry->source);
		failed |= file->source == NULL || file->open_path == NULL;
	}
	return failed ? out_of_memory(err) : 0;
}

int plan_add_entry(struct plan *plan, const struct closure_entry *entry, const char *path,
	size_t program, struct plan_file **ret_file, struct caisson_error *err)
{
	struct plan_file *file = plan_find(plan, path);
	int r;

	if (file != NULL && !is_entry(file, entry))
		return two_things(path, file->source != NULL ? file->source : file->target,
			entry->kind == CLOSURE_FILE ? entry->path : entry->target, err);
	if (file == NULL) {
		r = file_new(plan, path,
			entry->kind == CLOSURE_SYMLINK ? CAISSON_BUNDLE_SYMLINK
						       : CAISSON_BUNDLE_FILE,
			program, &file, err);
		if (r >= 0)
			r = take_entry(file, entry, err);
		if (r < 0)
			return r;
	}
	plan_mark(file, program);
	*ret_file = file;
	return 0;
}

int plan_add_link(struct plan *plan, const char *path, const char *target, enum closure_role role,
	size_t program, struct plan_file **ret_file, struct caisson_error *err)
{
	struct plan_file *file = plan_find(plan, path);
	int r;

	if (file != NULL && !same_text(file->target, target))
		return two_things(
			path, file->source != NULL ? file->source : file->target, target, err);
	if (file == NULL) {
		r = file_new(plan, path, CAISSON_BUNDLE_SYMLINK, program, &file, err);
		if (r < 0)
			return r;
		file->role = role;
		file->rule = "name";
		file->mode = 0777;
		file->target = strdup(target);
		if (file->target == NULL)
			return out_of_memory(err);
	}
	plan_mark(file, program);
	*ret_file = file;
	return 0;
}

int plan_add_data(struct plan *plan, const char *path, char *data, size_t size, mode_t mode,
	size_t program, struct plan_file **ret_file, struct caisson_error *err)
{
	_cleanup_free_ char *content = data;
	struct plan_file *file = plan_find(plan, path);
	int r;

	if (content == NULL)
		return out_of_memory(err);
	if (file != NULL && (file->data == NULL || file->size != size ||
				    memcmp(file->data, content, size) != 0))
		return two_things(path, file->source, NULL, err);
	if (file == NULL) {
		r = file_new(plan, path, CAISSON_BUNDLE_FILE, program, &file, err);
		if (r < 0)
			return r;
		file->rule = "wrapper";
		file->mode = mode;
		file->size = size;
		file->data = take_ptr(content);
	}
	plan_mark(file, program);
	*ret_file = file;
	return 0;
}

int plan_add_name(struct plan *plan, const char *path, struct plan_file *file, size_t program,
	struct caisson_error *err)
{
	char *copy;

	if (plan->name_count == plan->name_capacity) {
		size_t capacity = 2 * plan->name_capacity + 64;
		void *names = reallocarray(plan->names, capacity, sizeof(*plan->names));

		if (names == NULL)
			return out_of_memory(err);
		plan->names = names;
		plan->name_capacity = capacity;
	}
	copy = strdup(path);
	if (copy == NULL)
		return out_of_memory(err);
	plan->names[plan->name_count++] = (struct plan_name){copy, file, program};
	return 0;
}

static int compare_files(const void *a, const void *b)
{
	const struct plan_file *const *left = a, *const *right = b;

	return strcmp((*left)->path, (*right)->path);
}

void plan_sort(struct plan *plan)
{
	if (plan->file_count > 1)
		qsort(plan->files, plan->file_count, sizeof(struct plan_file *), compare_files);
}

static int copy_text(char **text, const char *from, struct caisson_error *err)
{
	free(*text);
	*text = strdup(from);
	return *text != NULL ? 0 : out_of_memory(err);
}

/* Everything where it stands in the root. */
static int plan_same(
	struct plan *plan, struct closure *closure, size_t index, struct caisson_error *err)
{
	struct plan_program *program = &plan->programs[index];
	const struct closure_entry *entries;
	const struct closure_name *names;
	struct plan_file *file;
	size_t count;
	int r = 0;

	entries = closure_entries(closure, &count);
	if (entries == NULL && count > 0)
		return out_of_memory(err);
	for (size_t i = 0; i < count && r >= 0; i++)
		r = plan_add_entry(plan, &entries[i], entries[i].path, index, &file, err);
	names = closure_names(closure, &count);
	for (size_t i = 0; i < count && r >= 0; i++) {
		file = plan_find(plan, names[i].real);
		if (file == NULL)
			return caisson_refuse(err, ENOENT, "%s leads nowhere", names[i].path);
		r = plan_add_name(plan, names[i].path, file, index, err);
		if (r >= 0 && names[i].role == CLOSURE_INTERPRETER) {
			program->loader_file = file;
			r = copy_text(&program->loader, names[i].path, err);
		}
		if (strcmp(names[i].path, program->asked) == 0)
			program->file = file;
	}
	return r >= 0 ? copy_text(&program->starts, program->asked, err) : r;
}

static int add_program(struct plan *plan, size_t index, const struct bundle_options *options,
	struct caisson_error *err)
{
	_cleanup_(closure_freep) struct closure *closure = NULL;
	struct plan_program *program = &plan->programs[index];
	int r = closure_new(&closure, &options->closure, err);

	if (r >= 0)
		r = closure_add_program(closure, program->asked, err);
	if (r < 0)
		return r;
	r = plan->layout == CAISSON_BUNDLE_FLAT ? plan_flat(plan, closure, index, err)
						: plan_same(plan, closure, index, err);
	closure_left_out(closure, &plan->left_out);
	if (!strv_ok(&plan->left_out))
		return out_of_memory(err);
	if (r >= 0 && program->file == NULL)
		return caisson_refuse(err, ENOENT, "%s leads nowhere", program->asked);
	return r;
}

/* Two names of one file, as they are links of each other in the root. */
static void find_links(struct plan *plan)
{
	for (size_t i = 0; i < plan->file_count; i++) {
		struct plan_file *file = plan->files[i];

		for (size_t j = 0; j < i && file->source != NULL; j++) {
			struct plan_file *first = plan->files[j];

			if (first->source != NULL && first->device == file->device &&
				first->inode == file->inode) {
				file->link_to = first->link_to != NULL ? first->link_to : first;
				break;
			}
		}
	}
}

static int take_joint(
	struct plan *plan, const struct closure_entry *entry, struct caisson_error *err)
{
	struct plan_file *file = entry->kind == CLOSURE_DATA ? plan_find(plan, entry->path) : NULL;
	char *data;

	if (file == NULL || !plan_is_joint(file))
		return 0;
	data = malloc(entry->size + 1);
	if (data == NULL)
		return out_of_memory(err);
	memcpy(data, entry->data, entry->size);
	free(file->data);
	file->data = data;
	file->size = entry->size;
	return 1;
}

static int take_all_joint(struct plan *plan, struct closure *closure, struct caisson_error *err)
{
	size_t count;
	const struct closure_entry *entries = closure_entries(closure, &count);
	int r = 0, taken = 0;

	if (entries == NULL && count > 0)
		return out_of_memory(err);
	for (size_t i = 0; i < count && r >= 0; i++) {
		r = take_joint(plan, &entries[i], err);
		taken |= r > 0;
	}
	return r < 0 ? r : taken;
}

int plan_join(struct plan *plan, const struct closure_options *options, const char *const *others,
	size_t other_count, struct caisson_error *err)
{
	_cleanup_(closure_freep) struct closure *closure = NULL;
	struct closure_options tolerant = *options;
	bool any = false;
	int r;

	for (size_t i = 0; i < plan->file_count; i++)
		any |= plan_is_joint(plan->files[i]);
	if (!any || plan->program_count + other_count < 2)
		return 0;
	tolerant.tolerant = true;
	r = closure_new(&closure, &tolerant, err);
	for (size_t i = 0; i < plan->program_count && r >= 0; i++)
		r = closure_add_program(closure, plan->programs[i].asked, err);
	for (size_t i = 0; i < other_count && r >= 0; i++)
		r = closure_add_program(closure, others[i], err) == -ENOMEM ? -ENOMEM : 0;
	return r < 0 ? r : take_all_joint(plan, closure, err);
}

int plan_make(
	struct plan *ret_plan, const struct bundle_options *options, struct caisson_error *err)
{
	_cleanup_plan_ struct plan plan = {.layout = options->layout, .wrapper = options->wrapper};
	int r = 0;

	if (options->program_count > PROGRAMS_MOST)
		return caisson_refuse(
			err, E2BIG, "a bundle holds up to %d programs", PROGRAMS_MOST);
	plan.programs = calloc(options->program_count + 1, sizeof(*plan.programs));
	if (plan.programs == NULL)
		return out_of_memory(err);
	plan.program_count = options->program_count;
	for (size_t i = 0; i < plan.program_count && r >= 0; i++)
		r = copy_text(&plan.programs[i].asked, options->programs[i], err);
	for (size_t i = 0; i < plan.program_count && r >= 0; i++)
		r = add_program(&plan, i, options, err);
	if (r >= 0)
		r = plan_join(&plan, &options->closure, NULL, 0, err);
	if (r < 0)
		return r;
	plan_sort(&plan);
	find_links(&plan);
	*ret_plan = plan;
	plan = PLAN_INIT;
	return 0;
}
