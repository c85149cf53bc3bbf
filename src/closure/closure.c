/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/closure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "closure/cache.h"
#include "closure/config.h"
#include "closure/dlopen.h"
#include "closure/entries.h"
#include "closure/load.h"
#include "closure/loader.h"
#include "closure/plugins.h"
#include "closure/program.h"
#include "closure/script.h"

enum {
	CACHE_MOST = 16 << 20, /* bytes of /etc/ld.so.cache; a full desktop has 200 KB */
	LOADERS_MOST = 64,
	SCRIPTS_MOST = 4, /* that interpret each other, as in the kernel */
};

#define CACHE_PATH "/etc/ld.so.cache"

struct closure {
	struct closure_options options; /* its texts are below */
	char *library_path;
	struct hwcaps_choice choice;
	bool every_level;
	char *level;
	struct library_set set;
	struct cache cache;
	struct folders config; /* of ld.so.conf, when there is no cache */
	bool cache_read;
	struct loader *loaders[LOADERS_MOST];
	size_t loader_count;
	uint64_t generation; /* counts programs */
	struct plugins plugins;
	struct entries entries;
	struct closure_program *programs;
	size_t program_count, program_capacity;
	/* What is found by the cache, for a smaller one. */
	struct cache_line *lines;
	size_t line_count;
	bool needs_cache, lines_big_endian;
	const struct location *cache_wanted_by;
};

static int read_choice(struct closure *closure, const char *text, struct caisson_error *err)
{
	if (text == NULL || strcmp(text, "baseline") == 0)
		return 0;
	if (strcmp(text, "host") == 0) {
		closure->choice.kind = HWCAPS_HOST;
	} else if (strcmp(text, "all") == 0) {
		closure->every_level = true;
	} else if (hwcaps_is_level(text)) {
		closure->level = strdup(text);
		if (closure->level == NULL)
			return caisson_fail(err, ENOMEM, "make a closure");
		closure->choice = (struct hwcaps_choice){HWCAPS_LEVEL, closure->level};
	} else {
		return caisson_refuse(err, EINVAL,
			"'%s' is no set of processors: baseline, host, all, or a level such as "
			"x86-64-v3",
			text);
	}
	return 0;
}

static int set_up(
	struct closure *closure, const struct closure_options *options, struct caisson_error *err)
{
	const char *root = options->root != NULL ? options->root : "/";
	int r;

	closure->options = *options;
	closure->options.library_path = NULL;
	if (options->library_path != NULL) {
		closure->library_path = strdup(options->library_path);
		if (closure->library_path == NULL)
			return caisson_fail(err, ENOMEM, "make a closure");
	}
	closure->entries.set = &closure->set;
	r = read_choice(closure, options->hwcaps, err);
	if (r < 0)
		return r;
	return library_set_open(&closure->set, root,
		options->dlopen != CLOSURE_DLOPEN_NONE ? &dlopen_watch : NULL, err);
}

int closure_new(struct closure **ret_closure, const struct closure_options *options,
	struct caisson_error *err)
{
	struct closure *closure = calloc(1, sizeof(*closure));
	int r;

	if (closure == NULL)
		return caisson_fail(err, ENOMEM, "make a closure");
	r = set_up(closure, options, err);
	if (r < 0) {
		closure_free(closure);
		return r;
	}
	*ret_closure = closure;
	return 0;
}

/* A root without a cache is fine; so is, to the loader, one that is no file. */
static int read_cache(struct closure *closure, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf content = STRBUF_INIT;
	_cleanup_close_ int fd = -1;
	struct location *location;
	size_t size;
	int r;

	if (closure->cache_read)
		return 0;
	r = library_locate(&closure->set, CACHE_PATH, &location, err);
	if (r < 0)
		return r;
	if (location->node != NULL && location->node->kind == NODE_FILE) {
		fd = root_open_file(&closure->set.root, location->node, err);
		if (fd < 0)
			return fd;
		r = read_to_end(fd, CACHE_MOST, CACHE_PATH, &content, err);
		if (r < 0)
			return r;
		size = content.size;
		cache_take(&closure->cache, strbuf_take(&content), size);
	}
	if (closure->cache.count == 0)
		r = config_loader_folders(&closure->set, &closure->config, err);
	closure->cache_read = r >= 0;
	return r;
}

/* The interpreter's file, fit for @program. */
static int read_interpreter(struct closure *closure, const struct location *program,
	struct location **ret_location, struct caisson_error *err)
{
	const struct object *object = program->object;
	const char *name = object->interpreter->text;
	struct location *location;
	int r;

