/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

enum {
	OBJECTS_MOST = 4096,   /* in one program */
	STEPS_MOST = 4 << 20,  /* names tried for one program; usually some hundreds */
	FINDS_MOST = 64 << 10, /* paths by which they are asked for */
	USES_MOST = 1 << 20,
	PROBLEMS_MOST = 1024,
};

static int say_memory(struct load *load, struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "follow what %s needs",
		load->search.program != NULL ? load->search.program->location->path->text
					     : "a program");
}

struct loaded *load_answer(const struct load *load, const struct atom *name)
{
	return name->generation == load->generation ? name->loaded : NULL;
}

/* The first to claim a name has it: the loader goes through its list in the order of loading. */
static void claim(struct load *load, struct atom *name, struct loaded *loaded)
{
	if (name == NULL || load_answer(load, name) != NULL)
		return;
	name->generation = load->generation;
	name->loaded = loaded;
}

/* Makes room for one more item in an array of the program's. */
static int make_room(struct load *load, void *items, size_t count, size_t *capacity, size_t size,
	struct caisson_error *err)
{
	void **array = items, *bigger;

	if (count < *capacity)
		return 0;
	bigger = reallocarray(*array, 2 * *capacity + 32, size);
	if (bigger == NULL)
		return say_memory(load, err);
	*array = bigger;
	*capacity = 2 * *capacity + 32;
	return 0;
}

static int add_find(struct load *load, const struct find *find, struct caisson_error *err)
{
	int r;

	if (load->find_count == FINDS_MOST)
		return caisson_refuse(err, E2BIG, "%s needs more than %d files",
			load->search.program->location->path->text, (int)FINDS_MOST);
	r = make_room(load, &load->finds, load->find_count, &load->find_capacity,
		sizeof(*load->finds), err);
	if (r >= 0)
		load->finds[load->find_count++] = *find;
	return r;
}

int load_add_file(struct load *load, const char *path, const struct loaded *by, const char *rule,
	struct caisson_error *err)
{
	struct location *location;
	int r = library_locate(load->search.set, path, &location, err);

	if (r < 0 || location->node == NULL || location->node->kind != NODE_FILE)
		return r;
	return add_find(load,
		&(struct find){location, by->location, CLOSURE_CONFIG, rule, NULL, false}, err);
}

static int add_use(struct load *load, const struct demand *demand, const struct loaded *got,
	struct caisson_error *err)
{
	int r;

	if (load->use_count == USES_MOST)
		return caisson_refuse(err, E2BIG, "%s and its libraries ask for more than %d",
			load->search.program->location->path->text, (int)USES_MOST);
	r = make_room(
		load, &load->uses, load->use_count, &load->use_capacity, sizeof(*load->uses), err);
	if (r >= 0)
		load->uses[load->use_count++] = (struct use){demand->requester, got, demand->name};
	return r;
}

int load_add_problem(struct load *load, enum closure_problem_kind kind, const struct atom *name,
	const struct loaded *by, const struct caisson_error *error, struct caisson_error *err)
{
	struct problem *bigger;

	if (load->problem_count == PROBLEMS_MOST)
		return caisson_refuse(err, E2BIG, "%s: more than %d things are wrong",
			load->search.program->location->path->text, (int)PROBLEMS_MOST);
	bigger = reallocarray(load->problems, load->problem_count + 1, sizeof(*bigger));
	if (bigger == NULL)
		return say_memory(load, err);
	load->problems = bigger;
	bigger[load->problem_count++] = (struct problem){kind, name, by->location, *error};
	return 0;
}

static int add_object(struct load *load, struct location *location, struct loaded *requester,
	struct loaded **ret_loaded, struct caisson_error *err)
{
	struct loaded *loaded;
	int r;

