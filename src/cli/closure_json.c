/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>

#include "base/json.h"
#include "cli/closure.h"
#include "cli/commands.h"

static const char *const problem_kinds[] = {
	[CLOSURE_MISSING] = "missing",
	[CLOSURE_BROKEN] = "broken",
	[CLOSURE_VERSION] = "version",
};

static bool set_optional(struct json_object *object, const char *field, const char *text)
{
	return text == NULL || json_set_string(object, field, text);
}

static struct json_object *object_json(
	const struct closure_program *program, const struct closure_object *from)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	const char *by = from->by != CLOSURE_NONE ? program->objects[from->by].path : NULL;

	if (object != NULL && json_set_string(object, "name", from->name) &&
		json_set_string(object, "path", from->path) &&
		json_set_string(object, "real", from->real) &&
		json_set_uint(object, "size", from->size) &&
		json_set_string(object, "rule", from->rule) &&
		set_optional(object, "wanted_by", by))
		return take_ptr(object);
	return NULL;
}

static struct json_object *problem_json(const struct closure_problem *problem)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object != NULL && json_set_string(object, "kind", problem_kinds[problem->kind]) &&
		json_set_string(object, "name", problem->name) &&
		json_set_string(object, "wanted_by", problem->wanted_by) &&
		json_set_string(object, "message", problem->error.message))
		return take_ptr(object);
	return NULL;
}

static struct json_object *objects_json(const struct closure_program *program)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();

	for (size_t i = 0; array != NULL && i < program->object_count; i++) {
		if (!json_append(array, object_json(program, &program->objects[i])))
			return NULL;
	}
	return take_ptr(array);
}

static struct json_object *problems_json(const struct closure_program *program)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();

	for (size_t i = 0; array != NULL && i < program->problem_count; i++) {
		if (!json_append(array, problem_json(&program->problems[i])))
			return NULL;
	}
	return take_ptr(array);
}

static struct json_object *program_json(const struct closure_program *program)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object == NULL || !json_set_string(object, "path", program->path) ||
		!json_set_string(object, "real", program->real) ||
		!json_set_string(object, "kind", closure_linkages[program->linkage]) ||
		!set_optional(object, "libc", closure_libcs[program->libc]) ||
		!set_optional(object, "wanted_by", program->wanted_by) ||
		!set_optional(object, "interpreter", program->interpreter))
		return NULL;
	if (program->machine != NULL &&
		(!json_set_string(object, "machine", program->machine) ||
			!json_set_uint(object, "bits", program->bits) ||
			!json_set_string(object, "endian", program->big_endian ? "big" : "little")))
		return NULL;
	if (!json_set(object, "objects", objects_json(program)) ||
		!json_set(object, "problems", problems_json(program)))
		return NULL;
	return take_ptr(object);
}

static struct json_object *entry_json(const struct closure_entry *entry)
{
	static const char *const kinds[] = {
		[CLOSURE_FILE] = "file", [CLOSURE_SYMLINK] = "symlink", [CLOSURE_DATA] = "data"};
	_cleanup_json_ struct json_object *object = json_object_new_object();
	char mode[8];

	snprintf(mode, sizeof(mode), "%04o", (unsigned int)entry->mode & 07777);
	if (object != NULL && json_set_string(object, "path", entry->path) &&
		json_set_string(object, "kind", kinds[entry->kind]) &&
		set_optional(object, "target", entry->target) &&
		json_set_uint(object, "size", entry->size) &&
		json_set_string(object, "mode", mode) &&
		json_set_string(object, "rule", entry->rule) &&
		set_optional(object, "wanted_by", entry->wanted_by))
		return take_ptr(object);
	return NULL;
}

static struct json_object *programs_json(const struct closure_view *view)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();
	size_t count;
	const struct closure_program *programs = closure_programs(view->closure, &count);

	for (size_t i = 0; array != NULL && i < count; i++) {
		if (!json_append(array, program_json(&programs[i])))
			return NULL;
	}
	return take_ptr(array);
}

static struct json_object *files_json(const struct closure_view *view)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();
	size_t count;
	const struct closure_entry *entries = closure_entries(view->closure, &count);

	for (size_t i = 0; array != NULL && i < count; i++) {
		if (!json_append(array, entry_json(&entries[i])))
			return NULL;
	}
	return take_ptr(array);
}

int closure_print_json(const struct closure_view *view, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_strv_ struct strv features = STRV_INIT;

	closure_left_out(view->closure, &features);
	if (object == NULL ||
		!json_set_string(object, "root", view->root != NULL ? view->root : "/") ||
		!json_set_bool(object, "complete", view->complete) ||
		!json_set_uint(object, "size", view->size) ||
		!json_set_strings(object, "not_followed", &features) ||
		!json_set(object, "programs", programs_json(view)) ||
		!json_set(object, "files", files_json(view)))
		return caisson_fail(err, ENOMEM, "print JSON");
	return cli_print_json(object, err);
}
