/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/search.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/path.h"
#include "closure/token.h"

static struct tokens tokens_of(const struct search *search, const struct location *location)
{
	const char *path = location->path->text, *slash = strrchr(path, '/');

	return (struct tokens){
		.origin = path,
		.origin_length = slash == path ? 1 : (size_t)(slash - path),
		.lib = search->loader->lib,
		.platform = search->hwcaps->platform,
	};
}

/* musl gives up a search path with any other token than $ORIGIN in it (fixup_rpath). */
static bool musl_accepts(const char *text)
{
	for (text = strchr(text, '$'); text != NULL; text = strchr(text + 1, '$')) {
		if (strncmp(text, "$ORIGIN", 7) != 0 && strncmp(text, "${ORIGIN}", 9) != 0)
			return false;
	}
	return true;
}

static int expand_folders(const struct search *search, const struct location *location,
	const char *text, const char *separators, struct folders *folders,
	struct caisson_error *err)
{
	const struct tokens tokens = tokens_of(search, location);
	_cleanup_strbuf_ struct strbuf path = STRBUF_INIT;

	for (const char *at = text; *at != '\0';) {
		size_t length = strcspn(at, separators);
		int r = 0;

		if (token_expand(at, length, &tokens, &path) && strbuf_ok(&path))
			r = folders_add(search->set, folders, path.data, err);
		if (!strbuf_ok(&path))
			return caisson_fail(err, ENOMEM, "read a search path");
		if (r < 0)
			return r;
		at += length;
		at += *at != '\0';
	}
	return 0;
}

static int expand_own(const struct search *search, const struct location *location,
	const struct atom *text, struct folders *folders, struct caisson_error *err)
{
	bool musl = search->loader->kind == LOADER_MUSL;

	folders_done(folders);
	if (text == NULL || (musl && !musl_accepts(text->text)))
		return 0;
	return expand_folders(search, location, text->text, musl ? ":\n" : ":", folders, err);
}

/* Search paths are kept with the location: only other rules read them otherwise. */
static int expand_location(
	const struct search *search, struct location *location, struct caisson_error *err)
{
	int r;

	if (location->expanded_for == search->hwcaps)
		return 0;
	location->expanded_for = NULL;
	r = expand_own(search, location, location->object->rpath, &location->rpath, err);
	if (r >= 0)
		r = expand_own(
			search, location, location->object->runpath, &location->runpath, err);
	if (r < 0)
		return caisson_wrap(err, "%s", location->path->text);
	location->expanded_for = search->hwcaps;
	return 0;
}

int search_begin(struct search *search, struct caisson_error *err)
{
	bool musl = search->loader->kind == LOADER_MUSL;

	if (search->library_path == NULL)
		return 0;
	return expand_folders(search, search->program->location, search->library_path,
		musl ? ":\n" : ":;", &search->library_folders, err);
}

static int fail_as(const struct caisson_error *failure, struct caisson_error *err)
{
	if (err != NULL)
		*err = *failure;
	return -failure->code;
}

/* Whether glibc's loader would refuse a file that is of the right machine type, and stop. */
static int refuse_unfit(const struct location *location, struct caisson_error *err)
{
	const struct object *object = location->object;

	if (object->ident.os_abi != ELFOSABI_SYSV && object->ident.os_abi != ELFOSABI_GNU)
		return caisson_refuse(err, ENOEXEC, "%s is for another operating system (ABI %u)",
			location->path->text, object->ident.os_abi);
	if (object->failure != NULL)
		return fail_as(object->failure, err);
	if (object->ident.type == ET_EXEC || (object->flags_1 & DF_1_PIE) != 0)
		return caisson_refuse(
			err, ENOEXEC, "%s is a program, no library", location->path->text);
	return 0;
}

/* Whether the loader takes what it finds there (open_verify() of elf/dl-load.c): 1, or 0 to go on
   searching, or an error that ends the search. */
static int accept(struct search *search, struct location *location, struct caisson_error *err)
{
	const struct elf_ident *wanted = search->ident, *is;
	bool glibc = search->loader->kind == LOADER_GLIBC;
	struct caisson_error why = {0};
	int r;

	if (location->node == NULL) {
		/* What is there, and cannot be opened, ends this search path. */
		search->cut = glibc && location->error != ENOENT && location->error != EACCES;
		return 0;
	}
	r = library_read(search->set, location, &why);
	if (r == -EACCES || r == -EPERM)
		return 0;
	search->unfit = r >= 0 || r == -ENOEXEC; /* unless it turns out otherwise */
	if (r < 0)
		return fail_as(&why, err);
	if (!location->object->is_elf)
		return fail_as(location->object->failure, err);
	is = &location->object->ident;
	if (glibc && (is->bits != wanted->bits || (is->machine != wanted->machine &&
							  is->big_endian == wanted->big_endian))) {
		search->unfit = false;
		return 0;
	}
	if (is->bits != wanted->bits || is->machine != wanted->machine ||
		is->big_endian != wanted->big_endian)
		return caisson_refuse(
			err, ENOEXEC, "%s is of another machine type", location->path->text);
	r = glibc || location->object->failure != NULL ? refuse_unfit(location, err) : 0;
	if (r < 0)
		return r;
	search->unfit = false;
	return 1;
}

