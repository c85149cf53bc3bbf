/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/io.h"
#include "base/log.h"
#include "base/path.h"
#include "base/staging.h"
#include "base/strbuf.h"
#include "kbuild/make_command.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

enum { HASH_DIGITS = 8, NOTE_MOST = 64 };

void build_place_done(struct build_place *place)
{
	free(place->folder);
	free(place->tree);
	free(place->log);
	free(place->result);
	closep(&place->lock);
	*place = BUILD_PLACE_NONE;
}

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "build a kernel");
}

static int lock_folder(
	const char *folder, const struct caisson_log *log, int *ret_lock, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(folder, O_RDONLY | O_DIRECTORY, 0, err);

	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return caisson_fail(err, errno, "lock %s", folder);
		log_note(log, "another build is at work in %s: waiting for it", folder);
		while (flock(fd, LOCK_EX) < 0) {
			if (errno != EINTR)
				return caisson_fail(err, errno, "lock %s", folder);
		}
	}
	*ret_lock = take_fd(&fd);
	return 0;
}

static char *mark_path(const struct build_place *place)
{
	return path_join(place->folder, "unfinished");
}

static int read_note(const char *path, struct strbuf *text)
{
	int r = read_file(path, NOTE_MOST, text, NULL);

	if (r == 0 && text->data != NULL)
		text->data[strcspn(text->data, "\n")] = '\0';
	return r == 0 && text->data != NULL ? 0 : -ENOENT;
}

/* Whether a build was under way when the host went down. */
static bool was_cut_off(const struct build_place *place)
{
	_cleanup_free_ char *path = mark_path(place);
	_cleanup_strbuf_ struct strbuf then = STRBUF_INIT, now = STRBUF_INIT;

	if (path == NULL || access(path, F_OK) < 0)
		return false;
	return read_note(path, &then) < 0 || read_note(BOOT_ID, &now) < 0 ||
	       strcmp(then.data, now.data) != 0;
}

static int name_parts(struct build_place *place, struct caisson_error *err)
{
	place->tree = path_join(place->folder, "tree");
	place->log = path_join(place->folder, "make.log");
	place->result = path_join(place->folder, "result");
	return place->tree != NULL && place->log != NULL && place->result != NULL
		       ? 0
		       : out_of_memory(err);
}

int build_place_open(const struct state *state, const char *profile, const char *source, bool clean,
	const struct caisson_log *log, struct build_place *ret_place, struct caisson_error *err)
{
	_cleanup_(build_place_done) struct build_place place = BUILD_PLACE_NONE;
	_cleanup_free_ char *builds = NULL;
	char hex[DIGEST_HEX_SIZE];
	int r = state_folder(state, "kernel-builds", &builds, err);

	if (r == 0)
		r = digest_of(source, strlen(source), hex, err);
	if (r < 0)
		return r;
	place.folder = format_string("%s/%s-%.*s", builds, profile, (int)HASH_DIGITS, hex);
	if (place.folder == NULL)
		return out_of_memory(err);
	r = make_path_check(place.folder, err);
	if (r == 0)
		r = name_parts(&place, err);
	if (r == 0)
		r = make_directories(place.folder, 0700, err);
	if (r == 0)
		r = lock_folder(place.folder, log, &place.lock, err);
	if (r < 0)
		return r;
	staging_sweep(place.folder);
	if (clean || was_cut_off(&place)) {
		if (!clean)
			log_note(log, "the last build was cut off when the host went down: "
				      "building anew");
		r = remove_tree(place.tree, err);
	}
	if (r == 0)
		r = make_directories(place.tree, 0700, err);
	if (r < 0)
		return r;
	*ret_place = place;
	place = BUILD_PLACE_NONE;
	return 0;
}

int build_place_begin(const struct build_place *place, struct caisson_error *err)
{
	_cleanup_free_ char *path = mark_path(place);
	_cleanup_strbuf_ struct strbuf id = STRBUF_INIT;

	if (path == NULL)
		return out_of_memory(err);
	if (read_note(BOOT_ID, &id) < 0)
		return 0;
	return write_file_atomic(path, id.data, strlen(id.data), 0600, err);
}

void build_place_end(const struct build_place *place)
{
	_cleanup_free_ char *path = mark_path(place);

	/* What was made is on the disk before nobody doubts it any more. */
	if (path != NULL && syncfs(place->lock) == 0)
		(void)unlink(path);
}

bool build_place_was_built(const struct build_place *place)
{
	_cleanup_free_ char *path = path_join(place->tree, "vmlinux");

	return path != NULL && access(path, F_OK) == 0;
}

unsigned int build_place_steps(const struct build_place *place)
{
	_cleanup_free_ char *path = path_join(place->folder, "steps");
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	unsigned int steps = 0;

	if (path == NULL || read_note(path, &text) < 0 || sscanf(text.data, "%9u", &steps) != 1)
		return 0;
	return steps;
}

void build_place_note_steps(const struct build_place *place, unsigned int steps)
{
	_cleanup_free_ char *path = path_join(place->folder, "steps");
	_cleanup_free_ char *text = format_string("%u\n", steps);

	if (path != NULL && text != NULL)
		(void)write_file_atomic(path, text, strlen(text), 0600, NULL);
}
