/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public API: a context, and calls that hand on to the folders below. */
#include <caisson/bundle.h>
#include <caisson/caisson.h>
#include <caisson/closure.h>
#include <caisson/initramfs.h>
#include <caisson/machine.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"
#include "base/state.h"
#include "base/strbuf.h"
#include "boot/cpio.h"
#include "boot/initramfs.h"
#include "bundle/bundle.h"
#include "context.h"
#include "inspect/bom.h"
#include "inspect/diff.h"
#include "inspect/extract.h"
#include "inspect/inspect.h"
#include "inspect/measure.h"
#include "inspect/verify.h"
#include "inspect/walk.h"
#include "machine/machine.h"

struct caisson {
	struct state state;
	struct caisson_log log;
};

int caisson_open(struct caisson **ret_caisson, const char *state, const char *config,
	const struct caisson_log *log, struct caisson_error *err)
{
	struct caisson *caisson = calloc(1, sizeof(*caisson));
	int r;

	if (caisson == NULL)
		return caisson_fail(err, ENOMEM, "open %s", state);
	r = state_open(&caisson->state, state, config, err);
	if (r < 0) {
		free(caisson);
		return r;
	}
	if (log != NULL)
		caisson->log = *log;
	/* Whoever comes next cleans up behind those that were killed. */
	machine_sweep(&caisson->state);
	*ret_caisson = caisson;
	return 0;
}

void caisson_close(struct caisson *caisson)
{
	if (caisson == NULL)
		return;
	state_done(&caisson->state);
	free(caisson);
}

const struct state *caisson_state(const struct caisson *caisson)
{
	return &caisson->state;
}

const struct caisson_log *caisson_log(const struct caisson *caisson)
{
	return &caisson->log;
}

const char *caisson_version(void)
{
	return CAISSON_VERSION;
}

int caisson_machine_run(struct caisson *caisson, const struct caisson_machine_options *options,
	int *ret_status, struct caisson_error *err)
{
	return machine_run(&caisson->state, &caisson->log, options, ret_status, err);
}

struct list_context {
	int (*each)(const struct caisson_initramfs_entry *entry, void *userdata);
	void *userdata;
};

static int list_entry(const struct cpio_entry *entry, void *userdata)
{
	const struct list_context *context = userdata;
	_cleanup_free_ char *target = NULL;
	struct caisson_initramfs_entry out = {.path = entry->path,
		.mode = entry->mode,
		.size = entry->size,
		.major = entry->major,
		.minor = entry->minor};

	if (S_ISLNK(entry->mode)) {
		target = strndup((const char *)entry->data, entry->size);
		if (target == NULL)
			return -ENOMEM;
		out.target = target;
	}
	return context->each(&out, context->userdata);
}

int caisson_initramfs_list(int fd, const char *what,
	int (*each)(const struct caisson_initramfs_entry *entry, void *userdata), void *userdata,
	struct caisson_error *err)
{
	struct list_context context = {each, userdata};

	return initramfs_list(fd, what, list_entry, &context, err);
}

static enum closure_dlopen dlopen_level(enum caisson_dlopen level)
{
	static const enum closure_dlopen levels[] = {
		[CAISSON_DLOPEN_REQUIRED] = CLOSURE_DLOPEN_REQUIRED,
		[CAISSON_DLOPEN_NONE] = CLOSURE_DLOPEN_NONE,
		[CAISSON_DLOPEN_RECOMMENDED] = CLOSURE_DLOPEN_RECOMMENDED,
		[CAISSON_DLOPEN_ALL] = CLOSURE_DLOPEN_ALL,
	};

	return levels[level];
}

/* 1 when there are any. */
static int tell_problems(struct closure *closure, const struct caisson_closure_watcher *watcher)
{
	size_t count;
	const struct closure_program *programs = closure_programs(closure, &count);
	int r = 0, any = 0;

	for (size_t p = 0; p < count; p++) {
		for (size_t i = 0; i < programs[p].problem_count && r == 0; i++) {
			const struct closure_problem *problem = &programs[p].problems[i];
			const struct caisson_closure_problem out = {programs[p].path, problem->name,
				problem->wanted_by, problem->error.message};

			any = 1;
			if (watcher->problem != NULL)
				r = watcher->problem(&out, watcher->userdata);
		}
	}
	return r != 0 ? r : any;
}

