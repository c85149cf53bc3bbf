/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bundle/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/io.h"
#include "base/path.h"
#include "bundle/content.h"
#include "bundle/record.h"
#include "bundle/write.h"

enum { LOCK_SECONDS = 30 };

void folder_done(struct folder *folder)
{
	view_done(&folder->view);
	manifest_done(&folder->old);
	manifest_done(&folder->next);
	strbuf_done(&folder->old_text);
	closep(&folder->fd);
	*folder = FOLDER_NONE;
}

static int open_top(struct folder *folder, const char *path, bool writes, struct caisson_error *err)
{
	struct stat st;
	int r;

	if (writes && stat(path, &st) < 0 && errno == ENOENT) {
		r = make_directories(path, 0755, err);
		if (r < 0)
			return r;
		folder->made = true;
	}
	folder->fd = open_file(path, O_RDONLY | O_DIRECTORY, 0, err);
	if (folder->fd < 0)
		return folder->fd;
	if (folder->made && fchmod(folder->fd, 0755) < 0)
		return caisson_fail(err, errno, "set the mode of %s", path);
	return 0;
}

/* Goes with the process. Another that bundles into the same folder is waited for. */
static int lock(const struct folder *folder, const char *path, struct caisson_error *err)
{
	const struct timespec pause = {.tv_nsec = 50000000};

	for (int i = 0; i < LOCK_SECONDS * 20; i++) {
		if (flock(folder->fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return caisson_fail(err, errno, "lock %s", path);
		(void)nanosleep(&pause, NULL);
	}
	return caisson_refuse(err, EBUSY, "another program holds %s locked", path);
}

/* 1 when it is there. */
static int read_manifest(const struct folder *folder, const char *name, struct strbuf *text,
	struct manifest *ret_manifest, struct caisson_error *err)
{
	_cleanup_close_ int fd =
		openat(folder->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : caisson_fail(err, errno, "open %s", name);
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", name);
	if (!S_ISREG(st.st_mode))
		return caisson_refuse(err, EINVAL, "%s is not a regular file", name);
	r = read_to_end(fd, MANIFEST_MOST, name, text, err);
	if (r >= 0)
		r = manifest_parse(text->data, text->size, name, ret_manifest, err);
	return r < 0 ? r : 1;
}

/* What a run that was killed meant to write may be cut, and is then of no use. */
static void read_next(struct folder *folder)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	folder->has_next =
		read_manifest(folder, MANIFEST_NEXT_NAME, &text, &folder->next, NULL) > 0;
}

int folder_open(struct folder *ret_folder, const char *path, bool writes, struct caisson_error *err)
{
	_cleanup_folder_ struct folder folder = FOLDER_NONE;
	int r = open_top(&folder, path, writes, err);

	if (r >= 0 && writes)
		r = lock(&folder, path, err);
	if (r >= 0)
		r = view_open(&folder.view, folder.fd, err);
	if (r < 0)
		return r;
	r = read_manifest(&folder, MANIFEST_NAME, &folder.old_text, &folder.old, err);
	if (r < 0) {
		/* Not the user's word is wrong. */
		if (err != NULL && err->code == EINVAL)
			err->code = EBADMSG;
		caisson_wrap(err, "%s", path);
		return caisson_hint(err, "take it away when it is not this bundle's");
	}
	folder.has_old = r > 0;
	read_next(&folder);
	*ret_folder = folder;
	folder = FOLDER_NONE;
	return 0;
}

static int check_layout(const struct folder *folder, const struct bundle_options *options,
	struct caisson_error *err)
{
	if (!folder->has_old ||
		(folder->old.layout == options->layout && folder->old.wrapper == options->wrapper))
		return 0;
	caisson_refuse(err, EEXIST, "%s holds a bundle of another layout already (%s%s)",
		options->into, folder->old.layout == CAISSON_BUNDLE_FLAT ? "flat" : "same",
		folder->old.wrapper ? " with wrappers" : "");
	return caisson_hint(err, "a bundle has one layout: take another folder for this one");
}

static int refuse_conflicts(
	const struct place *place, const struct bundle_options *options, struct caisson_error *err)
{
	const char *advice = options->replace ? "--replace overwrites files and links alone"
			     : options->layout == CAISSON_BUNDLE_FLAT
				     ? "--replace overwrites it"
				     : "--layout flat keeps the bundle's libraries apart; "
				       "--replace overwrites what is there";

	if (err != NULL)
		*err = place->first;
	if (place->conflicts > 1)
		caisson_refuse(err, EEXIST, "%s (and %zu more such)", place->first.message,
			place->conflicts - 1);
	return caisson_hint(err, "%s", advice);
}

static bool is_in_plan(const struct plan *plan, const char *path)
{
	for (size_t i = 0; i < plan->program_count; i++) {
		if (strcmp(plan->programs[i].asked, path) == 0)
			return true;
	}
	return false;
}

/* The programs that are in the folder already need their part of the loader's cache. */
static int join_old(struct folder *folder, struct plan *plan, const struct plan_file *cache,
	const struct bundle_options *options, struct caisson_error *err)
{
	const char *root = options->closure.root != NULL ? options->closure.root : "/";
	_cleanup_strv_ struct strv others = STRV_INIT;

	for (size_t i = 0; i < folder->old.program_count; i++) {
		const struct manifest_program *program = &folder->old.programs[i];

		if (!strv_contains(&program->files, cache->path))
			continue;
		if (strcmp(program->root, root) != 0)
			return caisson_refuse(err, EEXIST,
				"%s in the folder is for %s, which came from another root (%s)",
				cache->path, program->path, program->root);
		if (!is_in_plan(plan, program->path))
			strv_add(&others, program->path);
	}
	if (!strv_ok(&others))
		return caisson_fail(err, ENOMEM, "place a bundle");
	return plan_join(
		plan, &options->closure, (const char *const *)others.items, others.count, err);
}

static int join_all_old(struct folder *folder, struct plan *plan,
	const struct bundle_options *options, struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; i < plan->file_count && folder->has_old && r >= 0; i++) {
		if (!plan_is_joint(plan->files[i]))
			continue;
		r = join_old(folder, plan, plan->files[i], options, err);
		if (r > 0)
			r = content_measure_file(plan->files[i], false, err);
	}
	return r;
}

static int place_in(struct folder *folder, struct plan *plan, const struct bundle_options *options,
	struct caisson_error *err)
{
	struct place *place = &folder->place;
	int r = check_layout(folder, options, err);

	if (r >= 0)
		r = join_all_old(folder, plan, options, err);
	if (r < 0)
		return r;
	*place = (struct place){
		.plan = plan,
		.view = &folder->view,
		.old = folder->has_old ? &folder->old : NULL,
		.next = folder->has_next ? &folder->next : NULL,
		.replace = options->replace,
	};
	r = place_plan(place, err);
	if (r < 0)
		return r;
	return place->conflicts > 0 ? refuse_conflicts(place, options, err) : 0;
}

/* First what is meant to be written, so that whoever is killed in between is known to have written
   it; the same becomes the manifest when all is done. */
static int write_recorded(struct folder *folder, const struct bundle_options *options,
	int (*removed)(const struct manifest_file *file, void *userdata), void *userdata,
	struct caisson_error *err)
{
	_cleanup_manifest_ struct manifest now = MANIFEST_NONE;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	bool same;
	int r = record_make(&folder->place, options, &now, err);

	if (r >= 0 && !options->no_manifest)
		r = manifest_format(&now, &text, err);
	if (r < 0)
		return r;
	same = folder->has_old && text.size == folder->old_text.size &&
	       memcmp(text.data, folder->old_text.data, text.size) == 0;
	/* A killed run's own intentions are in the way of nothing until ours are written. */
	if (!options->no_manifest && (!same || folder->has_next))
		r = write_top_file(&folder->view, MANIFEST_NEXT_NAME, text.data, text.size,
			options->time, err);
	if (r >= 0)
		r = write_plan(&folder->place, options->strip, options->time, err);
	if (r >= 0)
		r = write_removals(&folder->place, &now, removed, userdata, err);
	if (r < 0)
		return r;
	/* What nobody can have meant. */
	if (!folder->has_next && same)
		(void)unlinkat(folder->fd, MANIFEST_NEXT_NAME, 0);
	write_times(&folder->place, &now, options->time);
	if (options->no_manifest || (same && !folder->has_next))
		return 0;
	if (renameat(folder->fd, MANIFEST_NEXT_NAME, folder->fd, MANIFEST_NAME) < 0)
		return caisson_fail(err, errno, "write %s", MANIFEST_NAME);
	return fsync(folder->fd) < 0 ? caisson_fail(err, errno, "sync %s", options->into) : 0;
}

int folder_write(struct folder *folder, struct plan *plan, const struct bundle_options *options,
	int (*removed)(const struct manifest_file *file, void *userdata), void *userdata,
	struct caisson_error *err)
{
	struct timespec times[2] = {{.tv_sec = (time_t)options->time}, {0}};
	int r = place_in(folder, plan, options, err);

	if (r >= 0)
		r = write_sweep(&folder->place, err);
	if (r >= 0)
		r = write_recorded(folder, options, removed, userdata, err);
	if (r < 0)
		return r;
	times[1] = times[0];
	if (folder->made)
		(void)futimens(folder->fd, times);
	return 0;
}
