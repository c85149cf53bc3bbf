/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The programs of a boot archive with their closures. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot/recipe.h"
#include "closure/closure.h"

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "put a boot archive together");
}

/* Permission bits that do not depend on the umask of whoever built the file. */
static mode_t plain_mode(mode_t mode)
{
	return (mode & 0111) != 0 ? 0755 : 0644;
}

int recipe_program_source(
	const struct initramfs_program *program, char **ret_source, struct caisson_error *err)
{
	char *source;

	if (program->path == NULL && program->source[0] == '/')
		source = strdup(program->source);
	else
		source = realpath(program->source, NULL);
	if (source == NULL)
		return caisson_fail(err, errno, "find the program %s", program->source);
	*ret_source = source;
	return 0;
}

/* A bare name is looked for in the folders that programs stand in; else it is a path. */
static char *find_named(const char *root, const char *name)
{
	static const char *const folders[] = {
		"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"};

	for (size_t i = 0; strchr(name, '/') == NULL && i < ARRAY_SIZE(folders); i++) {
		_cleanup_free_ char *path = format_string("%s/%s", folders[i], name);
		_cleanup_free_ char *full =
			path != NULL ? format_string("%s%s", root != NULL ? root : "", path) : NULL;

		if (full != NULL && access(full, F_OK) == 0)
			return take_ptr(path);
	}
	return root != NULL && name[0] != '/' ? format_string("/%s", name) : strdup(name);
}

/* Programs whose files are in one root, and where they go. */
struct group {
	struct closure *closure;
	const char *root;                     /* NULL: this machine's */
	struct strv sources, places, reasons; /* by index; a place or reason may be "" */
};

static void group_done(struct group *group)
{
	if (group->closure != NULL)
		closure_free(group->closure);
	strv_done(&group->sources);
	strv_done(&group->places);
	strv_done(&group->reasons);
}

static int group_open(struct group *group, const struct initramfs_recipe *recipe, const char *root,
	struct caisson_error *err)
{
	const struct closure_options options = {.root = root, .dlopen = recipe->dlopen};

	*group = (struct group){.root = root};
	return closure_new(&group->closure, &options, err);
}

/* A program that moves is known by its real path, which links in @source may lead to. */
static int use_real_path(struct group *group, size_t index, struct caisson_error *err)
{
	size_t count;
	const struct closure_name *names = closure_names(group->closure, &count);

	for (size_t i = count; i-- > 0;) {
		char *real;

		if (strcmp(names[i].path, group->sources.items[index]) != 0)
			continue;
		real = strdup(names[i].real);
		if (real == NULL)
			return out_of_memory(err);
		free(group->sources.items[index]);
		group->sources.items[index] = real;
		return 0;
	}
	return 0;
}

/* Takes @source. Who asked is told when it cannot be. */
static int group_add(struct group *group, char *source, const char *place, const char *why,
	struct caisson_error *err)
{
	int r;

	strv_add_owned(&group->sources, source);
	strv_add(&group->places, place != NULL ? place : "");
	strv_add(&group->reasons, why != NULL ? why : "");
	/* @source is the list's now, and stays where it is until the closure has it. */
	if (!strv_ok(&group->sources) || !strv_ok(&group->places) || !strv_ok(&group->reasons))
		return out_of_memory(err);
	r = closure_add_program(group->closure, source, err);
	if (r == 0 && group->root != NULL && place != NULL)
		r = use_real_path(group, group->sources.count - 1, err);
	return r < 0 && why != NULL ? caisson_wrap(err, "%s", why) : r;
}

/* The index of the program whose own file @path is; or the number of them. */
static size_t find_program(const struct group *group, const char *path)
{
	size_t i = 0;

	while (i < group->sources.count && strcmp(group->sources.items[i], path) != 0)
		i++;
	return i;
}

/* Where an entry of the closure goes: a program may move, what it needs stays where it stands. */
static const char *place_of(const struct group *group, const char *path)
{
	size_t i = find_program(group, path);

	return i < group->sources.count && group->places.items[i][0] != '\0'
		       ? group->places.items[i]
		       : path;
}