	if (load->object_count == OBJECTS_MOST)
		return caisson_refuse(err, E2BIG, "%s needs more than %d libraries",
			load->search.program->location->path->text, (int)OBJECTS_MOST);
	r = make_room(load, &load->objects, load->object_count, &load->object_capacity,
		sizeof(*load->objects), err);
	if (r < 0)
		return r;
	loaded = calloc(1, sizeof(*loaded));
	if (loaded == NULL)
		return say_memory(load, err);
	loaded->index = load->object_count;
	load->objects[load->object_count++] = loaded;
	loaded->location = location;
	loaded->object = location->object;
	loaded->requester = requester;
	loaded->object->generation = load->generation;
	loaded->object->loaded = loaded;
	load->imports |= loaded->object->imports;
	load->rules |= loaded->object->rules;
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

static void queue_before(struct load *load, struct loaded *behind, struct loaded *loaded)
{
	loaded->queued = true;
	loaded->next = behind;
	loaded->previous = behind->previous;
	if (behind->previous != NULL)
		behind->previous->next = loaded;
	else
		load->first = loaded;
	behind->previous = loaded;
}

/* An element that is empty or starts with neither '/' nor a token. */
static bool is_relative(const struct atom *folders)
{
	if (folders == NULL)
		return false;
	for (const char *at = folders->text;; at++) {
		if (*at != '/' && *at != '$')
			return true;
		at += strcspn(at, ":");
		if (*at == '\0')
			return false;
	}
}

static int say_missing(
	const struct load *load, const struct demand *demand, struct caisson_error *err)
{
	const struct location *requester = demand->requester->location;

	caisson_refuse(err, ENOENT, "%s, which %s needs%s%s, was not found", demand->name->text,
		requester->path->text, demand->reason != NULL ? " " : "",
		demand->reason != NULL ? demand->reason : "");
	if (is_relative(demand->requester->object->rpath) ||
		is_relative(demand->requester->object->runpath))
		caisson_hint(err,
			"a search path of %s depends on the folder that a program is "
			"started in, which a closure cannot hold",
			requester->path->text);
	else if (strchr(demand->name->text, '/') != NULL && demand->name->text[0] != '/')
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
	bool by_path = strchr(name->text, '/') != NULL;
	struct find find = {.name = name, .role = by_path ? demand->role : CLOSURE_LIBRARY};
	struct loaded *loaded;
	int r;

	r = search_library(
		&load->search, demand->requester, name->text, &find.location, &find.rule, err);
	if (r < 0)
		return caisson_wrap(err, "needed by %s", demand->requester->location->path->text);
	if (r == 0)
		return say_missing(load, demand, err);
	find.cached = strncmp(find.rule, "ld.so.", 6) == 0;
	if (demand->rule != NULL)
		find.rule = demand->rule;
	find.wanted_by = demand->requester->location;
	r = add_find(load, &find, err);
	if (r < 0)
		return r;
	if (find.location->object->generation == load->generation) {
		*ret_loaded = find.location->object->loaded;
		return 0;
	}
	r = add_object(load, find.location, demand->requester, &loaded, err);
	if (r < 0)
		return r;
	loaded->rule = find.rule;
	loaded->name = name;
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

	if (strchr(demand->name->text, '$') != NULL) {
		search_expand(&load->search, demand->requester, demand->name->text, &text);
		name = strbuf_ok(&text)
			       ? atom_intern(&load->search.set->atoms, text.data, text.size)
			       : NULL;
	} else {
		name = demand->name;
	}
	if (name == NULL)
		return say_memory(load, err);
	loaded = load_answer(load, name);
	if (loaded != NULL) {
		*ret_loaded = loaded;
		return 0;
	}
	if (load->search.loader->kind == LOADER_MUSL)
		return demand_musl(load, demand, name, ret_loaded, err);
	return demand_glibc(load, demand, name, ret_loaded, err);
}

/* Whether a failure is the loader's complaint, and the work goes on. */
static bool is_complaint(const struct load *load, int r)
{
	return r == -ENOENT || (load->search.unfit && r != -ENOMEM);
}

/* 1 and the object, or 0 when there is none: a problem then, unless it was optional. */
static int satisfy(struct load *load, const struct demand *demand, struct loaded **ret_loaded,
	struct caisson_error *err)
{
	struct caisson_error why = {0};
	struct loaded *got = NULL;
	int r, meeting = meet(load, demand, &got, &why);

