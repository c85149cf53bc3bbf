/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "closure/script.h"

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "report a program");
}

/* The real path, as a text of the set's. */
static const char *real_path(struct library_set *set, const struct location *location)
{
	_cleanup_free_ char *path = root_path(&set->root, location->node);
	struct atom *atom = path != NULL ? atom_intern(&set->atoms, path, strlen(path)) : NULL;

	return atom != NULL ? atom->text : NULL;
}

static const char *machine_name(struct library_set *set, const struct elf_ident *ident)
{
	const struct machine *machine = machine_find(ident);
	struct atom *atom;
	char number[32];

	if (machine->machine != 0)
		return machine->triplet;
	snprintf(number, sizeof(number), "EM_%u", ident->machine);
	atom = atom_intern(&set->atoms, number, strlen(number));
	return atom != NULL ? atom->text : "unknown";
}

static enum closure_linkage linkage_of(const struct object *object)
{
	switch (object->linkage) {
	case ELF_STATIC:
		return CLOSURE_STATIC;
	case ELF_STATIC_PIE:
		return CLOSURE_STATIC_PIE;
	case ELF_DYNAMIC:
		return CLOSURE_DYNAMIC;
	default:
		return CLOSURE_SHARED;
	}
}

/* By the interpreter's name; of a library, by the names that it asks for. */
static enum closure_libc libc_of(const struct object *object)
{
	const char *name = object->interpreter != NULL ? path_base(object->interpreter->text) : "";

	if (strncmp(name, "ld-musl-", 8) == 0)
		return CLOSURE_MUSL;
	if (strncmp(name, "ld-linux", 8) == 0 || strncmp(name, "ld64.so.", 8) == 0 ||
		strncmp(name, "ld.so.", 6) == 0)
		return CLOSURE_GLIBC;
	if (*name != '\0')
		return CLOSURE_OTHER_LIBC;
	for (size_t i = 0; i < object->request_count; i++) {
		const char *library = object->requests[i].name->text;

		if (strcmp(library, "libc.so.6") == 0 || strcmp(library, "libc.so.6.1") == 0)
			return CLOSURE_GLIBC;
		if (strcmp(library, "libc.so") == 0 || strncmp(library, "libc.musl-", 10) == 0)
			return CLOSURE_MUSL;
	}
	return CLOSURE_NO_LIBC;
}

static int describe(struct library_set *set, const struct location *named,
	const struct location *location, const struct location *wanted_by,
	struct closure_program *program, struct caisson_error *err)
{
	const struct object *object = location->object;

	*program = (struct closure_program){
		.path = named->path->text,
		.real = real_path(set, location),
		.wanted_by = wanted_by != NULL ? wanted_by->path->text : NULL,
		.linkage = CLOSURE_IS_SCRIPT,
	};
	if (program->real == NULL)
		return out_of_memory(err);
	if (!object->is_elf)
		return 0;
	program->linkage = linkage_of(object);
	program->libc = libc_of(object);
	program->machine = machine_name(set, &object->ident);
	program->bits = object->ident.bits;
	program->big_endian = object->ident.big_endian;
	program->interpreter = object->interpreter != NULL ? object->interpreter->text : NULL;
	return 0;
}

static int add_problem(struct closure_program *program, const struct closure_problem *problem,
	struct caisson_error *err)
{
	struct closure_problem *bigger = reallocarray(
		program->problems, program->problem_count + 1, sizeof(*program->problems));

	if (bigger == NULL)
		return out_of_memory(err);
	program->problems = bigger;
	program->problems[program->problem_count++] = *problem;
	return 0;
}

static bool has_problem(const struct closure_program *program, const struct problem *problem)
{
	for (size_t i = 0; i < program->problem_count; i++) {
		if (strcmp(program->problems[i].error.message, problem->error.message) == 0)
			return true;
	}
	return false;
}

int program_add_problems(
	struct closure_program *program, const struct load *load, struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; i < load->problem_count && r >= 0; i++) {
		const struct problem *problem = &load->problems[i];

		if (!has_problem(program, problem))
			r = add_problem(program,
				&(struct closure_problem){problem->kind, problem->name->text,
					problem->by->path->text, problem->error},
				err);
	}
	return r;
}

