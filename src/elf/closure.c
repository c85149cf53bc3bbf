/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elf/closure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "elf/dlopen.h"
#include "elf/load.h"
#include "elf/loader.h"

enum {
	CACHE_MOST = 16 << 20, /* bytes of /etc/ld.so.cache; a full desktop has 200 KB */
	LOADERS_MOST = 64,
};

#define CACHE_PATH "/etc/ld.so.cache"

struct closure {
	struct library_set set;
	struct cache cache;
	bool cache_read;
	struct location *cache_location; /* NULL: there is none */
	struct loader *loaders[LOADERS_MOST];
	size_t loader_count;
	uint64_t generation; /* counts programs */
	enum closure_dlopen dlopen;
	struct closure_entry *entries;
	size_t entry_count, entry_capacity;
	bool sorted;
	struct closure_name *names;
	size_t name_count, name_capacity;
};

int closure_new(struct closure **ret_closure, const struct closure_options *options,
	struct caisson_error *err)
{
	const char *root = options->root != NULL ? options->root : "/";
	struct closure *closure = calloc(1, sizeof(*closure));
	int r;

	if (closure == NULL)
		return caisson_fail(err, ENOMEM, "make a closure");
	closure->dlopen = options->dlopen;
	r = library_set_open(&closure->set, root, &dlopen_watch, err);
	if (r < 0) {
		free(closure);
		return r;
	}
	*ret_closure = closure;
	return 0;
}

static void entry_done(struct closure_entry *entry)
{
	free(entry->path);
	free(entry->target);
	free(entry->source);
	free(entry->wanted_by);
	*entry = (struct closure_entry){0};
}

static int grow_entries(struct closure *closure)
{
	size_t capacity = 2 * closure->entry_capacity + 64;
	struct closure_entry *bigger;

	if (closure->entry_count < closure->entry_capacity)
		return 0;
	bigger = reallocarray(closure->entries, capacity, sizeof(*bigger));
	if (bigger == NULL)
		return -ENOMEM;
	closure->entries = bigger;
	closure->entry_capacity = capacity;
	return 0;
}

static int add_node(struct closure *closure, struct node *node, enum closure_role role,
	const struct location *wanted_by, const char *rule)
{
	const struct root *root = &closure->set.root;
	_cleanup_free_ char *path = NULL, *asker = NULL, *text = NULL;
	bool link = node->kind == NODE_SYMLINK;

	if (node->listed)
		return 0;
	path = root_path(root, node);
	asker = wanted_by != NULL ? root_path(root, wanted_by->node) : NULL;
	text = link ? strdup(node->target) : root_source(root, node);
	if (path == NULL || text == NULL || (wanted_by != NULL && asker == NULL) ||
		grow_entries(closure) < 0)
		return -ENOMEM;
	closure->entries[closure->entry_count++] = (struct closure_entry){
		.path = take_ptr(path),
		.kind = link ? CLOSURE_SYMLINK : CLOSURE_FILE,
		.role = role,
		.target = link ? text : NULL,
		.source = link ? NULL : text,
		.mode = node->mode,
		.size = link ? 0 : node->size,
		.device = node->device,
		.inode = node->inode,
		.wanted_by = take_ptr(asker),
		.rule = rule,
	};
	text = NULL;
	closure->sorted = false;
	node->listed = true;
	return 0;
}

static int add_name(
	struct closure *closure, const struct location *location, enum closure_role role)
{
	_cleanup_free_ char *real = root_path(&closure->set.root, location->node);
	struct atom *atom;

	if (closure->name_count == closure->name_capacity) {
		size_t capacity = 2 * closure->name_capacity + 64;
		void *bigger = reallocarray(closure->names, capacity, sizeof(*closure->names));

		if (bigger == NULL)
			return -ENOMEM;
		closure->names = bigger;
		closure->name_capacity = capacity;
	}
	atom = real != NULL ? atom_intern(&closure->set.atoms, real, strlen(real)) : NULL;
	if (atom == NULL)
		return -ENOMEM;
	closure->names[closure->name_count++] =
		(struct closure_name){location->path->text, atom->text, role};
	return 0;
}

