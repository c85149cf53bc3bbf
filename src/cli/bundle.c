/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <caisson/bundle.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/path.h"
#include "cli/commands.h"

enum {
	INTO,
	ROOT,
	LAYOUT,
	WRAPPER,
	STRIP,
	VERIFY,
	DLOPEN,
	LIBRARY_PATH,
	HWCAPS,
	WITH_CONFIG,
	REPLACE,
	NO_MANIFEST,
	JSON,
};

static const struct cli_option options[] = {
	[INTO] = {"into", 'o', CLI_VALUE, "WHERE",
		"the folder, or the archive by its name: .cpio, .tar, also with .gz, .zst, .xz, .lz4",
		"@directory"},
	[ROOT] = {"root", '\0', CLI_VALUE, "DIR", "take the programs from this root folder",
		"@directory"},
	[LAYOUT] = {"layout", '\0', CLI_VALUE, "KIND",
		"same: every file at its own path; flat: bin/ and lib/", "same flat"},
	[WRAPPER] = {"wrapper", '\0', CLI_FLAG, NULL,
		"flat: programs in bin/ are scripts that start the real ones", NULL},
	[STRIP] = {"strip", '\0', CLI_FLAG, NULL, "leave debug sections away", NULL},
	[VERIFY] = {"verify", '\0', CLI_FLAG, NULL,
		"let the bundle's own loader find everything, confined to the bundle", NULL},
	[DLOPEN] = {"dlopen", '\0', CLI_VALUE, "LEVEL",
		"which of the libraries that programs open by themselves",
		"required none recommended all"},
	[LIBRARY_PATH] = {"library-path", '\0', CLI_VALUE, "DIRS",
		"folders to search first, separated by colons", NULL},
	[HWCAPS] = {"hwcaps", '\0', CLI_VALUE, "SET",
		"for which processors: baseline, host, all, or a name", NULL},
	[WITH_CONFIG] = {"with-config", '\0', CLI_FLAG, NULL,
		"with the configuration that libraries read", NULL},
	[REPLACE] = {"replace", '\0', CLI_FLAG, NULL,
		"overwrite files that differ and are no bundle's", NULL},
	[NO_MANIFEST] = {"no-manifest", '\0', CLI_FLAG, NULL, "record nothing", NULL},
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

/* What was told, until all is known. */
struct told {
	const char *into;
	bool json, flat, wrapper;
	struct json_object *programs, *files;
	struct strbuf text;  /* lines about files */
	struct strv loaders; /* that programs are to be started by */
	char *libraries;     /* which these are told */
	struct strv left_out;
};

static void told_done(struct told *told)
{
	json_object_put(told->programs);
	json_object_put(told->files);
	strbuf_done(&told->text);
	strv_done(&told->loaders);
	free(told->libraries);
	strv_done(&told->left_out);
}

/* Paths of a stranger's root must not talk to the terminal. */
static void add_flat(struct strbuf *to, const char *format, ...) _printf_(2, 3);
static void add_flat(struct strbuf *to, const char *format, ...)
{
	_cleanup_strbuf_ struct strbuf line = STRBUF_INIT;
	va_list args;

	va_start(args, format);
	strbuf_add_formatv(&line, format, args);
	va_end(args);
	if (line.data != NULL)
		text_flatten(line.data);
	strbuf_add_format(to, "%s\n", line.data != NULL ? line.data : "");
	to->failed |= line.failed;
}

static int tell_program(const struct caisson_bundle_program *program, void *userdata)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	struct told *told = userdata;

	if (object == NULL || !json_set_string(object, "asked", program->asked) ||
		!json_set_string(object, "path", program->path) ||
		!json_set_string(object, "starts", program->starts) ||
		(program->loader != NULL && !json_set_string(object, "loader", program->loader)) ||
		!json_append(told->programs, take_ptr(object)))
		return -ENOMEM;
	if (program->libraries == NULL || told->wrapper)
		return 0;
	if (told->libraries == NULL)
		told->libraries = strdup(program->libraries);
	if (!strv_contains(&told->loaders, program->loader))
		strv_add(&told->loaders, program->loader);
	return told->libraries != NULL && strv_ok(&told->loaders) ? 0 : -ENOMEM;
}

static int tell_left_out(const char *feature, void *userdata)
{
	struct told *told = userdata;

	strv_add(&told->left_out, feature);
	return strv_ok(&told->left_out) ? 0 : -ENOMEM;
}

static const char *const states[] = {
	[CAISSON_BUNDLE_NEW] = "new",
	[CAISSON_BUNDLE_KEPT] = "kept",
	[CAISSON_BUNDLE_REPLACED] = "replaced",
	[CAISSON_BUNDLE_REMOVED] = "removed",
};

