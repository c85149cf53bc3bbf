/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "boot/modules.h"
#include "boot/recipe.h"

/* What it will have in the archive. */
static int measure(const struct archive_entry *entry, uint64_t *ret_size, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf module = STRBUF_INIT;
	struct stat st;
	int r;

	*ret_size = entry->size;
	if (entry->kind == ARCHIVE_SYMLINK)
		*ret_size = strlen(entry->source);
	if (entry->kind == ARCHIVE_MODULE) {
		r = module_read(entry->source, &module, err);
		*ret_size = module.size;
		return r;
	}
	if (entry->kind != ARCHIVE_FILE)
		return 0;
	if (stat(entry->source, &st) < 0)
		return caisson_fail(err, errno, "stat %s", entry->source);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

int initramfs_explain(const struct initramfs_recipe *recipe,
	int (*each)(const struct initramfs_reason *reason, void *userdata), void *userdata,
	struct caisson_error *err)
{
	_cleanup_archive_ struct archive archive = ARCHIVE_INIT;
	_cleanup_strv_ struct strv inputs = STRV_INIT;
	int r = recipe_collect(recipe, &archive, &inputs, err);

	for (size_t i = 0; r == 0 && i < archive.count; i++) {
		const struct archive_entry *entry = &archive.entries[i];
		struct initramfs_reason reason = {.path = entry->path, .why = entry->why};

		if (entry->kind == ARCHIVE_DIRECTORY)
			continue;
		reason.by = entry->by != NULL && entry->by[0] == '/' ? entry->by + 1 : entry->by;
		r = measure(entry, &reason.size, err);
		if (r == 0)
			r = each(&reason, userdata);
	}
	return r;
}