static int explain(const struct group *group, const struct closure_entry *entry,
	struct archive *archive, struct caisson_error *err)
{
	size_t i = find_program(group, entry->path);
	const char *by = entry->wanted_by != NULL ? place_of(group, entry->wanted_by) : NULL;

	if (i < group->sources.count && entry->kind == CLOSURE_FILE)
		return archive_explain(archive, NULL,
			group->reasons.items[i][0] != '\0' ? group->reasons.items[i] : "program",
			err);
	return archive_explain(archive, by, entry->rule, err);
}

static int add_entry(const struct group *group, const struct closure_entry *entry,
	struct archive *archive, struct strv *inputs, struct caisson_error *err)
{
	bool moves = entry->kind == CLOSURE_FILE;
	const char *path = moves ? place_of(group, entry->path) : entry->path;
	int r;

	if (entry->kind == CLOSURE_SYMLINK) {
		/* The link itself, on this machine. */
		strv_add_owned(inputs,
			format_string("%s%s", group->root != NULL ? group->root : "", entry->path));
		r = archive_add(archive, path, ARCHIVE_SYMLINK, 0777, entry->target, 0, err);
	} else if (entry->kind == CLOSURE_DATA) {
		r = archive_add_data(archive, path, 0644, entry->data, entry->size, err);
	} else {
		strv_add(inputs, entry->source);
		r = archive_add(archive, path, ARCHIVE_FILE, plain_mode(entry->mode), entry->source,
			0, err);
	}
	return r == 0 ? explain(group, entry, archive, err) : r;
}

/* One closure for all programs: what they share is found, and stands there, once. */
static int add_group(struct group *group, struct archive *archive, struct strv *inputs,
	struct caisson_error *err)
{
	size_t count;
	const struct closure_entry *entries = closure_entries(group->closure, &count);
	int r = 0;

	if (entries == NULL && count > 0)
		return out_of_memory(err);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_entry(group, &entries[i], archive, inputs, err);
	return r;
}

static int add_guest(
	struct group *group, const struct initramfs_recipe *recipe, struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < recipe->program_count; i++) {
		const struct initramfs_program *program = &recipe->programs[i];
		char *source;

		r = recipe_program_source(program, &source, err);
		if (r == 0)
			r = group_add(group, source, program->path, program->why, err);
	}
	return r;
}

/* On this machine links in a program's name are followed when it moves; in a root they always are
   kept, as its paths are not this machine's. */
static int add_named(
	struct group *group, const struct initramfs_recipe *recipe, struct caisson_error *err)
{
	const struct spec_items *items = &recipe->spec->programs;
	int r = 0;

	for (size_t i = 0; r == 0 && i < items->count; i++) {
		const struct spec_item *item = &items->items[i];
		_cleanup_free_ char *named = find_named(group->root, item->source);
		const struct initramfs_program program = {named, item->path, NULL};
		struct caisson_error why = {0};
		char *source = NULL;

		if (named == NULL)
			return out_of_memory(err);
		if (group->root != NULL)
			source = take_ptr(named);
		else
			r = recipe_program_source(&program, &source, &why);
		if (r < 0)
			caisson_wrap(&why, "%s", item->why != NULL ? item->why : "the recipe");
		if (r == 0)
			r = group_add(group, source, item->path, item->why, &why);
		if (r == -ENOENT && item->optional)
			r = 0;
		else if (r < 0 && err != NULL)
			*err = why;
	}
	return r;
}

int recipe_add_programs(const struct initramfs_recipe *recipe, struct archive *archive,
	struct strv *inputs, struct caisson_error *err)
{
	_cleanup_(group_done) struct group here = {NULL}, inside = {NULL};
	bool apart = recipe->root != NULL && recipe->spec != NULL;
	int r = group_open(&here, recipe, NULL, err);

	if (r == 0)
		r = add_guest(&here, recipe, err);
	if (r == 0 && apart)
		r = group_open(&inside, recipe, recipe->root, err);
	if (r == 0 && recipe->spec != NULL)
		r = add_named(apart ? &inside : &here, recipe, err);
	if (r == 0)
		r = add_group(&here, archive, inputs, err);
	if (r == 0 && apart)
		r = add_group(&inside, archive, inputs, err);
	return r;
}
