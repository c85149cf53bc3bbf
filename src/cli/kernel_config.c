/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/kernel.h"
#include "kbuild/configure.h"
#include "kbuild/source.h"
#include "kernel/config_read.h"

enum { PROFILE, BASE, SOURCE, FRAGMENT, OUTPUT, UNASKED, JSON };

enum { REMOVED_SHOWN = 20, STATUS_INTERRUPTED = 130 };

static const struct cli_option options[] = {
	[PROFILE] = {"profile", '\0', CLI_VALUE, "PROFILE",
		"what the kernel is for (default: minimal)", KERNEL_PROFILE_WORDS},
	[BASE] = {"base", '\0', CLI_VALUE, "FILE",
		"the configuration, or the kernel, to begin with (default: none: all else is off)",
		"@file"},
	[SOURCE] = {"source", '\0', CLI_VALUE, "SOURCE",
		"the kernel's source: a folder, a tar archive or apt:PACKAGE (default: the newest "
		"linux-source package that is installed)",
		"@file"},
	[FRAGMENT] = {"fragment", '\0', CLI_LIST, "FILE",
		"more options, which win over the profile's", "@file"},
	[OUTPUT] = {"output", 'o', CLI_VALUE, "FILE",
		"where the configuration goes (default: standard output)", "@file"},
	[UNASKED] = {"unasked", '\0', CLI_FLAG, NULL,
		"without a base: tell which options are on that nobody asked for", NULL},
	[JSON] = {"json", '\0', CLI_FLAG, NULL,
		"print JSON; the configuration goes to --output alone", NULL},
	{.name = NULL},
};

static void print_faults(FILE *to, const struct configure_faults *faults)
{
	for (size_t i = 0; i < faults->count; i++) {
		const struct configure_fault *fault = &faults->items[i];

		fprintf(to, "%s: %s\n    %s %s %s%s%s\n", fault->option, fault->why, fault->from,
			fault->optional ? "would like" : "wants",
			strcmp(fault->wanted, "n") == 0 ? "it off" : fault->wanted,
			fault->reason != NULL ? ": " : "",
			fault->reason != NULL ? fault->reason : "");
	}
}

static void print_removed(FILE *to, const struct configure_result *result)
{
	size_t asked = 0, shown = 0;

	for (size_t i = 0; i < result->removed_count; i++)
		asked += result->removed[i].asked;
	if (result->removed_count == 0)
		return;
	fprintf(to,
		"%zu options of the base are off now: %zu as the fragments say, %zu with them:\n",
		result->removed_count, asked, result->removed_count - asked);
	for (size_t i = 0; i < result->removed_count && shown < REMOVED_SHOWN; i++) {
		const struct configure_removal *removal = &result->removed[i];

		if (removal->asked)
			continue;
		fprintf(to, "  %s: %s\n", removal->option, removal->why);
		shown++;
	}
	if (result->removed_count - asked > shown)
		fprintf(to, "  and %zu more (--json has them all)\n",
			result->removed_count - asked - shown);
}

/* Wishes left out: what makes something faster, or what an older version does not have. */
static size_t needed_lost(const struct configure_result *result)
{
	size_t count = 0;

	for (size_t i = 0; i < result->lost.count; i++)
		count += !result->lost.items[i].optional;
	return count;
}

static void print_report(
	const struct cli_context *context, const struct configure_result *result, FILE *to)
{
	print_faults(to, &result->overridden);
	print_faults(to, &result->lost);
	print_removed(to, result);
	if (cli_has(context, UNASKED)) {
		for (size_t i = 0; i < result->unasked.count; i++)
			fprintf(to, "%s: on, and nobody asked for it\n", result->unasked.items[i]);
	}
	fprintf(to, "Linux %s: %zu options wanted, %zu lost", result->version, result->wanted,
		needed_lost(result));
	if (result->lost.count > needed_lost(result))
		fprintf(to, ", and %zu of what is a wish",
			result->lost.count - needed_lost(result));
	fputc('\n', to);
}

static struct json_object *faults_json(const struct configure_faults *faults)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();

	for (size_t i = 0; array != NULL && i < faults->count; i++) {
		const struct configure_fault *fault = &faults->items[i];
		_cleanup_json_ struct json_object *object = json_object_new_object();

		if (object == NULL || !json_set_string(object, "option", fault->option) ||
			!cli_json_text(object, "value", fault->wanted) ||
			!cli_json_text(object, "fragment", fault->from) ||
			!json_set_bool(object, "required", !fault->optional) ||
			!cli_json_text(object, "reason", fault->reason) ||
			!cli_json_text(object, "why", fault->why) ||
			!json_append(array, take_ptr(object)))
			return NULL;
	}
	return take_ptr(array);
}

static struct json_object *removed_json(const struct configure_result *result)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();

	for (size_t i = 0; array != NULL && i < result->removed_count; i++) {
		const struct configure_removal *removal = &result->removed[i];
		_cleanup_json_ struct json_object *object = json_object_new_object();

		if (object == NULL || !json_set_string(object, "option", removal->option) ||
			!cli_json_text(object, "value", removal->value) ||
			!json_set_bool(object, "asked", removal->asked) ||
			!cli_json_text(object, "why", removal->why) ||
			!json_append(array, take_ptr(object)))
			return NULL;
	}
	return take_ptr(array);
}

static int print_object(
	const struct configure_result *result, const char *output, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object == NULL || !json_set_string(object, "version", result->version) ||
		!cli_json_text(object, "config", output) ||
		!json_set_uint(object, "wanted", result->wanted) ||
		!json_set(object, "lost", faults_json(&result->lost)) ||
		!json_set(object, "overridden", faults_json(&result->overridden)) ||
		!json_set(object, "removed", removed_json(result)) ||
		!json_set_strings(object, "unasked", &result->unasked))
		return caisson_fail(err, ENOMEM, "print JSON");
	return cli_print_json(object, err);
}

