/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The flat layout: bin/ (with wrappers, also libexec/) and lib/. The loader is told where lib/ is,
 * so that neither its own folders nor its configuration count: of what the closure holds, the
 * loader's configuration stays behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/path.h"
#include "bundle/plan.h"

enum { LOADER_MOST = 16 << 20 };

struct flat {
	struct plan *plan;
	size_t program;
	const struct closure_entry *entries;
	size_t entry_count;
	const struct closure_name *names;
	size_t name_count;
};

static int not_flat(struct caisson_error *err)
{
	return caisson_hint(err, "--layout same keeps every file at its own path");
}

static const struct closure_entry *find_entry(const struct flat *flat, const char *path)
{
	for (size_t i = 0; i < flat->entry_count; i++) {
		if (strcmp(flat->entries[i].path, path) == 0)
			return &flat->entries[i];
	}
	return NULL;
}

/* Two files of one name, or a link and a file: says whose they are. */
static int add_file(const struct flat *flat, const struct closure_entry *entry, const char *folder,
	struct plan_file **ret_file, struct caisson_error *err)
{
	_cleanup_free_ char *path = path_join(folder, path_base(entry->path));
	int r;

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "bundle %s", entry->path);
	r = plan_add_entry(flat->plan, entry, path, flat->program, ret_file, err);
	return r == -EEXIST ? not_flat(err) : r;
}

/* The name that was asked for, beside the file: a link, unless it is the file's own. */
static int add_asked(const struct flat *flat, const char *asked, struct plan_file *file,
	struct caisson_error *err)
{
	_cleanup_free_ char *path = strdup(file->path), *link = NULL;
	struct plan_file *added;
	int r;

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "bundle %s", asked);
	if (strcmp(path_base(asked), path_base(path)) == 0)
		return plan_add_name(flat->plan, path, file, flat->program, err);
	*strrchr(path, '/') = '\0';
	link = path_join(path, path_base(asked));
	if (link == NULL)
		return caisson_fail(err, ENOMEM, "bundle %s", asked);
	r = plan_add_link(
		flat->plan, link, path_base(file->path), file->role, flat->program, &added, err);
	if (r < 0)
		return r == -EEXIST ? not_flat(err) : r;
	return plan_add_name(flat->plan, link, file, flat->program, err);
}

static int add_library(
	const struct flat *flat, const struct closure_name *name, struct caisson_error *err)
{
	struct plan_program *program = &flat->plan->programs[flat->program];
	const struct closure_entry *entry = find_entry(flat, name->real);
	struct plan_file *file;
	int r;

	if (entry == NULL)
		return caisson_refuse(err, ENOENT, "%s leads nowhere", name->path);
	r = add_file(flat, entry, "/lib", &file, err);
	if (r >= 0)
		r = add_asked(flat, name->path, file, err);
	if (r < 0 || name->role != CLOSURE_INTERPRETER)
		return r;
	program->loader_file = file;
	free(program->loader);
	program->loader = path_join("/lib", path_base(name->path));
	return program->loader != NULL ? 0 : caisson_fail(err, ENOMEM, "bundle %s", name->path);
}

/* What the loader reads for itself is not read with --library-path; what a library reads is. */
static int add_own_place(
	const struct flat *flat, const struct closure_name *name, struct caisson_error *err)
{
	const struct closure_entry *entry = find_entry(flat, name->real);
	struct plan_file *file;
	int r;

	if (entry == NULL)
		return caisson_refuse(err, ENOENT, "%s leads nowhere", name->path);
	if (strcmp(entry->rule, "configuration") == 0)
		return 0;
	/* Under the very path that is asked for: no link of the root comes along. */
	r = plan_add_entry(flat->plan, entry, name->path, flat->program, &file, err);
	return r < 0 ? r : plan_add_name(flat->plan, name->path, file, flat->program, err);
}

static int add_name(
	const struct flat *flat, const struct closure_name *name, struct caisson_error *err)
{
	switch (name->role) {
	case CLOSURE_PROGRAM:
		return 0;
	case CLOSURE_INTERPRETER:
	case CLOSURE_LIBRARY:
		return add_library(flat, name, err);
	case CLOSURE_PLUGIN:
	case CLOSURE_CONFIG:
		return add_own_place(flat, name, err);
	case CLOSURE_SCRIPT:
		caisson_refuse(err, EEXIST,
			"%s is a script: its interpreter is asked for by its path", name->path);
		return not_flat(err);
	case CLOSURE_FIXED:
		caisson_refuse(
			err, EEXIST, "%s is a library that is asked for by its path", name->path);
		return not_flat(err);
	}
	return caisson_refuse(err, EINVAL, "%s is of no known role", name->path);
}

/* glibc before 2.33 does not know --argv0, and would take it for the program's name. */
static int knows_argv0(const struct plan_file *loader, bool *ret_knows, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;
	static const char option[] = "argv0";
	int r = read_file(loader->open_path, LOADER_MOST, &bytes, err);

	if (r < 0)
		return r;
	*ret_knows = memmem(bytes.data, bytes.size, option, sizeof(option)) != NULL;
	return 0;
}

static int add_wrapper(const struct flat *flat, const char *path, const struct plan_file *program,
	struct caisson_error *err)
{
	const struct plan_program *whose = &flat->plan->programs[flat->program];
	struct plan_file *file;
	bool argv0 = false;
	char *script;
	int r = knows_argv0(whose->loader_file, &argv0, err);

	if (r < 0)
		return r;
	script = wrapper_script(path_base(whose->loader), path_base(program->path), argv0);
	r = plan_add_data(flat->plan, path, script, script != NULL ? strlen(script) : 0, 0755,
		flat->program, &file, err);
	return r == -EEXIST ? not_flat(err) : r;
}

/* Last, as it has to be known whether there is a loader. */
static int add_program(const struct flat *flat, struct caisson_error *err)
{
	struct plan_program *program = &flat->plan->programs[flat->program];
	const struct closure_entry *entry = NULL;
	bool wrapped = flat->plan->wrapper && program->loader != NULL;
	int r;

	for (size_t i = 0; i < flat->name_count && entry == NULL; i++) {
		if (strcmp(flat->names[i].path, program->asked) == 0)
			entry = find_entry(flat, flat->names[i].real);
	}
	if (entry == NULL)
		return caisson_refuse(err, ENOENT, "%s leads nowhere", program->asked);
	program->starts = path_join("/bin", path_base(program->asked));
	if (program->starts == NULL)
		return caisson_fail(err, ENOMEM, "bundle %s", program->asked);
	r = add_file(flat, entry, wrapped ? "/libexec" : "/bin", &program->file, err);
	if (r < 0)
		return r;
	return wrapped ? add_wrapper(flat, program->starts, program->file, err)
		       : add_asked(flat, program->asked, program->file, err);
}

int plan_flat(struct plan *plan, struct closure *closure, size_t program, struct caisson_error *err)
{
	struct flat flat = {.plan = plan, .program = program};
	int r = 0;

	flat.entries = closure_entries(closure, &flat.entry_count);
	if (flat.entries == NULL && flat.entry_count > 0)
		return caisson_fail(err, ENOMEM, "plan a bundle");
	flat.names = closure_names(closure, &flat.name_count);
	for (size_t i = 0; i < flat.name_count && r >= 0; i++)
		r = add_name(&flat, &flat.names[i], err);
	return r >= 0 ? add_program(&flat, err) : r;
}
