/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bundle against what was recorded of it, and against the system that it came from: is every file
 * there as it was written, is its source still the same, and would a bundle that is made now hold
 * anything else?
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/io.h"
#include "base/path.h"
#include "bundle/content.h"
#include "bundle/folder.h"

struct check {
	const struct manifest *manifest;
	struct view *view;
	bool joint;       /* there is a file that all programs have a part in */
	const char *root; /* instead of those that were recorded; or NULL */
	int (*each)(const struct caisson_bundle_finding *finding, void *userdata);
	void *userdata;
	struct caisson_bundle_checked checked;
	/* The root that was looked into last. */
	char *source_root;
	int source_fd;
	struct view sources;
};

static void check_done(struct check *check)
{
	view_done(&check->sources);
	closep(&check->source_fd);
	free(check->source_root);
}

static int _printf_(5, 6) find(struct check *check, enum caisson_bundle_verdict verdict,
	const char *path, const char *source, const char *format, ...)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct caisson_bundle_finding finding = {verdict, path, source, NULL};
	va_list args;

	va_start(args, format);
	strbuf_add_formatv(&text, format, args);
	va_end(args);
	check->checked.findings++;
	if (check->each == NULL)
		return 0;
	if (!strbuf_ok(&text))
		return -ENOMEM;
	finding.message = text.data;
	return check->each(&finding, check->userdata);
}

static int check_content(
	struct check *check, const struct manifest_file *file, struct view_node *node)
{
	struct caisson_error why = {0};

	if (node->size != file->size)
		return find(check, CAISSON_BUNDLE_DAMAGED, file->path, NULL,
			"it has %llu bytes and not %llu", (unsigned long long)node->size,
			(unsigned long long)file->size);
	if (view_digest(check->view, node, &why) < 0)
		return find(check, CAISSON_BUNDLE_DAMAGED, file->path, NULL, "%s", why.message);
	if (strcmp(node->sha256, file->sha256) != 0)
		return find(check, CAISSON_BUNDLE_DAMAGED, file->path, NULL,
			"its content is not what was written");
	if (node->mode != file->mode)
		return find(check, CAISSON_BUNDLE_DAMAGED, file->path, NULL,
			"its mode is %04o and not %04o", (unsigned int)node->mode,
			(unsigned int)file->mode);
	return 0;
}

/* As it was written? */
static int check_file(struct check *check, const struct manifest_file *file)
{
	static const enum view_kind kinds[] = {
		[CAISSON_BUNDLE_FILE] = VIEW_FILE,
		[CAISSON_BUNDLE_SYMLINK] = VIEW_SYMLINK,
		[CAISSON_BUNDLE_FOLDER] = VIEW_FOLDER,
	};
	_cleanup_free_ char *path = NULL;
	struct view_node *node;

	if (view_resolve(check->view, file->path, false, &node) < 0 || node->found == VIEW_NOTHING)
		return find(check, CAISSON_BUNDLE_MISSING, file->path, NULL, "it is not there");
	path = view_path(node);
	if (path == NULL)
		return -ENOMEM;
	if (strcmp(path, file->path) != 0)
		return find(check, CAISSON_BUNDLE_DAMAGED, file->path, NULL,
			"a link in its path leads to %s", path);
	if (node->found != kinds[file->kind])
		return find(check, CAISSON_BUNDLE_DAMAGED, file->path, NULL,
			"it is something else than the %s that was written",
			file->kind == CAISSON_BUNDLE_FILE      ? "file"
			: file->kind == CAISSON_BUNDLE_SYMLINK ? "link"
							       : "folder");
	if (file->kind == CAISSON_BUNDLE_SYMLINK && strcmp(node->found_target, file->target) != 0)
		return find(check, CAISSON_BUNDLE_DAMAGED, file->path, NULL,
			"it leads to %s and not to %s", node->found_target, file->target);
	return file->kind == CAISSON_BUNDLE_FILE ? check_content(check, file, node) : 0;
}

