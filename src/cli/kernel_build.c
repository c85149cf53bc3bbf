/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/kernel.h"
#include "cli/progress.h"
#include "context.h"
#include "kbuild/build.h"

enum {
	SOURCE,
	PROFILE,
	VERSION,
	SHA256,
	BASE,
	FRAGMENT,
	JOBS,
	CLEAN,
	MENUCONFIG,
	NO_INSTALL,
	OUTPUT,
	JSON,
};

enum { STATUS_INTERRUPTED = 130, JOBS_MOST = 1024 };

static const struct cli_option build_options[] = {
	[SOURCE] = {"source", '\0', CLI_VALUE, "SOURCE",
		"a folder, a tar archive, or apt:PACKAGE (the newest linux-source package that is "
		"installed)",
		"@file"},
	[PROFILE] = {"profile", '\0', CLI_VALUE, "NAME",
		"what the kernel is for: minimal (default), container, observe or confidential",
		KERNEL_PROFILE_WORDS},
	[VERSION] = {"version", '\0', CLI_VALUE, "VERSION",
		"of Linux, 6.1 or 6.1.192: the source has to be of it; without --source, that of "
		"Debian's package linux-source-6.1",
		NULL},
	[SHA256] = {"sha256", '\0', CLI_VALUE, "HEX",
		"refuse an archive that has another one, before it is unpacked", NULL},
	[BASE] = {"base", '\0', CLI_VALUE, "FILE",
		"begin with this configuration, or that of this kernel, instead of nothing",
		"@file"},
	[FRAGMENT] = {"fragment", '\0', CLI_LIST, "FILE", "add options to those of the profile",
		"@file"},
	[JOBS] = {"jobs", 'j', CLI_VALUE, "N",
		"how many compilers run at once (as many as there are processors)", NULL},
	[CLEAN] = {"clean", '\0', CLI_FLAG, NULL, "use nothing that an earlier build has made",
		NULL},
	[MENUCONFIG] = {"menuconfig", '\0', CLI_FLAG, NULL,
		"change the configuration in make menuconfig before it is built", NULL},
	[NO_INSTALL] = {"no-install", '\0', CLI_FLAG, NULL,
		"do not make it the kernel of new machines", NULL},
	[OUTPUT] = {"output", 'o', CLI_VALUE, "DIR",
		"copy bzImage, vmlinux, config and manifest.json here, too", "@directory"},
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

/* What the library's calls lead to. */
struct display {
	struct cli_progress progress;
	const struct caisson_log *log;
};

static void show_stage(const char *what, void *userdata)
{
	struct display *display = userdata;

	cli_progress_next(&display->progress);
	log_note(display->log, "%s", what);
}

static void show_bytes(uint64_t done, uint64_t total, void *userdata)
{
	struct display *display = userdata;

	display->progress.progress.tell(done, total, display->progress.progress.userdata);
}

static void show_step(unsigned int done, unsigned int total, const char *what, void *userdata)
{
	struct display *display = userdata;

	cli_progress_step(&display->progress, done, total, what);
}

/* What compilers' cache, downloads and menus need of the user's environment; nothing else of it
   reaches the build. */
static int take_environment(struct strv *environment, struct caisson_error *err)
{
	static const char *const names[] = {"HOME", "TERM", "CCACHE_DIR", "CCACHE_MAXSIZE",
		"CCACHE_DISABLE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "http_proxy", "https_proxy",
		"no_proxy"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *value = getenv(names[i]);

		if (value != NULL)
			strv_add_format(environment, "%s=%s", names[i], value);
	}
	return strv_ok(environment) ? 0 : caisson_fail(err, ENOMEM, "build a kernel");
}

static void print_size(const char *what, uint64_t size, uint64_t before)
{
	char text[32], difference[32];

	cli_format_size(size, text, sizeof(text));
	printf("%-8s %10s", what, text);
	if (before != 0 && before != size) {
		cli_format_size(size > before ? size - before : before - size, difference,
			sizeof(difference));
		printf("  (%s%s than the last build)", difference,
			size > before ? " more" : " less");
	} else if (before != 0) {
		printf("  (as the last build)");
	}
	putchar('\n');
}

static void print_result(const struct kbuild_result *result)
{
	const struct kernel_installed *kernel = &result->kernel;

	printf("%s\n", kernel->name);
	print_size(KERNEL_BZIMAGE, kernel->bzimage_size, result->bzimage_before);
	print_size(KERNEL_VMLINUX, kernel->vmlinux_size, result->vmlinux_before);
	if (!result->pvh)
		puts("PVH      not in the configuration: every machine starts from the bzImage");
	printf("folder   %s%s\n", kernel->folder,
		result->known ? " (was there: the same bytes)" : "");
	printf("symbols  %s\n", result->symbols);
	if (result->installed)
		puts("new machines start from it");
}

static int print_json(const struct kbuild_result *result, struct caisson_error *err)
{
	const struct kernel_installed *kernel = &result->kernel;
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object == NULL || !json_set_string(object, "name", kernel->name) ||
		!json_set_string(object, "release", kernel->release) ||
		!json_set_string(object, "profile", kernel->profile) ||
		!json_set_string(object, "folder", kernel->folder) ||
		!json_set_string(object, "symbols", result->symbols) ||
		!json_set_bool(object, "installed", result->installed) ||
		!json_set_bool(object, "pvh", result->pvh) ||
		!json_set_uint(object, "bzImage", kernel->bzimage_size) ||
		!json_set_uint(object, "vmlinux", kernel->vmlinux_size) ||
		(result->bzimage_before != 0 &&
			(!json_set_uint(object, "bzImage_before", result->bzimage_before) ||
				!json_set_uint(object, "vmlinux_before", result->vmlinux_before))))
		return caisson_fail(err, ENOMEM, "print JSON");
	return cli_print_json(object, err);
}