/* The order of the report: the program, its interpreter, and the others as they are loaded. */
static void number_objects(const struct load *load)
{
	size_t index = 0;

	load->search.program->index = index++;
	if (load->interpreter != NULL)
		load->interpreter->index = index++;
	for (struct loaded *l = load->first; l != NULL; l = l->next) {
		if (l != load->search.program)
			l->index = index++;
	}
}

static int take_object(
	struct library_set *set, const struct loaded *loaded, struct closure_object *object)
{
	*object = (struct closure_object){
		.name = loaded->name->text,
		.path = loaded->location->path->text,
		.real = real_path(set, loaded->location),
		.size = loaded->location->node->size,
		.rule = loaded->rule,
		.by = loaded->requester != NULL ? loaded->requester->index : CLOSURE_NONE,
	};
	return object->real != NULL ? 0 : -ENOMEM;
}

static int take_objects(
	struct library_set *set, const struct load *load, struct closure_program *program)
{
	program->objects = calloc(load->object_count, sizeof(*program->objects));
	program->uses = calloc(load->use_count + 1, sizeof(*program->uses));
	if (program->objects == NULL || program->uses == NULL)
		return -ENOMEM;
	number_objects(load);
	for (size_t i = 0; i < load->object_count; i++) {
		const struct loaded *loaded = load->objects[i];

		if (take_object(set, loaded, &program->objects[loaded->index]) < 0)
			return -ENOMEM;
	}
	program->object_count = load->object_count;
	for (size_t i = 0; i < load->use_count; i++) {
		const struct use *use = &load->uses[i];

		program->uses[program->use_count++] = (struct closure_use){
			.by = use->by->index,
			.name = use->name->text,
			.object = use->got != NULL ? use->got->index : CLOSURE_NONE,
		};
	}
	return 0;
}

int program_of_load(const struct load *load, const struct location *named,
	const struct location *wanted_by, struct closure_program *ret_program,
	struct caisson_error *err)
{
	struct library_set *set = load->search.set;
	_cleanup_(program_done) struct closure_program program = {0};
	int r;

	r = describe(set, named, load->search.program->location, wanted_by, &program, err);
	if (r >= 0 && take_objects(set, load, &program) < 0)
		r = out_of_memory(err);
	if (r >= 0)
		r = program_add_problems(&program, load, err);
	if (r < 0)
		return r;
	/* Programs without an interpreter of their own that are loaded by none. */
	if (program.libc == CLOSURE_OTHER_LIBC && load->search.loader->minor > 0)
		program.libc = CLOSURE_GLIBC;
	*ret_program = program;
	program = (struct closure_program){0};
	return 0;
}

int program_alone(struct library_set *set, const struct location *named,
	const struct location *location, const struct location *wanted_by,
	const struct caisson_error *failure, struct closure_program *ret_program,
	struct caisson_error *err)
{
	_cleanup_(program_done) struct closure_program program = {0};
	const struct object *object = location->object;
	int r = describe(set, named, location, wanted_by, &program, err);

	if (r >= 0 && object->shebang != NULL)
		r = script_interpreter(set, object->shebang, &program.interpreter, err);
	if (r >= 0 && failure != NULL)
		r = add_problem(&program,
			&(struct closure_problem){CLOSURE_MISSING,
				program.interpreter != NULL ? program.interpreter : "",
				program.path, *failure},
			err);
	if (r < 0)
		return r;
	program.objects = calloc(1, sizeof(*program.objects));
	if (program.objects == NULL)
		return out_of_memory(err);
	program.objects[0] = (struct closure_object){named->path->text, named->path->text,
		program.real, location->node->size, "program", CLOSURE_NONE};
	program.object_count = 1;
	*ret_program = program;
	program = (struct closure_program){0};
	return 0;
}

void program_done(struct closure_program *program)
{
	free(program->objects);
	free(program->uses);
	free(program->problems);
}