static int open_sources(struct check *check, const char *root, struct caisson_error *err)
{
	if (check->source_root != NULL && strcmp(check->source_root, root) == 0)
		return 0;
	view_done(&check->sources);
	closep(&check->source_fd);
	free(take_ptr(check->source_root));
	check->source_fd = open_file(root, O_RDONLY | O_DIRECTORY, 0, err);
	if (check->source_fd < 0)
		return check->source_fd;
	check->source_root = strdup(root);
	if (check->source_root == NULL)
		return caisson_fail(err, ENOMEM, "look into %s", root);
	return view_open(&check->sources, check->source_fd, err);
}

/* Still what it was made of? */
static int check_source(
	struct check *check, const struct manifest_file *file, struct caisson_error *err)
{
	const char *root = check->root != NULL ? check->root : file->root;
	_cleanup_free_ char *source = NULL;
	struct caisson_error why = {0};
	struct view_node *node;

	if (file->source == NULL)
		return 0;
	source = path_join(root, file->source);
	if (source == NULL)
		return caisson_fail(err, ENOMEM, "check %s", file->path);
	if (open_sources(check, root, err) < 0)
		return caisson_hint(err, "--root names the folder where its sources are now");
	if (view_resolve(&check->sources, file->source, true, &node) < 0 ||
		node->found != VIEW_FILE)
		return find(check, CAISSON_BUNDLE_GONE, file->path, source, "%s is gone", source);
	if (node->size == file->source_size && view_digest(&check->sources, node, &why) < 0)
		return find(check, CAISSON_BUNDLE_GONE, file->path, source, "%s", why.message);
	if (node->size == file->source_size && strcmp(node->sha256, file->source_sha256) == 0)
		return 0;
	return find(check, CAISSON_BUNDLE_STALE, file->path, source,
		"it was made of another %s than there is now", source);
}

/* Whether @file, of a plan that is made now, is in the bundle as @record says. */
static int is_same(const struct plan_file *file, const struct manifest_file *record, bool *ret_same,
	struct caisson_error *err)
{
	char sha256[DIGEST_HEX_SIZE];
	_cleanup_close_ int fd = -1;
	int r;

	*ret_same = false;
	if (file->data != NULL) {
		r = digest_of(file->data, file->size, sha256, err);
		if (r >= 0)
			*ret_same = strcmp(sha256, record->sha256) == 0;
		return r;
	}
	if (record->source == NULL)
		return 0;
	/* Another one now, or the same: check_source() has told. */
	if (strcmp(record->source, file->source) == 0) {
		*ret_same = true;
		return 0;
	}
	fd = open_file(file->open_path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err);
	r = fd < 0 ? fd : digest_of_fd(fd, file->open_path, sha256, err);
	if (r >= 0)
		*ret_same = strcmp(sha256, record->source_sha256) == 0;
	return r;
}

/* A path that would be asked for now: does it lead to what would be there now? */
static int check_name(struct check *check, const struct plan *plan, const struct plan_name *name,
	struct caisson_error *err)
{
	const struct manifest_file *record = NULL;
	_cleanup_free_ char *path = NULL;
	struct view_node *node;
	bool same = false;
	int r;

	if (view_resolve(check->view, name->path, true, &node) >= 0) {
		path = view_path(node);
		if (path == NULL)
			return caisson_fail(err, ENOMEM, "check %s", name->path);
		record = manifest_find(check->manifest, path);
	}
	if (record == NULL || record->kind != CAISSON_BUNDLE_FILE)
		return find(check, CAISSON_BUNDLE_LACKING, name->path, name->file->open_path,
			"%s needs it now, and the bundle has none",
			plan->programs[name->program].asked);
	r = is_same(name->file, record, &same, err);
	if (r < 0 || same)
		return r;
	return find(check, CAISSON_BUNDLE_STALE, name->path, name->file->open_path,
		"%s would now have %s for it", plan->programs[name->program].asked,
		name->file->source != NULL ? name->file->source : "other data");
}

static void fill_options(const struct check *check, const struct manifest_program *program,
	struct bundle_options *options)
{
	*options = (struct bundle_options){
		.closure =
			{
				.root = check->root != NULL ? check->root : program->root,
				.dlopen = program->dlopen,
				.library_path = program->library_path,
				.hwcaps = program->hwcaps,
				.config = program->with_config,
			},
		.programs = (const char *const *)&program->path,
		.program_count = 1,
		.layout = check->manifest->layout,
		.wrapper = check->manifest->wrapper,
	};
}

