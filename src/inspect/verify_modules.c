/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"
#include "inspect/inspect.h"
#include "inspect/modinfo.h"
#include "inspect/verify.h"

enum { MODULE_MOST = 256 << 20 };

/* "lib/modules/6.1.0/kernel/fs/ext4.ko.xz": where the release is, and the name without suffix. */
struct module_path {
	const char *release, *name;
	size_t release_size, name_size;
};

static bool split(const char *path, struct module_path *ret_path)
{
	const char *at = strncmp(path, "usr/", 4) == 0 ? path + 4 : path;
	const char *slash, *base = path_base(path), *suffix = strstr(base, ".ko");

	if (strncmp(at, "lib/modules/", 12) != 0 || suffix == NULL ||
		(suffix[3] != '\0' && suffix[3] != '.'))
		return false;
	at += 12;
	slash = strchr(at, '/');
	if (slash == NULL)
		return false;
	*ret_path = (struct module_path){at, base, (size_t)(slash - at), (size_t)(suffix - base)};
	return true;
}

/* '-' and '_' are the same in a module's name. */
static char *canonical(const char *name, size_t size)
{
	char *copy = strndup(name, size);

	for (char *at = copy; at != NULL && *at != '\0'; at++) {
		if (*at == '-')
			*at = '_';
	}
	return copy;
}

/* Adds RELEASE/NAME of every module that is there, sorted. */
static int collect(const struct rootfs *root, struct strv *present)
{
	for (size_t i = 0; i < root->count; i++) {
		struct module_path path;
		_cleanup_free_ char *name = NULL;

		if (!split(root->entries[i].path, &path))
			continue;
		name = canonical(path.name, path.name_size);
		if (name == NULL)
			return -ENOMEM;
		strv_add_format(present, "%.*s/%s", (int)path.release_size, path.release, name);
	}
	strv_sort(present);
	return strv_ok(present) ? 0 : -ENOMEM;
}

static int compare(const void *key, const void *item)
{
	return strcmp(key, *(char *const *)item);
}

/* By the archive's own list of built-in modules, or the kernel's. */
static bool is_builtin(
	struct verification *verification, const struct module_path *path, const char *name)
{
	_cleanup_free_ char *list = format_string(
		"lib/modules/%.*s/modules.builtin", (int)path->release_size, path->release);
	const struct rootfs_file *file =
		list != NULL ? rootfs_resolve(verification->root, list) : NULL;

	if (file != NULL && S_ISREG(file->mode) &&
		kernel_modules_contain((const char *)file->data, file->size, name))
		return true;
	return verification->papers.has_modules &&
	       kernel_modules_contain(
		       verification->papers.builtin.data, verification->papers.builtin.size, name);
}

static int check_depends(struct verification *verification, const char *entry,
	const struct module_path *path, const struct modinfo *info, const struct strv *present)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < info->depends.count; i++) {
		const char *name = info->depends.items[i];
		_cleanup_free_ char *plain = canonical(name, strlen(name));
		_cleanup_free_ char *key =
			plain != NULL ? format_string("%.*s/%s", (int)path->release_size,
						path->release, plain)
				      : NULL;

		if (key == NULL)
			return -ENOMEM;
		if ((present->count == 0 || bsearch(key, present->items, present->count,
						    sizeof(*present->items), compare) == NULL) &&
			!is_builtin(verification, path, plain))
			r = verify_tell(
				verification, entry, "it needs %s, which is not there", name);
	}
	return r;
}

static int check_module(struct verification *verification, const struct rootfs_entry *entry,
	const struct module_path *path, const struct strv *present)
{
	const struct rootfs_file *file = &verification->root->files[entry->file];
	_cleanup_strbuf_ struct strbuf plain = STRBUF_INIT;
	_cleanup_modinfo_ struct modinfo info = MODINFO_NONE;
	struct caisson_error why = {0};
	const uint8_t *data = file->data;
	size_t size = file->size, used;
	int r = 0;

	if (!S_ISREG(file->mode))
		return 0;
	if (packed_form(data, size) != PACKED_NONE) {
		struct packed_facts facts;

		r = packed_read(data, size, MODULE_MOST, "the module", &plain, &facts, &used, &why);
		data = (const uint8_t *)plain.data;
		size = plain.size;
	}
	if (r == 0)
		r = modinfo_read(data, size, "it", &info, &why);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return verify_tell(verification, entry->path, "%s", why.message);
	if (info.vermagic == NULL ||
		strncmp(info.vermagic, path->release, path->release_size) != 0 ||
		info.vermagic[path->release_size] != ' ')
		r = verify_tell(verification, entry->path,
			"it was built for another kernel: its version magic is '%s'",
			info.vermagic != NULL ? info.vermagic : "");
	if (r == 0)
		r = check_depends(verification, entry->path, path, &info, present);
	return r;
}

static int check_releases(struct verification *verification)
{
	_cleanup_strv_ struct strv releases = STRV_INIT;

	if (verification->kernel == NULL)
		return 0;
	inspect_releases(verification->root, &releases);
	if (!strv_ok(&releases))
		return -ENOMEM;
	if (releases.count == 0 || strv_contains(&releases, verification->kernel->release))
		return 0;
	return verify_tell(verification, NULL, "its modules are for %s, not for %s",
		releases.items[0], verification->kernel->release);
}

int verify_modules(struct verification *verification, struct caisson_error *err)
{
	const struct rootfs *root = verification->root;
	_cleanup_strv_ struct strv present = STRV_INIT;
	int r = collect(root, &present);

	if (r == 0)
		r = check_releases(verification);
	for (size_t i = 0; r == 0 && i < root->count; i++) {
		struct module_path path;

		if (split(root->entries[i].path, &path))
			r = check_module(verification, &root->entries[i], &path, &present);
	}
	return r == -ENOMEM ? caisson_fail(err, ENOMEM, "verify %s", verification->what) : r;
}