static int keep(struct closure *closure, struct location *location, enum closure_role role,
	const struct location *wanted_by, const char *rule, struct caisson_error *err)
{
	int r = 0;

	if (location->kept)
		return 0;
	for (size_t i = 0; i < location->link_count && r >= 0; i++)
		r = add_node(closure, location->links[i], role, wanted_by, rule);
	if (r >= 0)
		r = add_node(closure, location->node, role, wanted_by, rule);
	if (r >= 0)
		r = add_name(closure, location, role);
	if (r < 0)
		return caisson_fail(err, r, "list %s", location->path->text);
	location->kept = true;
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
		closure->cache_location = location;
	}
	closure->cache_read = true;
	return 0;
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
	closure->loaders[closure->loader_count++] = loader;
	*ret_loader = loader;
	return 0;
}

/* The loader's own configuration, where the libraries would not be found without it. */
static int keep_configuration(
	struct closure *closure, const struct load *load, struct caisson_error *err)
{
	const struct search *search = &load->search;
	const struct location *loader = search->loader->location;
	int r = 0;

	if (search->used_cache && closure->cache_location != NULL)
		r = keep(closure, closure->cache_location, CLOSURE_CONFIG, loader, "configuration",
			err);
	if (r >= 0 && search->used_folders && search->loader->path_file != NULL)
		r = keep(closure, search->loader->path_file, CLOSURE_CONFIG, loader,
			"configuration", err);
	return r;
}

static int load_and_keep(
	struct closure *closure, struct location *program, struct caisson_error *err)
{
	_cleanup_(load_done) struct load load = {
		.search =
			{
				.set = &closure->set,
				.cache = &closure->cache,
				.ident = &program->object->ident,
			},
		.generation = ++closure->generation,
	};
	int r;

	if (program->object->interpreter == NULL && program->object->request_count == 0)
		return keep(closure, program, CLOSURE_PROGRAM, NULL, "program", err);
	r = find_loader(closure, program, &load.search.loader, err);
	if (r >= 0)
		r = read_cache(closure, err);
	if (r >= 0)
		r = load_program(&load, program, err);
	for (size_t i = 0; i < load.find_count && r >= 0; i++) {
		const struct find *find = &load.finds[i];

		r = keep(closure, find->location, find->role, find->wanted_by, find->rule, err);
	}
	return r >= 0 ? keep_configuration(closure, &load, err) : r;
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

int closure_add_program(struct closure *closure, const char *path, struct caisson_error *err)
{
	struct location *named, *program;
	int r;

	if (path[0] != '/')
		return caisson_refuse(err, EINVAL, "%s is not an absolute path", path);
	r = library_locate(&closure->set, path, &named, err);
	if (r < 0)
		return r;
	if (named->node == NULL)
		return caisson_fail(err, named->error, "open %s", path);
	r = real_location(closure, named, &program, err);
	if (r >= 0)
		r = library_read(&closure->set, program, err);
	if (r < 0)
		return r;
	if (program->object->failure != NULL) {
		if (err != NULL)
			*err = *program->object->failure;
		return -program->object->failure->code;
	}
	r = load_and_keep(closure, program, err);
	return r >= 0 ? keep(closure, named, CLOSURE_PROGRAM, NULL, "program", err) : r;
}

static int compare_entries(const void *a, const void *b)
{
	const struct closure_entry *left = a, *right = b;

	return strcmp(left->path, right->path);
}

const struct closure_entry *closure_entries(struct closure *closure, size_t *ret_count)
{
	if (!closure->sorted && closure->entry_count > 0)
		qsort(closure->entries, closure->entry_count, sizeof(*closure->entries),
			compare_entries);
	closure->sorted = true;
	*ret_count = closure->entry_count;
	return closure->entries;
}

const struct closure_name *closure_names(struct closure *closure, size_t *ret_count)
{
	*ret_count = closure->name_count;
	return closure->names;
}

void closure_free(struct closure *closure)
{
	for (size_t i = 0; i < closure->entry_count; i++)
		entry_done(&closure->entries[i]);
	free(closure->entries);
	free(closure->names);
	for (size_t i = 0; i < closure->loader_count; i++)
		loader_free(closure->loaders[i]);
	cache_done(&closure->cache);
	library_set_done(&closure->set);
	free(closure);
}