/* A folder of its own for what make leaves. */
static int configure(struct configure_options *how, struct configure_result *ret_result,
	struct caisson_error *err)
{
	const char *parent = getenv("TMPDIR");
	_cleanup_free_ char *folder = path_join(
		parent != NULL && parent[0] != '\0' ? parent : "/tmp", "caisson-kernel.XXXXXX");
	int r;

	if (folder == NULL)
		return caisson_fail(err, ENOMEM, "configure a kernel");
	if (mkdtemp(folder) == NULL)
		return caisson_fail(err, errno, "make the folder %s", folder);
	how->tree = folder;
	r = configure_run(how, ret_result, err);
	(void)remove_tree(folder, NULL);
	return r;
}

/* A device or a pipe is written to as it is. */
static int write_special(const char *path, const struct strbuf *text, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(path, O_WRONLY, 0, err);

	return fd < 0 ? fd : write_all(fd, text->data, text->size, path, err);
}

static int write_output(const char *path, const struct strbuf *text, struct caisson_error *err)
{
	struct stat st;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return write_special(path, text, err);
	return write_file_atomic(path, text->data, text->size, 0644, err);
}

/* What is known of it before anything is made. */
static int check_output(const char *path, struct caisson_error *err)
{
	struct stat st;

	if (path != NULL && path[0] == '\0')
		return caisson_refuse(err, EINVAL, "--output names no file");
	if (path != NULL && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return caisson_refuse(err, EISDIR, "--output %s is a folder", path);
	return 0;
}

/* The same of what goes in: a source may have to be unpacked first. */
static int check_fragments(const struct strv *fragments, struct caisson_error *err)
{
	for (size_t i = 0; i < fragments->count; i++) {
		if (access(fragments->items[i], R_OK) < 0)
			return caisson_fail(err, errno, "open %s", fragments->items[i]);
	}
	return 0;
}

static int put_out(const struct cli_context *context, const struct configure_result *result,
	struct caisson_error *err)
{
	const char *output = cli_value(context, OUTPUT);
	int r = 0;

	if (output != NULL)
		r = write_output(output, &result->config, err);
	if (r < 0)
		return r;
	if (cli_has(context, JSON))
		return print_object(result, output, err);
	if (output == NULL)
		(void)fwrite(result->config.data, 1, result->config.size, stdout);
	print_report(context, result, output != NULL ? stdout : stderr);
	return 0;
}

/* A folder is used where it is; anything else is unpacked into the state, where it is kept. */
static int open_source(
	const struct cli_context *context, struct kernel_source *source, struct caisson_error *err)
{
	_cleanup_free_ char *place = cli_state_path(&command_kernel_config, context);
	const struct state state = {.dir = place};
	const struct source_options how = {
		.source = cli_value(context, SOURCE), .log = &context->log};
	struct stat st;

	if (how.source != NULL && stat(how.source, &st) == 0 && S_ISDIR(st.st_mode)) {
		source->folder = strdup(how.source);
		return source->folder != NULL ? 0 : caisson_fail(err, ENOMEM, "configure a kernel");
	}
	if (place == NULL) {
		(void)caisson_refuse(
			err, ENOENT, "there is no place for the source: HOME is not set");
		return caisson_hint(err, "set HOME or CAISSON_STATE, or name a folder");
	}
	return source_open(&state, &how, source, err);
}

static int run(struct cli_context *context, struct caisson_error *err)
{
	_cleanup_configure_ struct configure_result result = CONFIGURE_RESULT_NONE;
	_cleanup_kernel_config_ struct kernel_config base = KERNEL_CONFIG_NONE;
	const char *profile = cli_value(context, PROFILE), *from = cli_value(context, BASE);
	struct configure_options configuring = {.fragments = &context->given[FRAGMENT].values};
	_cleanup_source_ struct kernel_source source = KERNEL_SOURCE_NONE;
	int r = cli_kernel_profile(
		profile != NULL ? profile : "minimal", &configuring.profile, err);

	if (r == 0)
		r = check_output(cli_value(context, OUTPUT), err);
	if (r == 0)
		r = check_fragments(configuring.fragments, err);
	if (r == 0 && from != NULL && strcmp(from, "none") != 0) {
		r = kernel_config_read(from, &base, err);
		configuring.base = base.text.data;
		configuring.base_size = base.text.size;
	}
	if (r == 0)
		r = open_source(context, &source, err);
	configuring.source = source.folder;
	if (r == 0)
		r = configure(&configuring, &result, err);
	if (r == -EINTR)
		context->status = STATUS_INTERRUPTED;
	if (r == 0)
		r = put_out(context, &result, err);
	if (r < 0)
		return r;
	return needed_lost(&result) > 0 ? 1 : 0;
}

const struct cli_command command_kernel_config = {
	.name = "kernel config",
	.summary = "make a kernel's configuration, and tell what got lost on the way",
	.details =
		"Merges the profile's fragments, and files of your own behind them, onto a base, and\n"
		"lets the kernel's own Kconfig settle the rest. Then every option that was wanted is\n"
		"looked for in what came out, and of each that is not there it is said what dropped\n"
		"it. The exit status is 0 when all are there but wishes, 1 when some are lost (the\n"
		"configuration is written then, too), 2 when no configuration could be made.\n",
	.options = options,
	.failed = 2,
	.run = run,
};
