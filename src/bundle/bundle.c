/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bundle/bundle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"
#include "base/strbuf.h"
#include "bundle/content.h"
#include "bundle/folder.h"
#include "bundle/pack.h"
#include "bundle/record.h"
#include "bundle/verify.h"

/* One bundle that is made. */
struct making {
	const struct bundle_options *options;
	const struct caisson_bundle_watcher *watcher;
	struct caisson_bundle_report *report;
	struct plan plan;
};

/* Removals are told with the files, in their order, when all is done. */
struct removals {
	struct caisson_bundle_file *files;
	struct strv paths;
	size_t count;
};

static void making_done(struct making *making)
{
	plan_done(&making->plan);
}

/* What the loader has to be told, or NULL. */
static const char *library_path(const struct bundle_options *options)
{
	return options->layout == CAISSON_BUNDLE_FLAT ? "/lib" : options->closure.library_path;
}

static int tell_program(
	const struct making *making, const struct plan_program *program, struct caisson_error *err)
{
	const struct caisson_bundle_watcher *watcher = making->watcher;
	_cleanup_free_ char *path = view_path(program->file->node);
	const struct caisson_bundle_program told = {
		.asked = program->asked,
		.path = path,
		.starts = program->starts,
		.loader = program->loader,
		.libraries = program->loader != NULL ? library_path(making->options) : NULL,
	};

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "tell of %s", program->asked);
	return watcher->program(&told, watcher->userdata);
}

static int tell_file(
	const struct making *making, const struct plan_file *file, struct caisson_error *err)
{
	const struct caisson_bundle_watcher *watcher = making->watcher;
	_cleanup_free_ char *path = view_path(file->node);
	const struct caisson_bundle_file told = {
		.path = path,
		.kind = file->kind,
		.state = file->state,
		.target = file->target,
		.mode = file->mode,
		.size = file->kind == CAISSON_BUNDLE_FILE ? file->size : 0,
		.source_size = file->kind == CAISSON_BUNDLE_FILE ? file->source_size : 0,
		.rule = file->rule,
		.wanted_by = file->wanted_by,
	};

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "tell of %s", file->path);
	return watcher->file(&told, watcher->userdata);
}

/* Of all programs together. */
static int tell_left_out(const struct making *making, struct caisson_error *err)
{
	const struct caisson_bundle_watcher *watcher = making->watcher;
	int r = 0;

	for (size_t i = 0; i < making->plan.left_out.count && r >= 0; i++)
		r = watcher->left_out(making->plan.left_out.items[i], watcher->userdata);
	return r < 0 ? caisson_fail(err, r, "tell what is left out") : 0;
}

static int tell(const struct making *making, struct caisson_error *err)
{
	const struct caisson_bundle_watcher *watcher = making->watcher;
	const struct plan *plan = &making->plan;
	int r = 0;

	for (size_t i = 0; i < plan->program_count && watcher != NULL && r >= 0; i++) {
		if (watcher->program != NULL)
			r = tell_program(making, &plan->programs[i], err);
	}
	for (size_t i = 0; i < plan->file_count && watcher != NULL && r >= 0; i++) {
		const struct plan_file *file = plan->files[i];

		if (watcher->file != NULL && file->node != NULL && file->node->file == file)
			r = tell_file(making, file, err);
	}
	if (r >= 0 && watcher != NULL && watcher->left_out != NULL)
		r = tell_left_out(making, err);
	return r;
}

static int tell_removed(const struct manifest_file *file, void *userdata)
{
	struct making *making = userdata;
	const struct caisson_bundle_watcher *watcher = making->watcher;
	const struct caisson_bundle_file told = {
		.path = file->path,
		.kind = file->kind,
		.state = CAISSON_BUNDLE_REMOVED,
		.target = file->target,
		.mode = file->mode,
		.size = file->size,
		.rule = "",
	};

	if (file->kind == CAISSON_BUNDLE_FOLDER)
		return 0;
	making->report->removed++;
	return watcher != NULL && watcher->file != NULL ? watcher->file(&told, watcher->userdata)
							: 0;
}

static void count(const struct plan *plan, bool all_written, struct caisson_bundle_report *report)
{
	for (size_t i = 0; i < plan->file_count; i++) {
		const struct plan_file *file = plan->files[i];

		if (file->node == NULL || file->node->file != file)
			continue;
		if (file->kind == CAISSON_BUNDLE_SYMLINK) {
			report->links++;
			continue;
		}
		report->files++;
		if (file->link_to != NULL)
			continue;
		report->size += file->size;
		report->stripped += file->source_size - file->size;
		if (file->state == CAISSON_BUNDLE_KEPT && !all_written)
			report->kept += file->size;
		else if (!all_written)
			report->written += file->size;
	}
}