	r = library_locate(&closure->set, name, &location, err);
	if (r < 0)
		return r;
	if (location->node == NULL || name[0] != '/') {
		caisson_refuse(err, ENOENT, "%s, the interpreter of %s, was not found", name,
			program->path->text);
		caisson_hint(err, "install the C library that the program was built with");
		return -ENOENT;
	}
	r = library_read(&closure->set, location, err);
	if (r < 0)
		return r;
	if (location->object->failure != NULL) {
		if (err != NULL)
			*err = *location->object->failure;
		return caisson_wrap(err, "the interpreter of %s", program->path->text);
	}
	if (location->object->ident.bits != object->ident.bits ||
		location->object->ident.machine != object->ident.machine)
		return caisson_refuse(err, ENOEXEC,
			"%s, the interpreter of %s, is of another machine type", name,
			program->path->text);
	*ret_location = location;
	return 0;
}

static void choose(struct closure *closure, struct loader *loader)
{
	const char *const *levels = hwcaps_levels(loader->machine);

	loader_choose(loader, &closure->choice);
	for (; closure->every_level && *levels != NULL; levels++)
		loader_choose(loader, &(struct hwcaps_choice){HWCAPS_LEVEL, *levels});
}

static int find_loader(struct closure *closure, const struct location *program,
	const struct loader **ret_loader, struct caisson_error *err)
{
	const struct object *object = program->object;
	const struct machine *machine = machine_find(&object->ident);
	struct location *location = NULL;
	struct loader *loader;
	int r;

	for (size_t i = 0; i < closure->loader_count; i++) {
		if (closure->loaders[i]->name == object->interpreter &&
			closure->loaders[i]->machine == machine) {
			*ret_loader = closure->loaders[i];
			return 0;
		}
	}
	if (closure->loader_count == LOADERS_MOST)
		return caisson_refuse(err, E2BIG, "more than %d interpreters", (int)LOADERS_MOST);
	if (object->interpreter != NULL) {
		r = read_interpreter(closure, program, &location, err);
		if (r < 0)
			return r;
	}
	r = loader_new(&loader, &closure->set, &object->ident, object->interpreter, location, err);
	if (r < 0)
		return r;
	choose(closure, loader);
	closure->loaders[closure->loader_count++] = loader;
	*ret_loader = loader;
	return 0;
}

static int add_report(
	struct closure *closure, const struct closure_program *program, struct caisson_error *err)
{
	if (closure->program_count == closure->program_capacity) {
		size_t capacity = 2 * closure->program_capacity + 16;
		void *bigger = reallocarray(closure->programs, capacity, sizeof(*program));

		if (bigger == NULL)
			return caisson_fail(err, ENOMEM, "report a program");
		closure->programs = bigger;
		closure->program_capacity = capacity;
	}
	closure->programs[closure->program_count++] = *program;
	return 0;
}

static int report_alone(struct closure *closure, const struct location *named,
	const struct location *program, const struct location *wanted_by,
	const struct caisson_error *failure, struct caisson_error *err)
{
	struct closure_program report;
	int r;

	if (!closure->options.report)
		return 0;
	r = program_alone(&closure->set, named, program, wanted_by, failure, &report, err);
	if (r >= 0)
		r = add_report(closure, &report, err);
	return r;
}

/* A line for the smaller cache, once. */
static int add_line(
	struct closure *closure, const struct find *find, uint32_t flags, struct caisson_error *err)
{
	struct cache_line line = {find->name->text, find->location->path->text, flags}, *bigger;

	for (size_t i = 0; i < closure->line_count; i++) {
		if (closure->lines[i].soname == line.soname && closure->lines[i].flags == flags)
			return 0;
	}
	bigger = reallocarray(closure->lines, closure->line_count + 1, sizeof(*bigger));
	if (bigger == NULL)
		return caisson_fail(err, ENOMEM, "list %s", line.path);
	closure->lines = bigger;
	closure->lines[closure->line_count++] = line;
	return 0;
}

/* The loader's own configuration, where the libraries would not be found without it. */
static int keep_configuration(
	struct closure *closure, const struct load *load, struct caisson_error *err)
{
	const struct search *search = &load->search;
	int r = 0;

	if (search->used_cache && !closure->needs_cache) {
		closure->needs_cache = true;
		closure->lines_big_endian = search->ident->big_endian;
		closure->cache_wanted_by = search->loader->location;
	}
	for (size_t i = 0; i < load->find_count && r >= 0; i++) {
		if (load->finds[i].cached)
			r = add_line(closure, &load->finds[i], search->loader->machine->cache_flags,
				err);
	}
	if (r >= 0 && search->used_folders && search->loader->path_file != NULL)
		r = entries_keep(&closure->entries, search->loader->path_file, CLOSURE_CONFIG,
			search->loader->location, "configuration", err);
	return r;
}