static int read_options(
	struct cli_context *context, struct kbuild_options *options, struct caisson_error *err)
{
	int r = cli_number(&command_kernel_build, context, JOBS, 1, JOBS_MOST, &options->jobs, err);

	if (r == 0)
		r = cli_source_date(&options->date, err);
	if (r < 0)
		return r;
	options->output = cli_value(context, OUTPUT);
	options->source = cli_value(context, SOURCE);
	options->version = cli_value(context, VERSION);
	options->sha256 = cli_value(context, SHA256);
	options->profile = cli_value(context, PROFILE);
	options->base = cli_value(context, BASE);
	options->fragments = &context->given[FRAGMENT].values;
	options->clean = cli_has(context, CLEAN);
	options->menuconfig = cli_has(context, MENUCONFIG);
	options->no_install = cli_has(context, NO_INSTALL);
	options->log = &context->log;
	return 0;
}

/* While it unpacks, downloads or waits for another build: what is half done has a name that the
   next command removes. While make runs the library has the signals. */
static void interrupted(int number)
{
	static const char text[] = "caisson kernel build: the build was interrupted\n"
				   "  hint: the same command goes on where this one stopped\n";

	(void)number;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(STATUS_INTERRUPTED);
}

static void catch_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	const struct sigaction act = {.sa_handler = interrupted};
	struct sigaction old;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			(void)sigaction(numbers[i], &act, NULL);
	}
}

static int check_file(const char *path, struct caisson_error *err)
{
	return access(path, R_OK) == 0 ? 0 : caisson_fail(err, errno, "open %s", path);
}

/* Before a source is downloaded and unpacked: a word that is wrong. */
static int check_words(const struct kbuild_options *options, struct caisson_error *err)
{
	const struct kernel_profile *profile;
	int r = 0;

	if (options->profile != NULL)
		r = cli_kernel_profile(options->profile, &profile, err);
	if (r == 0 && options->base != NULL && strcmp(options->base, "none") != 0)
		r = check_file(options->base, err);
	for (size_t i = 0; r == 0 && i < options->fragments->count; i++)
		r = check_file(options->fragments->items[i], err);
	return r;
}

/* Before a build of an hour. */
static int check_output(const char *path, struct caisson_error *err)
{
	struct stat st;
	int r;

	if (path == NULL)
		return 0;
	if (path[0] == '\0')
		return caisson_refuse(err, EINVAL, "--output names no folder");
	r = make_directories(path, 0755, err);
	if (r < 0)
		return r;
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return caisson_refuse(err, ENOTDIR, "--output %s is not a folder", path);
	if (access(path, W_OK | X_OK) < 0)
		return caisson_fail(err, errno, "write into %s", path);
	return 0;
}

static int build(struct cli_context *context, struct caisson_error *err)
{
	struct display display = {.log = &context->log};
	const struct kbuild_watch watch = {show_stage, show_bytes, show_step, &display};
	_cleanup_(kbuild_result_done) struct kbuild_result result = {
		.kernel = {.arguments = STRV_INIT}};
	_cleanup_strv_ struct strv environment = STRV_INIT;
	struct kbuild_options options = {.watch = &watch};
	int r = read_options(context, &options, err);

	if (r == 0)
		r = check_words(&options, err);
	if (r == 0)
		r = check_output(options.output, err);
	if (r == 0)
		r = take_environment(&environment, err);
	if (r < 0)
		return r;
	options.environment = (const char *const *)environment.items;
	catch_signals();
	cli_progress_init(&display.progress, &command_kernel_build, context);
	r = kbuild_run(caisson_state(context->caisson), &options, &result, err);
	cli_progress_done(&display.progress);
	if (r == -EINTR)
		context->status = STATUS_INTERRUPTED;
	if (r < 0)
		return r;
	if (cli_has(context, JSON))
		return print_json(&result, err);
	print_result(&result);
	return 0;
}

const struct cli_command command_kernel_build = {
	.name = "kernel build",
	.summary = "build a guest kernel, and let new machines start from it",
	.details =
		"What is built has the options of the profile's fragments and nothing else, all built\n"
		"in. The same source, configuration and compiler give the same bytes. A build that is\n"
		"interrupted goes on where it stopped when the same command is given again; only what\n"
		"has changed is built a second time. Machines that run keep the kernel that they have.\n"
		"\n"
		"The date in the kernel is that of the source's Makefile, or SOURCE_DATE_EPOCH.\n",
	.options = build_options,
	.needs_state = true,
	.run = build,
};