static int verify_in(
	struct making *making, struct folder *folder, const char *path, struct caisson_error *err)
{
	const struct bundle_options *options = making->options;
	struct caisson_bundle_report *report = making->report;
	const struct closure_options how = {
		.root = path,
		.dlopen = CLOSURE_DLOPEN_NONE,
		.library_path = library_path(options),
		.hwcaps = options->closure.hwcaps,
	};

	if (!options->verify)
		return 0;
	return verify_bundle(&folder->place, &how, options->layout == CAISSON_BUNDLE_FLAT,
		&report->proof, report->proof_reason, sizeof(report->proof_reason), err);
}

static int make_folder(struct making *making, struct caisson_error *err)
{
	const struct bundle_options *options = making->options;
	_cleanup_folder_ struct folder folder = FOLDER_NONE;
	int r = folder_open(&folder, options->into, true, err);

	if (r >= 0 && folder.has_old && options->no_manifest)
		return caisson_refuse(err, EEXIST,
			"%s has a manifest, which would no longer be true", options->into);
	if (r >= 0)
		r = folder_write(&folder, &making->plan, options, tell_removed, making, err);
	if (r < 0)
		return r;
	count(&making->plan, false, making->report);
	r = verify_in(making, &folder, options->into, err);
	return r < 0 ? r : tell(making, err);
}

/* In a folder that is gone afterwards, before there is an archive. */
static int try_folder(struct making *making, const char *archive, struct caisson_error *err)
{
	_cleanup_beside_ struct beside beside = BESIDE_NONE;
	_cleanup_folder_ struct folder folder = FOLDER_NONE;
	struct bundle_options options = *making->options;
	int r = beside_new(&beside, archive, true, err);

	if (r < 0)
		return r;
	options.into = beside.path;
	options.no_manifest = true;
	/* The lock is the same: this one lets go of it, the folder takes it. */
	closep(&beside.fd);
	beside.fd = -1;
	r = folder_open(&folder, beside.path, true, err);
	if (r >= 0)
		r = folder_write(&folder, &making->plan, &options, tell_removed, making, err);
	return r < 0 ? r : verify_in(making, &folder, options.into, err);
}

static int pack(struct making *making, const struct pack_format *format, struct place *place,
	struct caisson_error *err)
{
	const struct bundle_options *options = making->options;
	struct caisson_bundle_report *report = making->report;
	_cleanup_manifest_ struct manifest manifest = MANIFEST_NONE;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	int r = place_plan(place, err);

	if (r >= 0 && place->conflicts > 0) {
		if (err != NULL)
			*err = place->first;
		return -place->first.code;
	}
	if (r >= 0 && !options->no_manifest)
		r = record_make(place, options, &manifest, err);
	if (r >= 0 && !options->no_manifest)
		r = manifest_format(&manifest, &text, err);
	if (r >= 0)
		r = pack_write(format, options->into, place, options->no_manifest ? NULL : &text,
			options->strip, options->time, &report->archive_size,
			&report->archive_unchanged, err);
	if (r < 0)
		return r;
	count(&making->plan, true, report);
	report->written = report->archive_unchanged ? 0 : report->archive_size;
	return tell(making, err);
}

static int make_archive(
	struct making *making, const struct pack_format *format, struct caisson_error *err)
{
	_cleanup_view_ struct view view = {.fd = -1, .last_fd = -1};
	struct place place = {.plan = &making->plan, .view = &view};
	struct stat st;
	int r = 0;

	if (stat(making->options->into, &st) == 0 && !S_ISREG(st.st_mode))
		return caisson_refuse(err, EEXIST,
			"%s is there, and is no file: its name is an archive's",
			making->options->into);
	if (making->options->verify)
		r = try_folder(making, making->options->into, err);
	if (r >= 0)
		r = view_open(&view, -1, err);
	return r < 0 ? r : pack(making, format, &place, err);
}

int bundle_make(const struct bundle_options *options, const struct caisson_bundle_watcher *watcher,
	struct caisson_bundle_report *ret_report, struct caisson_error *err)
{
	const struct pack_format *format = pack_format(options->into);
	struct caisson_bundle_report report = {0};
	_cleanup_(making_done) struct making making = {
		.options = options, .watcher = watcher, .report = &report};
	int r;

	if (options->wrapper && options->layout != CAISSON_BUNDLE_FLAT)
		return caisson_refuse(err, EINVAL, "only a flat bundle has wrappers");
	r = plan_make(&making.plan, options, err);
	if (r >= 0)
		r = content_measure(&making.plan, options->strip, err);
	if (r >= 0)
		r = format != NULL ? make_archive(&making, format, err) : make_folder(&making, err);
	if (r >= 0)
		*ret_report = report;
	return r;
}
