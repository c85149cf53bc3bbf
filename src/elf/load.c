/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elf/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "elf/dlopen.h"

enum {
	OBJECTS_MOST = 4096,   /* in one program */
	STEPS_MOST = 4 << 20,  /* names tried for one program; usually some hundreds */
	FINDS_MOST = 64 << 10, /* paths by which they are asked for */
};

/* Somebody asking, and what an error calls them and the reason for. */
struct demand {
	struct loaded *requester;
	enum elf_request_kind kind;
	const struct atom *name;
	const char *reason; /* NULL: it says so itself */
};

static int say_memory(struct load *load, struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "follow what %s needs",
		load->search.program != NULL ? load->search.program->location->path->text
					     : "a program");
}

static struct loaded *answer(const struct load *load, const struct atom *name)
{
	return name->generation == load->generation ? name->loaded : NULL;
}

/* The first to claim a name has it: the loader goes through its list in the order of loading. */
static void claim(struct load *load, struct atom *name, struct loaded *loaded)
{
	if (name == NULL || answer(load, name) != NULL)
		return;
	name->generation = load->generation;
	name->loaded = loaded;
}

static int add_find(struct load *load, struct location *location, enum closure_role role,
	struct loaded *requester, const char *rule, struct caisson_error *err)
{
	if (load->find_count == FINDS_MOST)
		return caisson_refuse(err, E2BIG, "%s needs more than %d files",
			load->search.program->location->path->text, (int)FINDS_MOST);
	if (load->find_count == load->find_capacity) {
		size_t capacity = 2 * load->find_capacity + 64;
		struct find *bigger = reallocarray(load->finds, capacity, sizeof(*bigger));

		if (bigger == NULL)
			return say_memory(load, err);
		load->finds = bigger;
		load->find_capacity = capacity;
	}
	load->finds[load->find_count++] = (struct find){
		.location = location,
		.wanted_by = requester != NULL ? requester->location : NULL,
		.role = role,
		.rule = rule,
	};
	return 0;
}

static int add_object(struct load *load, struct location *location, struct loaded *requester,
	struct loaded **ret_loaded, struct caisson_error *err)
{
	struct loaded *loaded;

	if (load->object_count == OBJECTS_MOST)
		return caisson_refuse(err, E2BIG, "%s needs more than %d libraries",
			load->search.program->location->path->text, (int)OBJECTS_MOST);
	if (load->object_count == load->object_capacity) {
		size_t capacity = 2 * load->object_capacity + 32;
		void *bigger = reallocarray(load->objects, capacity, sizeof(*load->objects));

		if (bigger == NULL)
			return say_memory(load, err);
		load->objects = bigger;
		load->object_capacity = capacity;
	}
	loaded = calloc(1, sizeof(*loaded));
	if (loaded == NULL)
		return say_memory(load, err);
	load->objects[load->object_count++] = loaded;
	loaded->location = location;
	loaded->object = location->object;
	loaded->requester = requester;
	loaded->object->generation = load->generation;
	loaded->object->loaded = loaded;
	load->imports |= loaded->object->imports;
	*ret_loaded = loaded;
	return 0;
}

static void queue_last(struct load *load, struct loaded *loaded)
{
	loaded->queued = true;
	loaded->previous = load->last;
	loaded->next = NULL;
	if (load->last != NULL)
		load->last->next = loaded;
	else
		load->first = loaded;
	load->last = loaded;
}

static void queue_remove(struct load *load, struct loaded *loaded)
{
	if (loaded->previous != NULL)
		loaded->previous->next = loaded->next;
	else
		load->first = loaded->next;
	if (loaded->next != NULL)
		loaded->next->previous = loaded->previous;
	else
		load->last = loaded->previous;
}

static void queue_behind(struct load *load, struct loaded *before, struct loaded *loaded)
{
	loaded->queued = true;
	loaded->previous = before;
	loaded->next = before->next;
	if (before->next != NULL)
		before->next->previous = loaded;
	else
		load->last = loaded;
	before->next = loaded;
}