/* Bounds the work that a hostile set of files can ask for. */
static int spend(struct search *search, struct caisson_error *err)
{
	if (search->steps == 0)
		return caisson_refuse(err, E2BIG, "%s: too many places to look for libraries",
			search->program->location->path->text);
	search->steps--;
	return 0;
}

static int try_path(struct search *search, const char *path, struct location **ret_location,
	struct caisson_error *err)
{
	struct location *location;
	int r;

	if (path[0] != '/')
		return 0;
	r = spend(search, err);
	if (r < 0)
		return r;
	r = library_locate(search->set, path, &location, err);
	if (r >= 0)
		r = accept(search, location, err);
	if (r > 0)
		*ret_location = location;
	return r;
}

/* Bit N: subfolder N for the processor stands in @folder. Looked at once a folder. */
static int find_subfolders(
	struct search *search, struct location *folder, struct caisson_error *err)
{
	const char *parent = strcmp(folder->path->text, "/") == 0 ? "" : folder->path->text;

	_Static_assert(HWCAPS_FOLDERS_MOST <= 32, "a bit for each");
	if (folder->subfolders_for == search->hwcaps)
		return 0;
	folder->subfolders = 0;
	for (size_t i = 0; i < search->hwcaps->folder_count; i++) {
		char path[TOKEN_PATH_MOST];
		struct location *location;
		int size =
			snprintf(path, sizeof(path), "%s/%s", parent, search->hwcaps->folders[i]);
		int r;

		if (size < 0 || (size_t)size >= sizeof(path))
			continue;
		r = library_locate(search->set, path, &location, err);
		if (r < 0)
			return r;
		if (location->node != NULL && location->node->kind == NODE_FOLDER)
			folder->subfolders |= 1u << i;
	}
	folder->subfolders_for = search->hwcaps;
	return 0;
}

static int try_name(struct search *search, const char *folder, const char *subfolder,
	const char *name, struct location **ret_location, struct caisson_error *err)
{
	char path[TOKEN_PATH_MOST];
	int size = snprintf(path, sizeof(path), "%s%s%s/%s", strcmp(folder, "/") == 0 ? "" : folder,
		*subfolder != '\0' ? "/" : "", subfolder, name);

	if (size < 0 || (size_t)size >= sizeof(path))
		return 0;
	return try_path(search, path, ret_location, err);
}

static int try_folder(struct search *search, struct location *folder, const char *name,
	struct location **ret_location, struct caisson_error *err)
{
	int r = find_subfolders(search, folder, err);

	for (size_t i = 0; folder->subfolders >> i != 0 && r == 0 && !search->cut; i++) {
		if ((folder->subfolders & 1u << i) != 0)
			r = try_name(search, folder->path->text, search->hwcaps->folders[i], name,
				ret_location, err);
	}
	if (r == 0 && !search->cut)
		r = try_name(search, folder->path->text, "", name, ret_location, err);
	return r;
}

static int try_folders(struct search *search, const struct folders *folders, const char *name,
	struct location **ret_location, struct caisson_error *err)
{
	int r = 0;

	search->cut = false;
	for (size_t i = 0; i < folders->count && r == 0 && !search->cut; i++)
		r = try_folder(search, folders->items[i], name, ret_location, err);
	return r;
}

static int try_rpath(struct search *search, struct loaded *loaded, const char *name,
	struct location **ret_location, struct caisson_error *err)
{
	int r = spend(search, err);

	if (r < 0 || loaded->object->rpath == NULL)
		return r;
	r = expand_location(search, loaded->location, err);
	return r < 0 ? r : try_folders(search, &loaded->location->rpath, name, ret_location, err);
}

static int try_runpath(struct search *search, struct loaded *loaded, const char *name,
	struct location **ret_location, struct caisson_error *err)
{
	int r;

	if (loaded->object->runpath == NULL)
		return 0;
	r = expand_location(search, loaded->location, err);
	return r < 0 ? r : try_folders(search, &loaded->location->runpath, name, ret_location, err);
}

static bool in_loader_folders(const struct loader *loader, const char *path)
{
	for (size_t i = 0; i < loader->folders.count; i++) {
		size_t length = strlen(loader->folders.items[i]);

		if (strncmp(path, loader->folders.items[i], length) == 0 && path[length] == '/')
			return true;
	}
	return false;
}

