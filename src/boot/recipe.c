/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/recipe.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/path.h"

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

static int add_links(
	const struct initramfs_recipe *recipe, struct archive *archive, struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < recipe->link_count; i++) {
		r = archive_add(archive, recipe->links[i].path, ARCHIVE_SYMLINK, 0777,
			recipe->links[i].target, 0, err);
		if (r == 0)
			r = archive_explain(
				archive, NULL, "another name of the guest's program", err);
	}
	return r;
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
	if (r == 0)
		r = archive_explain(
			archive, NULL, "what PID 1 writes to before /dev is mounted", err);
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

static void list_microcode(const struct initramfs_microcode *microcode, struct strv *inputs)
{
	for (size_t i = 0; i < microcode->intel_count; i++)
		strv_add(inputs, microcode->intel[i]);
	for (size_t i = 0; i < microcode->amd_count; i++)
		strv_add(inputs, microcode->amd[i]);
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

/* Without it the kernel goes on to look for a root, and panics. */
static int check_init(const struct archive *archive, struct caisson_error *err)
{
	for (size_t i = 0; i < archive->count; i++) {
		if (strcmp(archive->entries[i].path, "init") == 0)
			return 0;
	}
	caisson_refuse(err, ENOENT, "nothing in the boot archive is /init");
	return caisson_hint(err, "name a program for it: --program FILE:/init");
}

int recipe_collect(const struct initramfs_recipe *recipe, struct archive *archive,
	struct strv *inputs, struct caisson_error *err)
{
	int r = add_skeleton(archive, err);

	if (r == 0)
		r = recipe_add_programs(recipe, archive, inputs, err);
	if (r == 0)
		r = add_links(recipe, archive, err);
	if (r == 0 && recipe->spec != NULL)
		r = recipe_add_files(recipe->spec, archive, inputs, err);
	if (r == 0)
		r = recipe_add_modules(recipe, archive, inputs, err);
	if (r == 0)
		r = archive_complete(archive, err);
	if (r == 0)
		r = check_init(archive, err);
	if (r < 0)
		return r;
	if (recipe->kernel != NULL)
		list_papers(recipe->kernel, inputs);
	if (recipe->microcode != NULL)
		list_microcode(recipe->microcode, inputs);
	return sort_inputs(inputs, err);
}
