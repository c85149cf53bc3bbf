/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kernel modules in load order, with the firmware that they ask for. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "boot/modules.h"
#include "boot/recipe.h"

/* As the kernel searches (drivers/base/firmware_loader/main.c), and by which compression: what is
   compressed is uncompressed on the way, so that the kernel need not know how. */
static char *find_firmware(const char *root, const char *release, const char *name)
{
	static const char *const suffixes[] = {"", ".zst", ".xz"};
	_cleanup_strv_ struct strv folders = STRV_INIT;

	strv_add_format(&folders, "%s/lib/firmware/updates/%s", root, release);
	strv_add_format(&folders, "%s/lib/firmware/updates", root);
	strv_add_format(&folders, "%s/lib/firmware/%s", root, release);
	strv_add_format(&folders, "%s/lib/firmware", root);
	for (size_t i = 0; i < folders.count; i++) {
		for (size_t s = 0; s < ARRAY_SIZE(suffixes); s++) {
			_cleanup_free_ char *path =
				format_string("%s/%s%s", folders.items[i], name, suffixes[s]);

			if (path != NULL && access(path, R_OK) == 0)
				return take_ptr(path);
		}
	}
	return NULL;
}

static bool ends(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length > tail && strcmp(text + length - tail, end) == 0;
}

/* Firmware that is not there is no failure: drivers name what any of their devices could want. */
static int add_firmware(const struct initramfs_recipe *recipe, const struct module *module,
	struct archive *archive, struct strv *inputs, struct caisson_error *err)
{
	const char *root = recipe->root != NULL ? recipe->root : "";
	int r = 0;

	for (size_t i = 0; i < module->firmware.count && r == 0; i++) {
		const char *name = module->firmware.items[i];
		_cleanup_free_ char *source = find_firmware(root, recipe->kernel->release, name);
		_cleanup_free_ char *path = format_string("/lib/firmware/%s", name);
		bool packed = source != NULL && (ends(source, ".xz") || ends(source, ".zst")) &&
			      !ends(name, ".xz") && !ends(name, ".zst");

		if (path == NULL)
			return caisson_fail(err, ENOMEM, "look for firmware");
		if (source == NULL)
			continue;
		strv_add(inputs, source);
		r = archive_add(archive, path, packed ? ARCHIVE_MODULE : ARCHIVE_FILE, 0644, source,
			0, err);
		if (r == 0)
			r = archive_explain(archive, module->path, "firmware", err);
	}
	return r;
}

static int add_list(const struct initramfs_recipe *recipe, const struct module_list *modules,
	struct archive *archive, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf list = STRBUF_INIT;
	int r;

	strbuf_add_format(&list, "# modules of %s, in load order\n", recipe->kernel->release);
	for (size_t i = 0; i < modules->count; i++)
		strbuf_add_format(&list, "%s\n", modules->items[i].path);
	if (!strbuf_ok(&list))
		return caisson_fail(err, ENOMEM, "list kernel modules");
	r = archive_add(archive, INITRAMFS_MODULES_LIST, ARCHIVE_DATA, 0644, list.data, 0, err);
	if (r == 0)
		r = archive_explain(archive, NULL, "the order that modules are loaded in", err);
	return r;
}

int recipe_add_modules(const struct initramfs_recipe *recipe, struct archive *archive,
	struct strv *inputs, struct caisson_error *err)
{
	_cleanup_module_list_ struct module_list modules = MODULE_LIST_INIT;
	const struct spec_items *wanted = recipe->spec != NULL ? &recipe->spec->modules : NULL;
	int r;

	if (recipe->kernel == NULL)
		return 0;
	r = modules_resolve(recipe->kernel, recipe->features, wanted, &modules, err);
	for (size_t i = 0; r == 0 && i < modules.count; i++) {
		const struct module *module = &modules.items[i];

		strv_add(inputs, module->source);
		r = archive_add(
			archive, module->path, ARCHIVE_MODULE, 0644, module->source, 0, err);
		if (r == 0)
			r = archive_explain(archive, NULL, module->why, err);
		if (r == 0)
			r = add_firmware(recipe, module, archive, inputs, err);
	}
	return r == 0 ? add_list(recipe, &modules, archive, err) : r;
}