static int say_missing(
	const struct load *load, const struct demand *demand, struct caisson_error *err)
{
	const struct location *requester = demand->requester->location;

	caisson_refuse(err, ENOENT, "%s, which %s needs%s%s, was not found", demand->name->text,
		requester->path->text, demand->reason != NULL ? " " : "",
		demand->reason != NULL ? demand->reason : "");
	if (strchr(demand->name->text, '/') != NULL && demand->name->text[0] != '/')
		caisson_hint(err, "that name depends on the folder that a program is started in, "
				  "which a closure cannot hold: link with an absolute path");
	else
		caisson_hint(err, "install the package that holds %s for %s", demand->name->text,
			load->search.loader->kind == LOADER_MUSL
				? "musl"
				: load->search.loader->machine->triplet);
	return -ENOENT;
}

/* Finds the file and gives the object that it is: a new one, or one that is loaded already. */
static int find_object(struct load *load, const struct demand *demand, struct atom *name,
	struct loaded **ret_loaded, struct caisson_error *err)
{
	struct location *location;
	const char *rule = NULL;
	struct loaded *loaded;
	int r;

	r = search_library(&load->search, demand->requester, name->text, &location, &rule, err);
	if (r < 0)
		return caisson_wrap(err, "needed by %s", demand->requester->location->path->text);
	if (r == 0)
		return say_missing(load, demand, err);
	if (demand->reason != NULL)
		rule = "dlopen";
	r = add_find(load, location,
		strchr(name->text, '/') != NULL ? CLOSURE_FIXED : CLOSURE_LIBRARY,
		demand->requester, rule, err);
	if (r < 0)
		return r;
	if (location->object->generation == load->generation) {
		loaded = location->object->loaded;
	} else {
		r = add_object(load, location, demand->requester, &loaded, err);
		if (r < 0)
			return r;
	}
	*ret_loaded = loaded;
	return 0;
}

/* musl's own libraries are all in its loader (reserved names of load_library()). */
static bool musl_has(const char *name)
{
	static const char *const own[] = {
		"libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet."};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		if (strncmp(name, own[i], strlen(own[i])) == 0)
			return true;
	}
	return false;
}

static int demand_musl(struct load *load, const struct demand *demand, struct atom *name,
	struct loaded **ret_loaded, struct caisson_error *err)
{
	bool by_path = strchr(name->text, '/') != NULL;
	int r;

	if (musl_has(name->text)) {
		*ret_loaded = load->interpreter;
		return 0;
	}
	r = find_object(load, demand, name, ret_loaded, err);
	/* Only what was searched for has a short name, and DT_SONAME counts for nothing. */
	if (r >= 0 && !by_path)
		claim(load, name, *ret_loaded);
	return r;
}

static int demand_glibc(struct load *load, const struct demand *demand, struct atom *name,
	struct loaded **ret_loaded, struct caisson_error *err)
{
	struct loaded *loaded;
	int r;

	r = find_object(load, demand, name, &loaded, err);
	if (r < 0)
		return r;
	claim(load, loaded->location->path, loaded);
	claim(load, name, loaded);
	claim(load, loaded->object->soname, loaded);
	*ret_loaded = loaded;
	return 0;
}

static int meet(struct load *load, const struct demand *demand, struct loaded **ret_loaded,
	struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct loaded *loaded;
	struct atom *name;

	if (strchr(demand->name->text, '$') != NULL)
		search_expand(&load->search, demand->requester, demand->name->text, &text);
	else
		strbuf_add(&text, demand->name->text, demand->name->length);
	name = strbuf_ok(&text) ? atom_intern(&load->search.set->atoms, text.data, text.size)
				: NULL;
	if (name == NULL)
		return say_memory(load, err);
	loaded = answer(load, name);
	if (loaded != NULL) {
		*ret_loaded = loaded;
		return 0;
	}
	if (load->search.loader->kind == LOADER_MUSL)
		return demand_musl(load, demand, name, ret_loaded, err);
	return demand_glibc(load, demand, name, ret_loaded, err);
}

/* _dl_map_object_deps() of elf/dl-deps.c: what is needed goes to the end; a filter's or an
   auxiliary object goes right behind, and so is the next to be looked into. */
