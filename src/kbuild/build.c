/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/path.h"
#include "base/staging.h"
#include "kbuild/install.h"
#include "kbuild/make.h"
#include "kbuild/place.h"
#include "kbuild/result.h"
#include "kbuild/settle.h"
#include "kbuild/space.h"
#include "kbuild/toolchain.h"
#include "kernel/config.h"

/* What the folder of a build takes: 312 MiB for minimal of 6.1.192; the debug information that BTF
   is made of takes several times that, depending on how much there is. */
#define BUILD_SIZE       (UINT64_C(400) << 20)
#define BUILD_DEBUG_SIZE (UINT64_C(3) << 30)

struct build {
	const struct state *state;
	const struct kbuild_options *options;
	const struct kernel_profile *profile;
	struct kernel_source source;
	struct build_place place;
	struct make make;
	unsigned int needs; /* of the toolchain, as far as it was looked at */
};

static void build_done(struct build *build)
{
	source_done(&build->source);
	build_place_done(&build->place);
}

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "build a kernel");
}

void kbuild_result_done(struct kbuild_result *result)
{
	kernel_installed_done(&result->kernel);
	free(result->symbols);
	*result = (struct kbuild_result){.kernel = {.arguments = STRV_INIT}};
}

static bool wants(const struct kernel_profile *profile, const char *option)
{
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);

	for (size_t i = 0; i < count; i++) {
		if (strcmp(table[i].option, option) == 0 && strcmp(table[i].value, "n") != 0 &&
			kernel_profile_place(profile, &table[i]) >= 0)
			return true;
	}
	return false;
}

/* Before anything is done. What else the configuration asks for is known when there is one. */
static int check_toolchain(struct build *build, struct caisson_error *err)
{
	build->needs = TOOLCHAIN_LIBELF | TOOLCHAIN_GZIP;
	if (wants(build->profile, "CONFIG_KERNEL_ZSTD"))
		build->needs |= TOOLCHAIN_ZSTD;
	if (wants(build->profile, "CONFIG_KERNEL_XZ"))
		build->needs |= TOOLCHAIN_XZ;
	if (wants(build->profile, "CONFIG_DEBUG_INFO_BTF"))
		build->needs |= TOOLCHAIN_PAHOLE;
	if (build->options->menuconfig)
		build->needs |= TOOLCHAIN_NCURSES;
	return toolchain_check(build->needs, NULL, err);
}

static int configure(struct build *build, struct caisson_error *err)
{
	const struct settle_options options = {.source = build->source.folder,
		.tree = build->place.tree,
		.profile = build->profile,
		.base = build->options->base,
		.fragments = build->options->fragments,
		.log = build->options->log,
		.lock = &build->place.lock};
	int r;

	kbuild_stage(build->options->watch, "configuring");
	r = settle_config(&options, err);
	if (r < 0 || !build->options->menuconfig)
		return r;
	r = make_on_terminal(&build->make, "menuconfig", err);
	return r == 0 ? settle_look_again(&options, err) : r;
}

/* With the configuration there, and before hours of work: programs that it needs, room. */
static int check_configured(struct build *build, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf config = STRBUF_INIT;
	uint64_t need, used;
	unsigned int needs;
	int r = settled_config(build->place.tree, &config, err);

	if (r < 0)
		return r;
	needs = toolchain_needs(config.data, config.size);
	if ((needs & ~build->needs) != 0) {
		r = toolchain_check(needs, NULL, err);
		if (r < 0)
			return r;
	}
	if (config.data != NULL && strstr(config.data, "=m\n") != NULL)
		log_warning(build->options->log,
			"modules are not built: what is one in the configuration will be missing");
	need = kernel_config_value(config.data, config.size, "CONFIG_DEBUG_INFO") == 'y'
		       ? BUILD_DEBUG_SIZE
		       : BUILD_SIZE;
	/* What an earlier build has left there is room that need not be found again. */
	used = space_used(build->place.tree);
	return used < need
		       ? space_check(build->place.folder, need - used, "building the kernel", err)
		       : 0;
}

static int make_kernel(struct build *build, struct caisson_error *err)
{
	static const char *const targets[] = {"vmlinux", "bzImage", NULL};
	unsigned int steps = 0;
	bool fresh = !build_place_was_built(&build->place);
	int r;

	kbuild_stage(build->options->watch, "building");
	build->make.steps_before = fresh ? build_place_steps(&build->place) : 0;
	r = build_place_begin(&build->place, err);
	if (r == 0)
		r = make_run(&build->make, targets, &steps, err);
	/* However it ended, make has put everything in order itself. */
	build_place_end(&build->place);
	if (r == 0 && fresh)
		build_place_note_steps(&build->place, steps);
	return r;
}

static int list_arguments(const struct kernel_profile *profile, struct strv *arguments)
{
	for (size_t i = 0; i < profile->argument_count; i++)
		strv_add(arguments, profile->arguments[i].argument);
	return strv_ok(arguments) ? 0 : -ENOMEM;
}

