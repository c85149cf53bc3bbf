/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/strbuf.h"
#include "cli/closure.h"
#include "cli/commands.h"

/* Names come from files that strangers made: they must not talk to the terminal. */
static void say(const char *format, ...) _printf_(1, 2);

static void say(const char *format, ...)
{
	_cleanup_strbuf_ struct strbuf line = STRBUF_INIT;
	va_list args;

	va_start(args, format);
	strbuf_add_formatv(&line, format, args);
	va_end(args);
	if (!strbuf_ok(&line) || line.data == NULL)
		return;
	text_flatten(line.data);
	puts(line.data);
}

static void say_program(const struct closure_program *program)
{
	const char *interpreter = program->interpreter;
	const char *libc = closure_libcs[program->libc];

	say("%s: %s%s%s%s%s%s%s", program->path, closure_linkages[program->linkage],
		libc != NULL ? ", " : "", libc != NULL ? libc : "",
		program->machine != NULL ? ", " : "",
		program->machine != NULL ? program->machine : "",
		interpreter != NULL ? ", interpreter " : "",
		interpreter != NULL ? interpreter : "");
}

static void say_problems(const struct closure_program *program)
{
	for (size_t i = 0; i < program->problem_count; i++) {
		const struct caisson_error *error = &program->problems[i].error;

		say("  %s", error->message);
		if (error->hint[0] != '\0')
			say("    hint: %s", error->hint);
	}
}

static void say_total(const struct closure_view *view)
{
	_cleanup_strv_ struct strv features = STRV_INIT;
	size_t count, files = 0;
	const struct closure_entry *entries = closure_entries(view->closure, &count);
	char size[32];

	for (size_t i = 0; i < count; i++)
		files += entries[i].kind != CLOSURE_SYMLINK;
	cli_format_size(view->size, size, sizeof(size));
	say("%zu file%s, %s%s", files, files == 1 ? "" : "s", size,
		view->complete ? "" : "; something is missing");
	closure_left_out(view->closure, &features);
	for (size_t i = 0; i < features.count; i++)
		say("not followed: %s", features.items[i]);
}

int closure_print_table(const struct closure_view *view, struct caisson_error *err _unused_)
{
	size_t count;
	const struct closure_program *programs = closure_programs(view->closure, &count);

	for (size_t p = 0; p < count; p++) {
		const struct closure_program *program = &programs[p];

		say_program(program);
		for (size_t i = 1; i < program->object_count; i++) {
			const struct closure_object *object = &program->objects[i];
			char size[32];

			cli_format_size(object->size, size, sizeof(size));
			say("  %-28s %-52s %10s  %s", object->name, object->path, size,
				object->rule);
		}
		say_problems(program);
	}
	say_total(view);
	return 0;
}

int closure_print_list(const struct closure_view *view, struct caisson_error *err _unused_)
{
	size_t count;
	const struct closure_entry *entries = closure_entries(view->closure, &count);
	const struct closure_program *programs;

	for (size_t i = 0; i < count; i++)
		puts(entries[i].path);
	/* The list is for programs to read: what is missing goes to the person. */
	programs = closure_programs(view->closure, &count);
	for (size_t p = 0; p < count; p++) {
		for (size_t i = 0; i < programs[p].problem_count; i++)
			fprintf(stderr, "caisson closure: %s\n",
				programs[p].problems[i].error.message);
	}
	return 0;
}

/* A walk through one program's uses. */
struct tree {
	const struct closure_program *program;
	bool *shown; /* objects whose own uses stand further up */
	struct strbuf indent;
};

static void say_use(struct tree *tree, const struct closure_use *use, bool last)
{
	const struct closure_object *object =
		use->object != CLOSURE_NONE ? &tree->program->objects[use->object] : NULL;
	const char *branch = last ? "└── " : "├── ";
	const char *indent = tree->indent.data != NULL ? tree->indent.data : "";

	if (object == NULL)
		say("%s%s%s: not found", indent, branch, use->name);
	else
		say("%s%s%s (%s) %s%s", indent, branch, use->name, object->rule, object->path,
			tree->shown[use->object] ? " ..." : "");
}

/* Recursion is bounded: each object's uses are shown once. */
static void show_uses(struct tree *tree, size_t by)
{
	const struct closure_program *program = tree->program;
	size_t last = CLOSURE_NONE, indent = tree->indent.size;

	tree->shown[by] = true;
	for (size_t i = 0; i < program->use_count; i++) {
		if (program->uses[i].by == by)
			last = i;
	}
	for (size_t i = 0; i < program->use_count; i++) {
		const struct closure_use *use = &program->uses[i];

		if (use->by != by)
			continue;
		say_use(tree, use, i == last);
		if (use->object == CLOSURE_NONE || tree->shown[use->object])
			continue;
		strbuf_add_string(&tree->indent, i == last ? "    " : "│   ");
		show_uses(tree, use->object);
		if (strbuf_ok(&tree->indent)) {
			tree->indent.size = indent;
			tree->indent.data[indent] = '\0';
		}
	}
}

int closure_print_tree(const struct closure_view *view, struct caisson_error *err)
{
	size_t count;
	const struct closure_program *programs = closure_programs(view->closure, &count);

	for (size_t p = 0; p < count; p++) {
		struct tree tree = {.program = &programs[p], .indent = STRBUF_INIT};

		tree.shown = calloc(programs[p].object_count, sizeof(*tree.shown));
		if (tree.shown == NULL)
			return caisson_fail(err, ENOMEM, "show a tree");
		say_program(&programs[p]);
		show_uses(&tree, 0);
		say_problems(&programs[p]);
		free(tree.shown);
		strbuf_done(&tree.indent);
	}
	say_total(view);
	return 0;
}

static bool is_called(const struct closure_object *object, const char *name)
{
	return strcmp(object->name, name) == 0 || strcmp(object->path, name) == 0 ||
	       strcmp(object->real, name) == 0 || strcmp(path_base(object->path), name) == 0 ||
	       strcmp(path_base(object->real), name) == 0;
}

/* From the program down: an object's first asker is one of those nearest to the program. */
static void say_way(const struct closure_program *program, size_t index, unsigned int depth)
{
	const struct closure_object *object = &program->objects[index];

	if (object->by != CLOSURE_NONE && depth < program->object_count)
		say_way(program, object->by, depth + 1);
	if (object->by == CLOSURE_NONE)
		say("%s", object->path);
	else
		say("  %s (%s) %s", object->name, object->rule, object->path);
}

static void say_others(const struct closure_program *program, size_t index)
{
	for (size_t i = 0; i < program->use_count; i++) {
		const struct closure_use *use = &program->uses[i];

		if (use->object == index && use->by != program->objects[index].by)
			say("  needed by %s, too", program->objects[use->by].path);
	}
}

int closure_print_why(
	const struct closure_view *view, const char *library, struct caisson_error *err _unused_)
{
	size_t count;
	const struct closure_program *programs = closure_programs(view->closure, &count);
	int found = 0;

	for (size_t p = 0; p < count; p++) {
		const struct closure_program *program = &programs[p];

		for (size_t i = 0; i < program->object_count; i++) {
			if (!is_called(&program->objects[i], library))
				continue;
			found = 1;
			say_way(program, i, 0);
			say_others(program, i);
		}
		for (size_t i = 0; i < program->problem_count; i++) {
			if (strcmp(program->problems[i].name, library) != 0)
				continue;
			found = 1;
			say("%s", program->path);
			say("  %s", program->problems[i].error.message);
		}
	}
	return found;
}