static int process(struct load *load, struct loaded *loaded, struct caisson_error *err)
{
	const struct object *object = loaded->object;
	struct loaded *insert = loaded;

	loaded->processed = true;
	for (size_t i = 0; i < object->request_count; i++) {
		const struct demand demand = {
			.requester = loaded,
			.kind = object->requests[i].kind,
			.name = object->requests[i].name,
		};
		bool in_front = demand.kind != ELF_NEEDED;
		struct caisson_error why = {0};
		struct loaded *got;
		int r;

		if (in_front && load->search.loader->kind == LOADER_MUSL)
			continue;
		r = meet(load, &demand, &got, &why);
		if (demand.kind == ELF_AUXILIARY && (r == -ENOENT || r == -ENOEXEC))
			continue;
		if (r < 0) {
			if (err != NULL)
				*err = why;
			return r;
		}
		if (!in_front && !got->queued) {
			queue_last(load, got);
		} else if (in_front && !got->processed && got != load->interpreter) {
			if (got->queued)
				queue_remove(load, got);
			queue_behind(load, insert, got);
			insert = got;
		}
	}
	return 0;
}

static int process_queue(struct load *load, struct loaded *from, struct caisson_error *err)
{
	for (struct loaded *l = from; l != NULL; l = l->next) {
		int r = l->processed ? 0 : process(load, l, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* What the table of dlopen.c adds, until nothing is new. */
static int add_dlopened(struct load *load, struct caisson_error *err)
{
	for (size_t i = 0; i < dlopen_rule_count; i++) {
		const struct dlopen_rule *rule = &dlopen_rules[i];
		struct atoms *atoms = &load->search.set->atoms;
		struct atom *caller, *library;
		struct demand demand = {.kind = ELF_NEEDED, .reason = rule->reason};
		struct loaded *got;
		int r;

		if ((load->imports & rule->imports) == 0)
			continue;
		caller = atom_intern(atoms, rule->caller, strlen(rule->caller));
		library = atom_intern(atoms, rule->library, strlen(rule->library));
		if (caller == NULL || library == NULL)
			return say_memory(load, err);
		demand.requester = answer(load, caller);
		demand.name = library;
		if (demand.requester == NULL || answer(load, library) != NULL)
			continue;
		r = meet(load, &demand, &got, err);
		if (r < 0)
			return r;
		if (got->queued)
			continue;
		queue_last(load, got);
		r = process_queue(load, got, err);
		if (r < 0)
			return r;
		i = (size_t)-1; /* a new library: look at every rule again */
	}
	return 0;
}

/* The interpreter is in the loader's list before all libraries, and needs none itself. */
static int add_interpreter(struct load *load, struct caisson_error *err)
{
	const struct loader *loader = load->search.loader;
	int r;

	if (loader->location == NULL)
		return 0;
	r = add_find(load, loader->location, CLOSURE_INTERPRETER, load->search.program,
		"interpreter", err);
	if (r < 0)
		return r;
	r = add_object(load, loader->location, NULL, &load->interpreter, err);
	if (r < 0)
		return r;
	load->interpreter->queued = true;
	load->interpreter->processed = true;
	claim(load, loader->name, load->interpreter);
	if (loader->kind == LOADER_GLIBC)
		claim(load, load->interpreter->object->soname, load->interpreter);
	return 0;
}

int load_program(struct load *load, struct location *program, struct caisson_error *err)
{
	struct loaded *loaded;
	int r;

	load->search.steps = STEPS_MOST;
	r = add_object(load, program, NULL, &loaded, err);
	if (r < 0)
		return r;
	load->search.program = loaded;
	if (load->search.loader->kind == LOADER_GLIBC)
		claim(load, loaded->object->soname, loaded);
	queue_last(load, loaded);
	r = add_find(load, program, CLOSURE_PROGRAM, NULL, "program", err);
	if (r >= 0)
		r = add_interpreter(load, err);
	if (r >= 0)
		r = process_queue(load, load->first, err);
	if (r >= 0 && load->search.loader->kind == LOADER_GLIBC)
		r = add_dlopened(load, err);
	return r;
}

void load_done(struct load *load)
{
	for (size_t i = 0; i < load->object_count; i++)
		free(load->objects[i]);
	free(load->objects);
	free(load->finds);
}
