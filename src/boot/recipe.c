/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/recipe.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/path.h"
#include "boot/modules.h"
#include "closure/closure.h"

/* What libkmod and kernel_check() read, below the modules folder. */
static const char *const index_files[] = {
	"modules.dep",
	"modules.dep.bin",
	"modules.builtin",
	"modules.softdep",
	"modules.alias.bin",
};

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

static int add_entry(struct archive *archive, struct strv *inputs,
	const struct closure_entry *entry, const char *path, struct caisson_error *err)
{
	if (entry->kind == CLOSURE_SYMLINK) {
		/* With root "/", the link stands where it does in the archive. */
		strv_add(inputs, entry->path);
		return archive_add(archive, path, ARCHIVE_SYMLINK, 0777, entry->target, 0, err);
	}
	if (entry->kind == CLOSURE_DATA)
		return archive_add_data(archive, path, 0644, entry->data, entry->size, err);
	strv_add(inputs, entry->source);
	return archive_add(
		archive, path, ARCHIVE_FILE, plain_mode(entry->mode), entry->source, 0, err);
}

/* Where an entry of the closure goes: a program may move, what it needs stays where it stands. */
static const char *place_of(const struct initramfs_recipe *recipe, const struct strv *sources,
	const struct closure_entry *entry)
{
	for (size_t i = 0; entry->kind == CLOSURE_FILE && i < recipe->program_count; i++) {
		if (recipe->programs[i].path != NULL && strcmp(sources->items[i], entry->path) == 0)
			return recipe->programs[i].path;
	}
	return entry->path;
}

static int close_over(const struct initramfs_recipe *recipe, struct closure *closure,
	struct strv *sources, struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < recipe->program_count; i++) {
		char *source;

		r = recipe_program_source(&recipe->programs[i], &source, err);
		if (r < 0)
			return r;
		strv_add_owned(sources, source);
		if (!strv_ok(sources))
			return out_of_memory(err);
		r = closure_add_program(closure, source, err);
	}
	return r;
}

/* One closure for all programs: what they share is found, and stands there, once. */
static int add_programs(const struct initramfs_recipe *recipe, struct archive *archive,
	struct strv *inputs, struct caisson_error *err)
{
	_cleanup_(closure_freep) struct closure *closure = NULL;
	_cleanup_strv_ struct strv sources = STRV_INIT;
	const struct closure_entry *entries;
	size_t count;
	int r;

	r = closure_new(
		&closure, &(struct closure_options){.dlopen = CLOSURE_DLOPEN_REQUIRED}, err);
	if (r == 0)
		r = close_over(recipe, closure, &sources, err);
	if (r < 0)
		return r;
	entries = closure_entries(closure, &count);
	if (entries == NULL && count > 0)
		return out_of_memory(err);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_entry(
			archive, inputs, &entries[i], place_of(recipe, &sources, &entries[i]), err);
	return r;
}

static int add_links(
	const struct initramfs_recipe *recipe, struct archive *archive, struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < recipe->link_count; i++)
		r = archive_add(archive, recipe->links[i].path, ARCHIVE_SYMLINK, 0777,
			recipe->links[i].target, 0, err);
	return r;
}

static int add_modules(const struct initramfs_recipe *recipe, struct archive *archive,
	struct strv *inputs, struct caisson_error *err)
{
	_cleanup_module_list_ struct module_list modules = MODULE_LIST_INIT;
	_cleanup_strbuf_ struct strbuf list = STRBUF_INIT;
	int r;

	r = modules_resolve(recipe->kernel, recipe->features, &modules, err);
	if (r < 0)
		return r;
	strbuf_add_format(&list, "# modules of %s, in load order\n", recipe->kernel->release);
	for (size_t i = 0; r == 0 && i < modules.count; i++) {
		strbuf_add_format(&list, "%s\n", modules.items[i].path);
		strv_add(inputs, modules.items[i].source);
		r = archive_add(archive, modules.items[i].path, ARCHIVE_MODULE, 0644,
			modules.items[i].source, 0, err);
	}
	if (r < 0)
		return r;
	if (!strbuf_ok(&list))
		return out_of_memory(err);
	return archive_add(archive, INITRAMFS_MODULES_LIST, ARCHIVE_DATA, 0644, list.data, 0, err);
}

static int add_skeleton(struct archive *archive, struct caisson_error *err)
{
	static const char *const folders[] = {
		"/dev", "/proc", "/sys", "/run", "/etc/caisson", "/newroot"};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++)
		r = archive_add(archive, folders[i], ARCHIVE_DIRECTORY, 0755, NULL, 0, err);
	/* The kernel opens it for init's standard streams before anything is mounted. */
	if (r == 0)
		r = archive_add(archive, "/dev/console", ARCHIVE_DEVICE, S_IFCHR | 0600, NULL,
			makedev(5, 1), err);
	return r;
}

static void list_papers(const struct kernel *kernel, struct strv *inputs)
{
	for (size_t i = 0; kernel->modules != NULL && i < ARRAY_SIZE(index_files); i++)
		strv_add_owned(inputs, path_join(kernel->modules, index_files[i]));
	if (kernel->config != NULL)
		strv_add(inputs, kernel->config);
	/* A library that is installed in front of another one changes this, not the other. */
	strv_add(inputs, "/etc/ld.so.cache");
}

static int sort_inputs(struct strv *inputs, struct caisson_error *err)
{
	size_t kept = 0;

	if (!strv_ok(inputs))
		return out_of_memory(err);
	strv_sort(inputs);
	for (size_t i = 0; i < inputs->count; i++) {
		char *path = take_ptr(inputs->items[i]);

		if (strchr(path, '\n') != NULL) {
			caisson_refuse(err, EINVAL, "'%s' has a line feed in its name", path);
			free(path);
			return -EINVAL;
		}
		if (kept > 0 && strcmp(inputs->items[kept - 1], path) == 0)
			free(path);
		else
			inputs->items[kept++] = path;
	}
	inputs->count = kept;
	return 0;
}

int recipe_collect(const struct initramfs_recipe *recipe, struct archive *archive,
	struct strv *inputs, struct caisson_error *err)
{
	int r = add_skeleton(archive, err);

	if (r == 0)
		r = add_programs(recipe, archive, inputs, err);
	if (r == 0)
		r = add_links(recipe, archive, err);
	if (r == 0)
		r = add_modules(recipe, archive, inputs, err);
	if (r == 0)
		r = archive_complete(archive, err);
	if (r < 0)
		return r;
	list_papers(recipe->kernel, inputs);
	return sort_inputs(inputs, err);
}
