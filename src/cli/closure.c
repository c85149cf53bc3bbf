/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/closure.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "cli/commands.h"

const char *const closure_linkages[] = {
	[CLOSURE_STATIC] = "static",
	[CLOSURE_STATIC_PIE] = "static-pie",
	[CLOSURE_DYNAMIC] = "dynamic",
	[CLOSURE_SHARED] = "shared",
	[CLOSURE_IS_SCRIPT] = "script",
};

const char *const closure_libcs[] = {
	[CLOSURE_NO_LIBC] = NULL,
	[CLOSURE_GLIBC] = "glibc",
	[CLOSURE_MUSL] = "musl",
	[CLOSURE_OTHER_LIBC] = "other",
};

enum {
	ROOT,
	TREE,
	LIST,
	JSON,
	WHY,
	DLOPEN,
	LIBRARY_PATH,
	HWCAPS,
	CHECK,
};

static const struct cli_option options[] = {
	[ROOT] = {"root", '\0', CLI_VALUE, "DIR",
		"everything is inside of this folder, FILE too; of any machine type", "@directory"},
	[TREE] = {"tree", '\0', CLI_FLAG, NULL, "show who asks for what", NULL},
	[LIST] = {"list", '\0', CLI_FLAG, NULL, "print paths alone, files and links, sorted", NULL},
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	[WHY] = {"why", '\0', CLI_VALUE, "LIBRARY", "show the way from each program to a library",
		NULL},
	[DLOPEN] = {"dlopen", '\0', CLI_VALUE, "LEVEL",
		"what is opened by name at run time: none, required (default), recommended or all",
		"required none recommended all"},
	[LIBRARY_PATH] = {"library-path", '\0', CLI_VALUE, "DIRS",
		"as if LD_LIBRARY_PATH were set to this", "@directory"},
	[HWCAPS] = {"hwcaps", '\0', CLI_VALUE, "SET",
		"libraries for particular processors: baseline, host, all, or a level "
		"(host; with --root: baseline)",
		"baseline host all x86-64-v2 x86-64-v3 x86-64-v4"},
	[CHECK] = {"check", '\0', CLI_VALUE, "DIR",
		"compare a bundle with what it was made of; takes no FILE", "@directory"},
	{.name = NULL},
};

enum closure_dlopen cli_dlopen_level(unsigned int choice)
{
	static const enum closure_dlopen levels[] = {CLOSURE_DLOPEN_REQUIRED, CLOSURE_DLOPEN_NONE,
		CLOSURE_DLOPEN_RECOMMENDED, CLOSURE_DLOPEN_ALL};

	return levels[choice];
}

int cli_path_in_root(const char *root, const char *file, char **ret_path, struct caisson_error *err)
{
	char cwd[PATH_MAX];

	if (file[0] == '\0')
		return caisson_refuse(err, EINVAL, "a file's name is empty");
	if (root == NULL && file[0] != '/') {
		if (getcwd(cwd, sizeof(cwd)) == NULL)
			return caisson_fail(err, errno, "find the current folder");
		*ret_path = path_join(cwd, file);
	} else {
		*ret_path = file[0] == '/' ? strdup(file) : path_join("/", file);
	}
	return *ret_path != NULL ? 0 : caisson_fail(err, ENOMEM, "open %s", file);
}

/* One that cannot be read is told of, and the others are read all the same. */
static int add_files(
	struct cli_context *context, struct closure_view *view, struct caisson_error *err)
{
	for (size_t i = 0; i < context->operands.count; i++) {
		_cleanup_free_ char *path = NULL;
		struct caisson_error why = {0};
		int r = cli_path_in_root(view->root, context->operands.items[i], &path, err);

		if (r < 0)
			return r;
		r = closure_add_program(view->closure, path, &why);
		if (r >= 0)
			continue;
		view->complete = false;
		if (r == -ENOMEM) {
			*err = why;
			return r;
		}
		fprintf(stderr, "caisson closure: %s\n", why.message);
		if (why.hint[0] != '\0')
			fprintf(stderr, "  hint: %s\n", why.hint);
	}
	return 0;
}