static int tell_files(struct closure *closure, const struct caisson_closure_watcher *watcher,
	struct caisson_error *err)
{
	size_t count;
	const struct closure_entry *entries = closure_entries(closure, &count);
	int r = 0;

	if (entries == NULL && count > 0)
		return caisson_fail(err, ENOMEM, "list a closure");
	for (size_t i = 0; i < count && r == 0 && watcher->file != NULL; i++) {
		const struct caisson_closure_file out = {.path = entries[i].path,
			.target = entries[i].target,
			.source = entries[i].source,
			.data = entries[i].data,
			.size = entries[i].size,
			.mode = entries[i].mode & 0777,
			.rule = entries[i].rule,
			.wanted_by = entries[i].wanted_by};

		r = watcher->file(&out, watcher->userdata);
	}
	return r;
}

int caisson_closure(const char *const files[], size_t count,
	const struct caisson_closure_options *options,
	const struct caisson_closure_watcher *watcher, struct caisson_error *err)
{
	const struct closure_options closure_options = {
		.root = options->root,
		.dlopen = dlopen_level(options->dlopen),
		.library_path = options->library_path,
		.hwcaps = options->hwcaps,
		.config = options->with_config,
		.tolerant = true,
		.report = true,
	};
	_cleanup_(closure_freep) struct closure *closure = NULL;
	int r = closure_new(&closure, &closure_options, err), problems;

	for (size_t i = 0; i < count && r >= 0; i++)
		r = closure_add_program(closure, files[i], err);
	if (r < 0)
		return r;
	problems = tell_problems(closure, watcher);
	if (problems != 0 && problems != 1)
		return problems;
	r = tell_files(closure, watcher, err);
	return r != 0 ? r : problems;
}

int caisson_bundle(const struct caisson_bundle_options *options,
	const struct caisson_bundle_watcher *watcher, struct caisson_bundle_report *ret_report,
	struct caisson_error *err)
{
	const struct bundle_options bundle = {
		.closure =
			{
				.root = options->root,
				.dlopen = dlopen_level(options->dlopen),
				.library_path = options->library_path,
				.hwcaps = options->hwcaps,
				.config = options->with_config,
			},
		.into = options->into,
		.programs = options->programs,
		.program_count = options->program_count,
		.layout = options->layout,
		.strip = options->strip,
		.wrapper = options->wrapper,
		.verify = options->verify,
		.replace = options->replace,
		.no_manifest = options->no_manifest,
		.time = options->time,
	};

	return bundle_make(&bundle, watcher, ret_report, err);
}

int caisson_bundle_check(const char *folder, const char *root,
	int (*each)(const struct caisson_bundle_finding *finding, void *userdata), void *userdata,
	struct caisson_bundle_checked *ret_checked, struct caisson_error *err)
{
	return bundle_check(folder, root, each, userdata, ret_checked, err);
}

int caisson_initramfs_extract(int fd, const char *what,
	const struct caisson_initramfs_extract_options *options, const struct caisson_log *log,
	struct caisson_error *err)
{
	return initramfs_extract(fd, what, options, log, err);
}

int caisson_initramfs_inspect(int fd, const char *what, struct caisson_initramfs_info **ret_info,
	struct caisson_error *err)
{
	return initramfs_inspect(fd, what, ret_info, err);
}

void caisson_initramfs_info_free(struct caisson_initramfs_info *info)
{
	initramfs_info_free(info);
}

int caisson_initramfs_diff(int a, const char *what_a, int b, const char *what_b,
	int (*each)(const struct caisson_initramfs_difference *difference, void *userdata),
	void *userdata, struct caisson_error *err)
{
	return initramfs_diff(a, what_a, b, what_b, each, userdata, err);
}

int caisson_initramfs_verify(int fd, const char *what,
	const struct caisson_initramfs_verify_options *options,
	int (*each)(const char *path, const char *problem, void *userdata), void *userdata,
	struct caisson_error *err)
{
	return initramfs_verify(fd, what, options, each, userdata, err);
}

int caisson_initramfs_bom(int fd, const char *what,
	const struct caisson_initramfs_bom_options *options, char **ret_text,
	struct caisson_error *err)
{
	return initramfs_bom(fd, what, options, ret_text, err);
}

int caisson_initramfs_measure(const char *const *paths,
	const struct caisson_initramfs_measure_options *options,
	struct caisson_initramfs_measurement *ret_measurement, struct caisson_error *err)
{
	return initramfs_measure(paths, options, ret_measurement, err);
}