static int keep_found(struct closure *closure, const struct load *load, struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; i < load->find_count && r >= 0; i++) {
		const struct find *find = &load->finds[i];

		r = entries_keep(&closure->entries, find->location, find->role, find->wanted_by,
			find->rule, err);
	}
	return r >= 0 ? keep_configuration(closure, load, err) : r;
}

static int load_whole(struct closure *closure, struct load *load, struct location *program,
	struct caisson_error *err)
{
	int r = load_program(load, program, err);

	if (r >= 0)
		r = plugins_add(&closure->plugins, load, err);
	if (r >= 0)
		r = load_check_versions(load, err);
	if (r >= 0)
		r = load_auditors(load, err);
	if (r >= 0 && load->problem_count > 0 && !closure->options.tolerant) {
		if (err != NULL)
			*err = load->problems[0].error;
		return -load->problems[0].error.code;
	}
	return r;
}

/* @report: of the program, as the choices before found it; filled in by the first. */
static int load_and_keep(struct closure *closure, const struct location *named,
	struct location *program, const struct location *wanted_by, const struct loader *loader,
	size_t choice, struct closure_program *report, struct caisson_error *err)
{
	_cleanup_(load_done) struct load load = {
		.search =
			{
				.set = &closure->set,
				.cache = &closure->cache,
				.config = closure->cache.count == 0 ? &closure->config : NULL,
				.library_path = closure->library_path,
				.loader = loader,
				.hwcaps = &loader->hwcaps[choice],
				.ident = &program->object->ident,
			},
		.dlopen = closure->options.dlopen,
		.config = closure->options.config,
		.generation = ++closure->generation,
		.generations = &closure->generation,
	};
	int r = load_whole(closure, &load, program, err);

	if (r >= 0)
		r = keep_found(closure, &load, err);
	if (r >= 0 && closure->options.report && choice == 0)
		r = program_of_load(&load, named, wanted_by, report, err);
	else if (r >= 0 && closure->options.report)
		r = program_add_problems(report, &load, err);
	return r;
}

/* Whether it is what a tolerant closure reports instead of failing. */
static bool is_tolerated(const struct closure *closure, int r)
{
	return closure->options.tolerant && (r == -ENOENT || r == -ENOEXEC);
}

static int add_dynamic(struct closure *closure, const struct location *named,
	struct location *program, const struct location *wanted_by, struct caisson_error *err)
{
	struct closure_program report = {0};
	const struct loader *loader = NULL;
	struct caisson_error why = {0};
	int r = find_loader(closure, program, &loader, &why);

	if (is_tolerated(closure, r)) {
		r = entries_keep(&closure->entries, program, CLOSURE_PROGRAM, NULL, "program", err);
		return r < 0 ? r : report_alone(closure, named, program, wanted_by, &why, err);
	}
	if (r < 0) {
		if (err != NULL)
			*err = why;
		return r;
	}
	r = read_cache(closure, err);
	for (size_t i = 0; i < loader->hwcaps_count && r >= 0; i++)
		r = load_and_keep(closure, named, program, wanted_by, loader, i, &report, err);
	if (r >= 0 && closure->options.report)
		r = add_report(closure, &report, err);
	if (r < 0)
		program_done(&report);
	return r;
}

/* The kernel starts a program by its real path: $ORIGIN is that one's folder. */
static int real_location(struct closure *closure, const struct location *location,
	struct location **ret_location, struct caisson_error *err)
{
	_cleanup_free_ char *path = root_path(&closure->set.root, location->node);

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "read %s", location->path->text);
	return library_locate(&closure->set, path, ret_location, err);
}

/* @wanted_by: the script that it interprets, @depth of which interpret each other; or NULL. */
static int add_program(struct closure *closure, const char *path, const struct location *wanted_by,
	unsigned int depth, struct caisson_error *err);

static int add_interpreters(struct closure *closure, const struct location *script,
	unsigned int depth, struct caisson_error *err)
{
	const char *shebang = script->object->shebang, *path;
	int r;

	if (depth == SCRIPTS_MOST)
		return caisson_refuse(err, ELOOP, "%s: too many scripts interpret each other",
			script->path->text);
	r = script_interpreter(&closure->set, shebang, &path, err);
	if (r < 0)
		return r;
	if (path[0] != '/')
		return caisson_refuse(err, ENOEXEC, "%s, the interpreter of %s, is no path", path,
			script->path->text);
	r = add_program(closure, path, script, depth + 1, err);
	if (r >= 0)
		r = script_env_program(&closure->set, shebang, &path, err);
	if (r >= 0 && path != NULL)
		r = add_program(closure, path, script, depth + 1, err);
	return r < 0 ? caisson_wrap(err, "%s", script->path->text) : 0;
}

static int add_script(struct closure *closure, const struct location *named,
	struct location *script, const struct location *wanted_by, unsigned int depth,
	struct caisson_error *err)
{
	struct caisson_error why = {0};
	int r = add_interpreters(closure, script, depth, &why);