static int append_file(struct told *told, const struct caisson_bundle_file *file)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	bool link = file->kind == CAISSON_BUNDLE_SYMLINK;
	char mode[8];

	snprintf(mode, sizeof(mode), "%04o", (unsigned int)file->mode);
	if (object == NULL || !json_set_string(object, "path", file->path) ||
		!json_set_string(object, "kind", link ? "symlink" : "file") ||
		!json_set_string(object, "state", states[file->state]) ||
		(link && !json_set_string(object, "target", file->target)) ||
		(!link && (!json_set_uint(object, "size", file->size) ||
				  !json_set_uint(object, "source_size", file->source_size) ||
				  !json_set_string(object, "mode", mode))) ||
		!json_set_string(object, "rule", file->rule) ||
		(file->wanted_by != NULL &&
			!json_set_string(object, "wanted_by", file->wanted_by)) ||
		!json_append(told->files, take_ptr(object)))
		return -ENOMEM;
	return 0;
}

static int tell_file(const struct caisson_bundle_file *file, void *userdata)
{
	struct told *told = userdata;
	char size[32] = "";

	if (told->json)
		return append_file(told, file);
	if (file->kind == CAISSON_BUNDLE_SYMLINK) {
		add_flat(&told->text, "%-8s %10s  %s -> %s", states[file->state], "", file->path,
			file->target);
		return 0;
	}
	cli_format_size(file->size, size, sizeof(size));
	add_flat(&told->text, "%-8s %10s  %s%s%s%s%s%s", states[file->state], size, file->path,
		file->rule[0] != '\0' ? "  (" : "", file->rule,
		file->wanted_by != NULL ? ", for " : "",
		file->wanted_by != NULL ? file->wanted_by : "", file->rule[0] != '\0' ? ")" : "");
	return 0;
}

static const char *const proofs[] = {
	[CAISSON_BUNDLE_UNPROVED] = "none",
	[CAISSON_BUNDLE_BY_READING] = "reading",
	[CAISSON_BUNDLE_BY_LOADER] = "loader",
};

static int print_json(
	struct told *told, const struct caisson_bundle_report *report, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object == NULL || !json_set_string(object, "into", told->into) ||
		!json_set_uint(object, "files_count", report->files) ||
		!json_set_uint(object, "links_count", report->links) ||
		!json_set_uint(object, "removed_count", report->removed) ||
		!json_set_uint(object, "size", report->size) ||
		!json_set_uint(object, "written", report->written) ||
		!json_set_uint(object, "kept", report->kept) ||
		!json_set_uint(object, "stripped", report->stripped) ||
		!json_set_uint(object, "archive_size", report->archive_size) ||
		!json_set_string(object, "verified", proofs[report->proof]) ||
		!json_set_string(object, "verified_reason", report->proof_reason) ||
		!json_set_strings(object, "left_out", &told->left_out) ||
		!json_set(object, "programs", take_ptr(told->programs)) ||
		!json_set(object, "files", take_ptr(told->files)))
		return caisson_fail(err, ENOMEM, "print JSON");
	return cli_print_json(object, err);
}

static void print_sizes(const struct told *told, const struct caisson_bundle_report *report)
{
	char size[32], written[32], kept[32], stripped[32], archive[32];

	cli_format_size(report->size, size, sizeof(size));
	cli_format_size(report->written, written, sizeof(written));
	cli_format_size(report->kept, kept, sizeof(kept));
	cli_format_size(report->stripped, stripped, sizeof(stripped));
	cli_format_size(report->archive_size, archive, sizeof(archive));
	printf("%s: %llu files and %llu links, %s", told->into, (unsigned long long)report->files,
		(unsigned long long)report->links, size);
	if (report->archive_size > 0)
		printf("; the archive has %s%s", archive,
			report->archive_unchanged ? " (it was there already)" : "");
	else
		printf("; written %s, there already %s", written, kept);
	if (report->stripped > 0)
		printf("; %s of debug sections left away", stripped);
	if (report->removed > 0)
		printf("; %llu removed", (unsigned long long)report->removed);
	putchar('\n');
	if (report->proof == CAISSON_BUNDLE_BY_LOADER)
		puts("verified: the bundle's own loader finds everything in it");
	else if (report->proof == CAISSON_BUNDLE_BY_READING)
		printf("verified by reading alone: %s\n", report->proof_reason);
}

/* Of programs that do not find their libraries by themselves. */
static void print_starts(const struct told *told, const char *folder)
{
	if (!told->flat && told->loaders.count > 0)
		printf("start its programs with LD_LIBRARY_PATH=%s\n", told->libraries);
	for (size_t i = 0; told->flat && i < told->loaders.count; i++)
		printf("start its programs by: %s%s --library-path %s%s %s/bin/PROGRAM\n", folder,
			told->loaders.items[i], folder, told->libraries, folder);
}