static int sum_up(struct closure_view *view, struct caisson_error *err)
{
	size_t count;
	const struct closure_entry *entries = closure_entries(view->closure, &count);
	const struct closure_program *programs;

	if (entries == NULL && count > 0)
		return caisson_fail(err, ENOMEM, "list a closure");
	for (size_t i = 0; i < count; i++)
		view->size += entries[i].size;
	programs = closure_programs(view->closure, &count);
	for (size_t i = 0; i < count; i++)
		view->complete = view->complete && programs[i].problem_count == 0;
	return 0;
}

/* A library that nobody needs is an answer, too, and a status of 1 says it. */
static int print_why(
	const struct closure_view *view, const char *library, struct caisson_error *err)
{
	int r = closure_print_why(view, library, err);

	if (r != 0)
		return r < 0 ? r : 0;
	return caisson_refuse(err, ENOENT, "nothing here needs %s", library);
}

static int print(
	struct cli_context *context, const struct closure_view *view, struct caisson_error *err)
{
	if (cli_has(context, WHY))
		return print_why(view, cli_value(context, WHY), err);
	if (cli_has(context, JSON))
		return closure_print_json(view, err);
	if (cli_has(context, LIST))
		return closure_print_list(view, err);
	if (cli_has(context, TREE))
		return closure_print_tree(view, err);
	return closure_print_table(view, err);
}

static int check_forms(const struct cli_context *context, struct caisson_error *err)
{
	int forms = cli_has(context, TREE) + cli_has(context, LIST) + cli_has(context, JSON) +
		    cli_has(context, WHY);

	if (forms <= 1)
		return 0;
	return caisson_refuse(err, EINVAL, "one of --tree, --list, --json and --why at a time");
}

static int check_bundle(struct cli_context *context, struct caisson_error *err)
{
	if (context->operands.count > 0)
		return caisson_refuse(err, EINVAL, "--check takes no FILE");
	if (cli_has(context, TREE) || cli_has(context, LIST) || cli_has(context, WHY))
		return caisson_refuse(err, EINVAL, "--check takes no --tree, --list or --why");
	return cli_bundle_check(
		cli_value(context, CHECK), cli_value(context, ROOT), cli_has(context, JSON), err);
}

static int run(struct cli_context *context, struct caisson_error *err)
{
	const char *root = cli_value(context, ROOT);
	struct closure_options closure_options = {
		.root = root,
		.library_path = cli_value(context, LIBRARY_PATH),
		.hwcaps = cli_has(context, HWCAPS) ? cli_value(context, HWCAPS)
			  : root != NULL           ? "baseline"
						   : "host",
		.tolerant = true,
		.report = true,
	};
	_cleanup_(closure_freep) struct closure *closure = NULL;
	struct closure_view view = {.root = root, .complete = true};
	unsigned int level;
	int r;

	if (cli_has(context, CHECK))
		return check_bundle(context, err);
	if (context->operands.count == 0)
		return caisson_refuse(err, EINVAL, "something is missing: FILE");
	r = check_forms(context, err);
	if (r == 0)
		r = cli_choice(&command_closure, context, DLOPEN, &level, err);
	if (r < 0)
		return r;
	closure_options.dlopen = cli_dlopen_level(level);
	r = closure_new(&closure, &closure_options, err);
	view.closure = closure;
	if (r >= 0)
		r = add_files(context, &view, err);
	if (r >= 0)
		r = sum_up(&view, err);
	if (r >= 0)
		r = print(context, &view, err);
	if (r < 0)
		return r;
	return view.complete ? 0 : 1;
}

const struct cli_command command_closure = {
	.name = "closure",
	.summary = "show what programs need in order to run, and by which rule it is found",
	.operands = "[FILE...]",
	.complete = "@file",
	.details =
		"Programs, libraries and scripts are followed as their loader would follow them, by\n"
		"reading: nothing is run, so a root of another machine type will do. The exit status\n"
		"is 1 when something is missing.\n",
	.options = options,
	.run = run,
};