/* Whether the loader would find @found in its own folders, first, and without the cache. */
static int found_without_cache(struct search *search, const struct location *found,
	const char *name, struct caisson_error *err)
{
	struct location *location = NULL;
	int r = try_folders(search, &search->loader->places, name, &location, err);

	if (r <= 0)
		return r;
	return location->node == found->node;
}

static int try_cache(struct search *search, struct loaded *requester, const char *name,
	struct location **ret_location, struct caisson_error *err)
{
	const char *path = cache_lookup(
		search->cache, name, search->loader->machine->cache_flags, search->hwcaps);
	int r;

	if (path == NULL || strnlen(path, TOKEN_PATH_MOST) == TOKEN_PATH_MOST)
		return 0;
	if ((requester->object->flags_1 & DF_1_NODEFLIB) != 0 &&
		in_loader_folders(search->loader, path))
		return 0;
	r = try_path(search, path, ret_location, err);
	if (r <= 0)
		return r;
	r = found_without_cache(search, *ret_location, name, err);
	if (r < 0)
		return r;
	search->used_cache |= r == 0;
	return 1;
}

static int try_loader_folders(struct search *search, const char *name,
	struct location **ret_location, struct caisson_error *err)
{
	int r = try_folders(search, &search->loader->places, name, ret_location, err);

	search->used_folders |= r > 0;
	return r;
}

/* As ldconfig(8) would have put it into the cache: without what no loader would take. */
static int try_config(struct search *search, const char *name, struct location **ret_location,
	struct caisson_error *err)
{
	int r = try_folders(search, search->config, name, ret_location, err);

	search->used_cache |= r > 0;
	return r;
}

static int search_glibc(struct search *search, struct loaded *requester, const char *name,
	struct location **ret_location, const char **ret_rule, struct caisson_error *err)
{
	bool program_done = false;
	int r = 0;

	if (requester->object->runpath == NULL) {
		*ret_rule = "rpath";
		for (struct loaded *l = requester; l != NULL && r == 0; l = l->requester) {
			program_done |= l == search->program;
			r = try_rpath(search, l, name, ret_location, err);
		}
		if (r == 0 && !program_done)
			r = try_rpath(search, search->program, name, ret_location, err);
		if (r == 0) {
			*ret_rule = "library path";
			r = try_folders(search, &search->library_folders, name, ret_location, err);
		}
	} else {
		*ret_rule = "library path";
		r = try_folders(search, &search->library_folders, name, ret_location, err);
		if (r == 0) {
			*ret_rule = "runpath";
			r = try_runpath(search, requester, name, ret_location, err);
		}
	}
	if (r != 0)
		return r;
	*ret_rule = search->config != NULL ? "ld.so.conf" : "ld.so.cache";
	r = search->config != NULL ? try_config(search, name, ret_location, err)
				   : try_cache(search, requester, name, ret_location, err);
	if (r != 0 || (requester->object->flags_1 & DF_1_NODEFLIB) != 0)
		return r;
	*ret_rule = "default folder";
	return try_loader_folders(search, name, ret_location, err);
}

static int search_musl(struct search *search, struct loaded *requester, const char *name,
	struct location **ret_location, const char **ret_rule, struct caisson_error *err)
{
	int r = try_folders(search, &search->library_folders, name, ret_location, err);

	*ret_rule = "library path";

	for (struct loaded *l = requester; l != NULL && r == 0; l = l->requester) {
		*ret_rule = l->object->runpath != NULL ? "runpath" : "rpath";
		r = l->object->runpath != NULL ? try_runpath(search, l, name, ret_location, err)
					       : try_rpath(search, l, name, ret_location, err);
	}
	if (r != 0)
		return r;
	*ret_rule = search->loader->path_file != NULL ? "path file" : "default folder";
	return try_loader_folders(search, name, ret_location, err);
}

int search_library(struct search *search, struct loaded *requester, const char *name,
	struct location **ret_location, const char **ret_rule, struct caisson_error *err)
{
	search->unfit = false;
	if (name[0] == '\0')
		return 0;
	if (strchr(name, '/') != NULL) {
		*ret_rule = "path";
		return try_path(search, name, ret_location, err);
	}
	if (search->loader->kind == LOADER_MUSL)
		return search_musl(search, requester, name, ret_location, ret_rule, err);
	return search_glibc(search, requester, name, ret_location, ret_rule, err);
}

void search_expand(const struct search *search, const struct loaded *requester, const char *name,
	struct strbuf *path)
{
	const struct tokens tokens = tokens_of(search, requester->location);

	if (search->loader->kind == LOADER_MUSL) {
		strbuf_clear(path);
		strbuf_add_string(path, name);
	} else if (!token_expand(name, strlen(name), &tokens, path)) {
		strbuf_clear(path);
	}
}