static int print_text(
	struct told *told, const struct caisson_bundle_report *report, struct caisson_error *err)
{
	if (!strbuf_ok(&told->text))
		return caisson_fail(err, ENOMEM, "print the report");
	if (told->text.data != NULL)
		fputs(told->text.data, stdout);
	print_sizes(told, report);
	for (size_t i = 0; i < told->left_out.count; i++)
		printf("left out: %s\n", told->left_out.items[i]);
	print_starts(told, report->archive_size > 0 ? "DIR" : told->into);
	return 0;
}

/* On the running system a path may be relative; a link at its end is kept, as it is the name that
   is asked for. */
static int add_program(
	struct strv *programs, const char *path, bool root, struct caisson_error *err)
{
	_cleanup_free_ char *folder = NULL, *real = NULL;
	const char *name = path_base(path);

	if (path[0] == '\0')
		return caisson_refuse(err, EINVAL, "a program's name is empty");
	if (root || (path[0] == '/' && strstr(path, "/.") == NULL)) {
		if (path[0] != '/')
			return caisson_refuse(
				err, EINVAL, "%s is not an absolute path inside the root", path);
		strv_add(programs, path);
		return 0;
	}
	folder = name > path ? strndup(path, (size_t)(name - path)) : strdup(".");
	real = folder != NULL ? realpath(folder, NULL) : NULL;
	if (real == NULL)
		return caisson_fail(err, errno, "open %s", path);
	strv_add_owned(programs, path_join(real, name));
	return 0;
}

static int make(struct cli_context *context, const struct caisson_bundle_options *bundle,
	struct caisson_error *err)
{
	_cleanup_(told_done) struct told told = {.into = bundle->into,
		.json = cli_has(context, JSON),
		.flat = bundle->layout == CAISSON_BUNDLE_FLAT,
		.wrapper = bundle->wrapper};
	const struct caisson_bundle_watcher watcher = {
		tell_program, tell_file, tell_left_out, &told};
	struct caisson_bundle_report report;
	int r;

	told.programs = json_object_new_array();
	told.files = json_object_new_array();
	if (told.programs == NULL || told.files == NULL)
		return caisson_fail(err, ENOMEM, "make a bundle");
	r = caisson_bundle(bundle, &watcher, &report, err);
	if (r < 0)
		return r;
	if (told.json)
		return print_json(&told, &report, err);
	return cli_common(&command_bundle, context, CLI_QUIET)->count > 0
		       ? 0
		       : print_text(&told, &report, err);
}

static int run(struct cli_context *context, struct caisson_error *err)
{
	_cleanup_strv_ struct strv programs = STRV_INIT;
	_cleanup_free_ char *root = NULL;
	struct caisson_bundle_options bundle = {
		.into = cli_value(context, INTO),
		.library_path = cli_value(context, LIBRARY_PATH),
		.hwcaps = cli_value(context, HWCAPS),
		.with_config = cli_has(context, WITH_CONFIG),
		.strip = cli_has(context, STRIP),
		.wrapper = cli_has(context, WRAPPER),
		.verify = cli_has(context, VERIFY),
		.replace = cli_has(context, REPLACE),
		.no_manifest = cli_has(context, NO_MANIFEST),
	};
	unsigned int layout = 0, dlopen = 0;
	int r;

	if (bundle.into == NULL || bundle.into[0] == '\0')
		return caisson_refuse(err, EINVAL, "where to? --into names a folder or an archive");
	if (strcmp(bundle.into, "-") == 0)
		return caisson_refuse(err, EINVAL, "a bundle cannot go to standard output");
	if (cli_has(context, ROOT)) {
		root = realpath(cli_value(context, ROOT), NULL);
		if (root == NULL)
			return caisson_fail(err, errno, "open %s", cli_value(context, ROOT));
		bundle.root = root;
	}
	r = cli_choice(&command_bundle, context, LAYOUT, &layout, err);
	if (r >= 0)
		r = cli_choice(&command_bundle, context, DLOPEN, &dlopen, err);
	if (r >= 0)
		r = cli_source_date(&bundle.time, err);
	for (size_t i = 0; i < context->operands.count && r >= 0; i++)
		r = add_program(&programs, context->operands.items[i], root != NULL, err);
	if (r < 0)
		return r;
	if (!strv_ok(&programs))
		return caisson_fail(err, ENOMEM, "make a bundle");
	bundle.layout = layout;
	bundle.dlopen = dlopen;
	bundle.programs = (const char *const *)programs.items;
	bundle.program_count = programs.count;
	return make(context, &bundle, err);
}

const struct cli_command command_bundle = {
	.name = "bundle",
	.summary = "copy programs with everything that they need to run",
	.operands = "PROGRAM...",
	.complete = "@file",
	.details =
		"The bundle runs in an initramfs, in a container of another libc, or in an empty\n"
		"folder. Into a folder that exists, only what is missing is written, and what is\n"
		"not a bundle's is never changed without --replace. The same inputs give the same\n"
		"bytes; SOURCE_DATE_EPOCH sets the files' time.\n",
	.options = options,
	.least = 1,
	.run = run,
};