	if (meeting < 0 && !is_complaint(load, meeting)) {
		if (err != NULL)
			*err = why;
		return meeting;
	}
	if (meeting < 0 && demand->optional)
		return 0;
	r = add_use(load, demand, got, err);
	if (r >= 0 && meeting < 0)
		return load_add_problem(load, meeting == -ENOENT ? CLOSURE_MISSING : CLOSURE_BROKEN,
			demand->name, demand->requester, &why, err);
	if (r < 0)
		return r;
	*ret_loaded = got;
	return 1;
}

/*
 * One request. _dl_map_object_deps() of elf/dl-deps.c: what is needed goes to the end; a filter's
 * or an auxiliary object goes in front, and is the next to be looked into: *first then, when it is
 * the first one of @loaded.
 */
static int process_request(struct load *load, struct loaded *loaded,
	const struct library_request *request, struct loaded **first, struct caisson_error *err)
{
	const struct demand demand = {
		.requester = loaded,
		.kind = request->kind,
		.name = request->name,
		.role = CLOSURE_FIXED,
		.optional = request->kind == ELF_AUXILIARY,
	};
	bool in_front = demand.kind != ELF_NEEDED;
	struct loaded *got = NULL;
	int r;

	if (in_front && load->search.loader->kind == LOADER_MUSL)
		return 0;
	r = satisfy(load, &demand, &got, err);
	if (r <= 0)
		return r;
	if (!in_front && !got->queued) {
		queue_last(load, got);
	} else if (in_front && !got->processed && got != load->interpreter) {
		if (got->queued)
			queue_remove(load, got);
		queue_before(load, loaded, got);
		if (*first == NULL)
			*first = got;
	}
	return 0;
}

static int process_queue(struct load *load, struct loaded *from, struct caisson_error *err)
{
	struct loaded *l = from;

	while (l != NULL) {
		const struct object *object = l->object;
		struct loaded *first = NULL;
		bool done = l->processed;
		int r = 0;

		l->processed = true;
		for (size_t i = 0; !done && i < object->request_count && r >= 0; i++)
			r = process_request(load, l, &object->requests[i], &first, err);
		if (r < 0)
			return r;
		l = first != NULL ? first : l->next;
	}
	return 0;
}

int load_more(struct load *load, const struct demand *demand, struct caisson_error *err)
{
	struct loaded *got = NULL;
	int r = satisfy(load, demand, &got, err);

	if (r <= 0 || got->queued)
		return r;
	queue_last(load, got);
	r = process_queue(load, got, err);
	return r < 0 ? r : 1;
}

static void claim_interpreter(struct load *load)
{
	struct object *object = load->interpreter->object;

	object->generation = load->generation;
	object->loaded = load->interpreter;
	claim(load, load->search.loader->name, load->interpreter);
	if (load->search.loader->kind == LOADER_GLIBC)
		claim(load, object->soname, load->interpreter);
}

/* The interpreter is in the loader's list before all libraries, and needs none itself. */
static int add_interpreter(struct load *load, struct caisson_error *err)
{
	const struct loader *loader = load->search.loader;
	int r;

	if (loader->location == NULL)
		return 0;
	r = add_find(load,
		&(struct find){loader->location, load->search.program->location,
			CLOSURE_INTERPRETER, "interpreter", NULL, false},
		err);
	if (r < 0)
		return r;
	r = add_object(load, loader->location, NULL, &load->interpreter, err);
	if (r < 0)
		return r;
	load->interpreter->rule = "interpreter";
	load->interpreter->name = loader->name;
	load->interpreter->queued = true;
	load->interpreter->processed = true;
	claim_interpreter(load);
	return 0;
}

int load_program(struct load *load, struct location *program, struct caisson_error *err)
{
	bool glibc = load->search.loader->kind == LOADER_GLIBC;
	struct loaded *loaded;
	int r;

	load->search.steps = STEPS_MOST;
	r = add_object(load, program, NULL, &loaded, err);
	if (r < 0)
		return r;
	loaded->rule = "program";
	loaded->name = program->path;
	load->search.program = loaded;
	r = search_begin(&load->search, err);
	if (r < 0)
		return r;
	if (glibc)
		claim(load, loaded->object->soname, loaded);
	queue_last(load, loaded);
	r = add_find(
		load, &(struct find){program, NULL, CLOSURE_PROGRAM, "program", NULL, false}, err);
	if (r >= 0)
		r = add_interpreter(load, err);
	if (r >= 0)
		r = process_queue(load, load->first, err);
	return r;
}

static int add_auditors(struct load *load, const struct atom *list, struct caisson_error *err)
{
	struct atoms *atoms = &load->search.set->atoms;

	for (const char *at = list != NULL ? list->text : ""; *at != '\0';) {
		size_t length = strcspn(at, ":");
		struct demand demand = {.requester = load->search.program,
			.role = CLOSURE_FIXED,
			.rule = "audit",
			.optional = true};
		int r = 0;

		demand.name = atom_intern(atoms, at, length);
		if (demand.name == NULL)
			return say_memory(load, err);
		if (length > 0)
			r = load_more(load, &demand, err);
		if (r < 0)
			return r;
		at += length;
		at += *at != '\0';
	}
	return 0;
}

/* They are searched for as the program's own libraries are, and ignored when they are not there. */
int load_auditors(struct load *load, struct caisson_error *err)
{
	const struct object *program = load->search.program->object;
	int r;

	if (load->search.loader->kind != LOADER_GLIBC ||
		(program->audit == NULL && program->depaudit == NULL))
		return 0;
	/* A namespace of their own: nothing in it answers yet but the loader. */
	load->generation = ++*load->generations;
	if (load->interpreter != NULL)
		claim_interpreter(load);
	r = add_auditors(load, program->audit, err);
	return r < 0 ? r : add_auditors(load, program->depaudit, err);
}

void load_done(struct load *load)
{
	for (size_t i = 0; i < load->object_count; i++)
		free(load->objects[i]);
	free(load->objects);
	free(load->finds);
	free(load->uses);
	free(load->problems);
	folders_done(&load->search.library_folders);
}
