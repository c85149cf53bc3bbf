/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "luks/luks.h"
#include "volume/layout.h"
#include "volume/volume.h"

/* Keeps the first failure, and lets what follows be tried. */
static int keep_first(
	int first, const struct caisson_error *failure, int r, struct caisson_error *err)
{
	if (first < 0 || r >= 0)
		return first;
	if (err != NULL)
		*err = *failure;
	return r;
}

/*
 * Out of sight by one rename, under a name that is swept when we are killed before the files are
 * gone. 1 when there was anything.
 */
static int remove_files(const struct volume_layout *layout, struct caisson_error *err)
{
	_cleanup_free_ char *hidden = path_join(layout->volumes, ".new-XXXXXX");
	int r;

	if (!volume_exists(layout))
		return 0;
	if (hidden == NULL || mkdtemp(hidden) == NULL)
		return caisson_fail(err, errno, "make a folder in %s", layout->volumes);
	/* A sweep may have taken the empty folder already: the rename does with or without it. */
	if (rename(layout->folder, hidden) < 0) {
		int code = errno;

		(void)rmdir(hidden);
		return code == ENOENT ? 0 : caisson_fail(err, code, "remove %s", layout->folder);
	}
	r = sync_directory(layout->volumes, err);
	if (r == 0)
		r = remove_tree(hidden, err);
	return r < 0 ? r : 1;
}

/* Without room for a folder to hide it in, a full disk would keep the very thing that fills it. */
static int remove_volume(const struct volume_layout *layout, struct caisson_error *err)
{
	int r = remove_files(layout, err);

	if (r != -ENOSPC && r != -EDQUOT)
		return r;
	r = remove_tree(layout->folder, err);
	return r < 0 ? r : 1;
}

/* By the descriptor that was opened without following a link: what is overwritten must be the
 * volume's. */
static int erase_header(
	const struct volume_layout *layout, int container, struct caisson_error *err)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", container);
	if (luks_erase(path, err) < 0)
		return caisson_wrap(err, "erase the header of %s", layout->container);
	return 0;
}

static int destroy_locked(const struct volume_layout *layout, struct key_service *keys,
	const char *name, int container, struct caisson_volume_destroyed *done,
	struct caisson_error *err)
{
	struct caisson_error failure = {0};
	int first = 0, r;

	r = key_service_remove(keys, name, &failure);
	done->key_removed = r > 0;
	first = keep_first(first, &failure, r, err);

	if (container >= 0) {
		r = erase_header(layout, container, &failure);
		done->header_erased = r == 0;
		first = keep_first(first, &failure, r, err);
	}

	r = remove_volume(layout, &failure);
	done->files_removed = r > 0;
	first = keep_first(first, &failure, r, err);

	if (unlink(layout->pending) < 0 && errno != ENOENT)
		first = keep_first(first, &failure,
			caisson_fail(&failure, errno, "remove %s", layout->pending), err);
	return first;
}

int volume_destroy(const struct state *state, struct key_service *keys, const char *name,
	struct caisson_volume_destroyed *done, struct caisson_error *err)
{
	_cleanup_volume_layout_ struct volume_layout layout = VOLUME_LAYOUT_NONE;
	_cleanup_close_ int lock = -1, container = -1;
	struct caisson_error failure = {0};
	int first, r;

	*done = (struct caisson_volume_destroyed){0};
	r = volume_layout(state, name, &layout, err);
	if (r == 0)
		r = volumes_lock(&layout, &lock, err);
	if (r < 0)
		return r;
	r = volume_lock_container(&layout, name, O_RDWR, &container, &failure);
	if (r == -EBUSY)
		return keep_first(0, &failure, r, err);
	/* A container that is not there, or is something else, is no reason to keep the rest. */
	first = keep_first(0, &failure, r == -ENOENT ? 0 : r, err);
	r = destroy_locked(&layout, keys, name, container, done, &failure);
	return keep_first(first, &failure, r, err);
}