/* In the place of the last one's, under a name that says that it is whole. */
static int keep_result(
	struct build *build, const char *release, char **ret_name, struct caisson_error *err)
{
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	_cleanup_strv_ struct strv arguments = STRV_INIT;
	const struct result_options options = {.tree = build->place.tree,
		.profile = build->profile->name,
		.arguments = &arguments,
		.source = &build->source,
		.date = build->make.date};
	int r = list_arguments(build->profile, &arguments);

	if (r < 0)
		return out_of_memory(err);
	kbuild_stage(build->options->watch, "stripping");
	r = staging_directory(&staging, build->place.folder, err);
	if (r == 0)
		r = result_write(&options, release, staging.path, ret_name, err);
	if (r == 0)
		r = remove_tree(build->place.result, err);
	if (r == 0)
		r = staging_publish(&staging, path_base(build->place.result), err);
	return r;
}

/* The sizes of the last build: in this folder, or installed. */
static void recall_sizes(const struct build *build, struct kbuild_result *result)
{
	_cleanup_kernel_installed_ struct kernel_installed last = {.arguments = STRV_INIT};
	_cleanup_kernel_installed_list_ struct kernel_installed_list list =
		KERNEL_INSTALLED_LIST_NONE;

	if (kernel_installed_read(build->place.result, &last, NULL) == 0) {
		result->bzimage_before = last.bzimage_size;
		result->vmlinux_before = last.vmlinux_size;
		return;
	}
	if (kernel_installed_list(build->state, NULL, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < list.count; i++) {
		if (strcmp(list.items[i].profile, build->profile->name) != 0)
			continue;
		result->bzimage_before = list.items[i].bzimage_size;
		result->vmlinux_before = list.items[i].vmlinux_size;
		return;
	}
}

static int deliver(struct build *build, const char *name, struct kbuild_result *result,
	struct caisson_error *err)
{
	_cleanup_free_ char *folder = NULL;
	int r = 0;

	if (build->options->output != NULL)
		r = install_copy(build->place.result, build->options->output, err);
	if (r == 0 && !build->options->no_install) {
		r = install_kernel(
			build->state, build->place.result, name, &folder, &result->known, err);
		result->installed = r == 0;
	}
	if (r < 0)
		return r;
	r = kernel_installed_read(
		folder != NULL ? folder : build->place.result, &result->kernel, err);
	if (r < 0)
		return r;
	free(result->kernel.name);
	result->kernel.name = strdup(name);
	result->symbols = path_join(build->place.tree, "vmlinux");
	return result->kernel.name != NULL && result->symbols != NULL ? 0 : out_of_memory(err);
}

static int finish(struct build *build, struct kbuild_result *result, struct caisson_error *err)
{
	_cleanup_free_ char *release = NULL, *name = NULL;
	int r = result_check(build->place.tree, &release, &result->pvh, err);

	if (r < 0)
		return r;
	recall_sizes(build, result);
	r = keep_result(build, release, &name, err);
	return r == 0 ? deliver(build, name, result, err) : r;
}

static unsigned int processors(void)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);

	return count > 0 ? (unsigned int)count : 1;
}

static int prepare(struct build *build, struct caisson_error *err)
{
	const struct kbuild_options *options = build->options;
	const struct source_options source = {.source = options->source,
		.version = options->version,
		.sha256 = options->sha256,
		.environment = options->environment,
		.log = options->log,
		.watch = options->watch};
	int r = source_open(build->state, &source, &build->source, err);

	if (r == 0)
		r = build_place_open(build->state, build->profile->name, build->source.folder,
			options->clean, options->log, &build->place, err);
	if (r < 0)
		return r;
	build->make = (struct make){.source = build->source.folder,
		.tree = build->place.tree,
		.log = build->place.log,
		.jobs = options->jobs != 0 ? options->jobs : processors(),
		.date = options->date != 0 ? options->date : build->source.date,
		.lock = build->place.lock,
		.environment = options->environment,
		.watch = options->watch,
		.messages = options->log};
	return 0;
}

int kbuild_run(const struct state *state, const struct kbuild_options *options,
	struct kbuild_result *ret_result, struct caisson_error *err)
{
	_cleanup_(build_done) struct build build = {.state = state,
		.options = options,
		.source = KERNEL_SOURCE_NONE,
		.place = BUILD_PLACE_NONE};
	const char *name = options->profile != NULL ? options->profile : "minimal";
	_cleanup_(kbuild_result_done) struct kbuild_result result = {
		.kernel = {.arguments = STRV_INIT}};
	int r;

	build.profile = kernel_profile(name);
	if (build.profile == NULL)
		return caisson_refuse(err, EINVAL, "there is no profile '%s'", name);
	r = check_toolchain(&build, err);
	if (r == 0)
		r = prepare(&build, err);
	if (r == 0)
		r = configure(&build, err);
	if (r == 0)
		r = check_configured(&build, err);
	if (r == 0)
		r = make_kernel(&build, err);
	if (r == 0)
		r = finish(&build, &result, err);
	if (r < 0)
		return r;
	*ret_result = result;
	result = (struct kbuild_result){.kernel = {.arguments = STRV_INIT}};
	return 0;
}