static int check_program(
	struct check *check, const struct manifest_program *program, struct caisson_error *err)
{
	_cleanup_plan_ struct plan plan = PLAN_INIT;
	struct caisson_error why = {0};
	struct bundle_options options;
	int r;

	fill_options(check, program, &options);
	r = plan_make(&plan, &options, &why);
	if (r == -ENOMEM) {
		if (err != NULL)
			*err = why;
		return r;
	}
	if (r < 0)
		return find(check, CAISSON_BUNDLE_STALE, program->path, NULL,
			"it could not be bundled now: %s", why.message);
	for (size_t i = 0; i < plan.name_count; i++) {
		check->joint |= plan_is_joint(plan.names[i].file);
		r = plan_is_joint(plan.names[i].file)
			    ? 0
			    : check_name(check, &plan, &plan.names[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The loader's cache, for all programs of the first one's root: another root has no part in it. */
static int check_joint(struct check *check, struct caisson_error *err)
{
	_cleanup_plan_ struct plan plan = PLAN_INIT;
	_cleanup_strv_ struct strv programs = STRV_INIT;
	const struct manifest *manifest = check->manifest;
	struct bundle_options options;
	int r = 0;

	fill_options(check, &manifest->programs[0], &options);
	for (size_t i = 0; i < manifest->program_count; i++) {
		if (strcmp(manifest->programs[i].root, manifest->programs[0].root) == 0)
			strv_add(&programs, manifest->programs[i].path);
		options.closure.dlopen = MAX(options.closure.dlopen, manifest->programs[i].dlopen);
	}
	if (!strv_ok(&programs))
		return caisson_fail(err, ENOMEM, "check a bundle");
	options.programs = (const char *const *)programs.items;
	options.program_count = programs.count;
	/* What is wrong with one of them was told. */
	if (plan_make(&plan, &options, NULL) < 0)
		return 0;
	for (size_t i = 0; i < plan.name_count && r >= 0; i++) {
		if (plan_is_joint(plan.names[i].file))
			r = check_name(check, &plan, &plan.names[i], err);
	}
	return r;
}

static int check_all(struct check *check, struct caisson_error *err)
{
	const struct manifest *manifest = check->manifest;
	int r = 0;

	for (size_t i = 0; i < manifest->file_count && r >= 0; i++) {
		check->checked.files += manifest->files[i].kind != CAISSON_BUNDLE_FOLDER;
		r = check_file(check, &manifest->files[i]);
		if (r >= 0)
			r = check_source(check, &manifest->files[i], err);
	}
	for (size_t i = 0; i < manifest->program_count && r >= 0; i++) {
		check->checked.programs++;
		r = check_program(check, &manifest->programs[i], err);
	}
	return r >= 0 && check->joint ? check_joint(check, err) : r;
}

int bundle_check(const char *path, const char *root,
	int (*each)(const struct caisson_bundle_finding *finding, void *userdata), void *userdata,
	struct caisson_bundle_checked *ret_checked, struct caisson_error *err)
{
	_cleanup_folder_ struct folder folder = FOLDER_NONE;
	_cleanup_(check_done) struct check check = {
		.view = &folder.view,
		.manifest = &folder.old,
		.root = root,
		.each = each,
		.userdata = userdata,
		.source_fd = -1,
		.sources = {.fd = -1, .last_fd = -1},
	};
	int r = folder_open(&folder, path, false, err);

	if (r < 0)
		return r;
	if (!folder.has_old) {
		caisson_refuse(err, ENOENT, "%s is no bundle: it has no %s", path, MANIFEST_NAME);
		return caisson_hint(err, folder.has_next
						 ? "caisson bundle was killed here: run it again"
						 : "caisson bundle makes one");
	}
	r = check_all(&check, err);
	if (r < 0)
		return r;
	*ret_checked = check.checked;
	return check.checked.findings > 0;
}
