/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The archive is unpacked into a temporary folder, in which the closure of its programs is sought.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/path.h"
#include "closure/closure.h"
#include "inspect/extract.h"
#include "inspect/verify.h"

/* A folder that is gone with its owner. */
struct temporary {
	char *path;
};

static void temporary_done(struct temporary *temporary)
{
	if (temporary->path != NULL)
		(void)remove_tree(temporary->path, NULL);
	free(temporary->path);
}

/* An ELF file that is run or loaded (object files are modules), or a script that is executable. */
static bool is_program(const struct rootfs_file *file)
{
	static const uint8_t executable = 2, shared = 3;

	if (!S_ISREG(file->mode) || file->size < 20)
		return false;
	if (memcmp(file->data, "\177ELF", 4) == 0) {
		/* e_type, in either byte order. */
		uint8_t type = file->data[5] == 2 ? file->data[17] : file->data[16];

		return type == executable || type == shared;
	}
	return memcmp(file->data, "#!", 2) == 0 && (file->mode & 0111) != 0;
}

static bool is_below(const char *path, const char *folder)
{
	const char *at = strncmp(path, "usr/", 4) == 0 ? path + 4 : path;
	size_t size = strlen(folder);

	return strncmp(at, folder, size) == 0;
}

/* Modules and firmware are most of an archive, and no program looks at them. */
static int unpack(struct verification *verification, const char *path, struct caisson_error *err)
{
	const struct rootfs *root = verification->root;
	_cleanup_close_ int fd = open_file(path, O_RDONLY | O_DIRECTORY, 0, err);
	_cleanup_free_ bool *wanted = calloc(root->count + 1, sizeof(*wanted));
	size_t skipped;

	if (fd < 0)
		return fd;
	if (wanted == NULL)
		return caisson_fail(err, ENOMEM, "verify %s", verification->what);
	for (size_t i = 0; i < root->count; i++)
		wanted[i] = !is_below(root->entries[i].path, "lib/modules/") &&
			    !is_below(root->entries[i].path, "lib/firmware/");
	return extract_root(root, fd, verification->what, wanted, false, &skipped, err);
}

static int tell_program(struct verification *verification, const struct closure_program *program)
{
	const char *path = program->path[0] == '/' ? program->path + 1 : program->path;
	int r = 0;

	for (size_t i = 0; r == 0 && i < program->problem_count; i++)
		r = verify_tell(verification, path, "%s", program->problems[i].error.message);
	/* The loader itself never reads ld.so.conf(5): only ldconfig's cache of it. */
	for (size_t i = 0; r == 0 && i < program->object_count; i++) {
		if (strcmp(program->objects[i].rule, "ld.so.conf") == 0)
			r = verify_tell(verification, path,
				"%s is found by ld.so.conf alone, and there is no ld.so.cache",
				program->objects[i].name);
	}
	return r;
}

/* Each file once, whatever its names. */
static int add_programs(
	struct verification *verification, struct closure *closure, struct caisson_error *err)
{
	const struct rootfs *root = verification->root;
	_cleanup_free_ bool *seen = calloc(root->file_count + 1, sizeof(*seen));
	int r = 0;

	if (seen == NULL)
		return caisson_fail(err, ENOMEM, "verify %s", verification->what);
	for (size_t i = 0; r >= 0 && i < root->count; i++) {
		const struct rootfs_entry *entry = &root->entries[i];
		_cleanup_free_ char *path = NULL;
		struct caisson_error why = {0};

		if (seen[entry->file] || !is_program(&root->files[entry->file]) ||
			is_below(entry->path, "lib/modules/") ||
			is_below(entry->path, "lib/firmware/"))
			continue;
		seen[entry->file] = true;
		path = format_string("/%s", entry->path);
		if (path == NULL)
			return caisson_fail(err, ENOMEM, "verify %s", verification->what);
		if (closure_add_program(closure, path, &why) >= 0)
			continue;
		if (why.code == ENOMEM) {
			*err = why;
			return -ENOMEM;
		}
		r = verify_tell(verification, entry->path, "%s", why.message);
	}
	return r;
}

static int check(struct verification *verification, const char *folder, struct caisson_error *err)
{
	const struct closure_options options = {
		.root = folder, .dlopen = CLOSURE_DLOPEN_NONE, .tolerant = true, .report = true};
	_cleanup_(closure_freep) struct closure *closure = NULL;
	const struct closure_program *programs;
	size_t count;
	int r = closure_new(&closure, &options, err);

	if (r >= 0)
		r = add_programs(verification, closure, err);
	if (r < 0)
		return r;
	programs = closure_programs(closure, &count);
	for (size_t i = 0; r >= 0 && i < count; i++)
		r = tell_program(verification, &programs[i]);
	return r == -ENOMEM ? caisson_fail(err, ENOMEM, "verify %s", verification->what) : r;
}

int verify_programs(struct verification *verification, struct caisson_error *err)
{
	_cleanup_(temporary_done) struct temporary temporary = {
		path_join(verification->temporary, "caisson-verify.XXXXXX")};
	int r;

	if (temporary.path == NULL)
		return caisson_fail(err, ENOMEM, "verify %s", verification->what);
	if (mkdtemp(temporary.path) == NULL) {
		r = caisson_fail(err, errno, "create a folder in %s", verification->temporary);
		free(temporary.path);
		temporary.path = NULL;
		return r;
	}
	r = unpack(verification, temporary.path, err);
	return r < 0 ? r : check(verification, temporary.path, err);
}