	if (r < 0 && !is_tolerated(closure, r)) {
		if (err != NULL)
			*err = why;
		return r;
	}
	r = report_alone(closure, named, script, wanted_by, r < 0 ? &why : NULL, err);
	return r < 0 ? r
		     : entries_keep(&closure->entries, script, CLOSURE_SCRIPT, wanted_by,
			       wanted_by != NULL ? "script" : "program", err);
}

static int add_read(struct closure *closure, const struct location *named, struct location *program,
	const struct location *wanted_by, unsigned int depth, struct caisson_error *err)
{
	const struct object *object = program->object;
	int r;

	if (object->shebang != NULL)
		return add_script(closure, named, program, wanted_by, depth, err);
	if (object->failure != NULL) {
		if (err != NULL)
			*err = *object->failure;
		return -object->failure->code;
	}
	if (object->interpreter != NULL || object->request_count > 0)
		return add_dynamic(closure, named, program, wanted_by, err);
	r = report_alone(closure, named, program, wanted_by, NULL, err);
	return r < 0 ? r
		     : entries_keep(&closure->entries, program, CLOSURE_PROGRAM, wanted_by,
			       wanted_by != NULL ? "script" : "program", err);
}

static int add_program(struct closure *closure, const char *path, const struct location *wanted_by,
	unsigned int depth, struct caisson_error *err)
{
	struct location *named, *program;
	int r = library_locate(&closure->set, path, &named, err);

	if (r < 0)
		return r;
	if (named->node == NULL)
		return caisson_fail(err, named->error, "open %s", path);
	r = real_location(closure, named, &program, err);
	if (r >= 0)
		r = library_read(&closure->set, program, err);
	if (r >= 0)
		r = add_read(closure, named, program, wanted_by, depth, err);
	if (r < 0)
		return r;
	return entries_keep(&closure->entries, named,
		program->object->shebang != NULL ? CLOSURE_SCRIPT : CLOSURE_PROGRAM, wanted_by,
		wanted_by != NULL ? "script" : "program", err);
}

int closure_add_program(struct closure *closure, const char *path, struct caisson_error *err)
{
	if (path[0] != '/')
		return caisson_refuse(err, EINVAL, "%s is not an absolute path", path);
	return add_program(closure, path, NULL, 0, err);
}

/* A cache that knows just what is in the closure: the system's names much that is not, and would
   make the bytes depend on it. */
static int put_cache(struct closure *closure)
{
	_cleanup_strbuf_ struct strbuf cache = STRBUF_INIT;
	size_t size;

	if (!closure->needs_cache)
		return 0;
	cache_write(closure->lines, closure->line_count, closure->lines_big_endian, &cache);
	if (!strbuf_ok(&cache))
		return -ENOMEM;
	size = cache.size;
	return entries_put_data(&closure->entries, CACHE_PATH, strbuf_take(&cache), size,
		closure->cache_wanted_by, "configuration", NULL);
}

const struct closure_entry *closure_entries(struct closure *closure, size_t *ret_count)
{
	if (put_cache(closure) < 0) {
		*ret_count = 1;
		return NULL;
	}
	entries_sort(&closure->entries);
	*ret_count = closure->entries.count;
	return closure->entries.items;
}

const struct closure_name *closure_names(struct closure *closure, size_t *ret_count)
{
	*ret_count = closure->entries.name_count;
	return closure->entries.names;
}

const struct closure_program *closure_programs(struct closure *closure, size_t *ret_count)
{
	*ret_count = closure->program_count;
	return closure->programs;
}

void closure_left_out(const struct closure *closure, struct strv *features)
{
	for (size_t i = 0; i < dlopen_rule_count; i++) {
		const struct dlopen_rule *rule = &dlopen_rules[i];
		_cleanup_free_ char *text = NULL;

		if ((closure->plugins.left_out >> i & 1) == 0)
			continue;
		text = format_string("%s (%s)", rule->feature,
			rule->priority == CLOSURE_DLOPEN_RECOMMENDED ? "recommended" : "all");
		if (text == NULL || !strv_contains(features, text))
			strv_add_owned(features, take_ptr(text));
	}
}

void closure_free(struct closure *closure)
{
	for (size_t i = 0; i < closure->program_count; i++)
		program_done(&closure->programs[i]);
	free(closure->programs);
	entries_done(&closure->entries);
	plugins_done(&closure->plugins);
	for (size_t i = 0; i < closure->loader_count; i++)
		loader_free(closure->loaders[i]);
	cache_done(&closure->cache);
	folders_done(&closure->config);
	library_set_done(&closure->set);
	free(closure->lines);
	free(closure->library_path);
	free(closure->level);
	free(closure);
}
