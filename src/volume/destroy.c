/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach/start.h"
#include "base/io.h"
#include "base/path.h"
#include "luks/luks.h"
#include "volume/layout.h"
#include "volume/opened.h"
#include "volume/redo.h"
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

/* On a device the header's place is not all that somebody could be curious about. */
static int discard(const struct volume_layout *layout, int container, struct caisson_error *err)
{
	uint64_t range[2] = {0, 0};
	struct stat st;

	if (fstat(container, &st) < 0)
		return caisson_fail(err, errno, "stat %s", layout->container);
	range[1] = (uint64_t)st.st_size;
	if (!S_ISBLK(st.st_mode)) {
		if (fallocate(container, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			    st.st_size) == 0)
			return 1;
	} else if (ioctl(container, BLKGETSIZE64, &range[1]) == 0 &&
		   ioctl(container, BLKDISCARD, range) == 0) {
		return 1;
	}
	/* Not every file system and device can; what is erased is noise anyway. */
	return errno == EOPNOTSUPP || errno == ENOTTY || errno == EINVAL
		       ? 0
		       : caisson_fail(err, errno, "discard the blocks of %s", layout->container);
}

/* One step after the other, whatever became of the one before. */
struct steps {
	int first; /* failure */
	struct caisson_error *err, failure;
};

static bool step(struct steps *steps, int r)
{
	steps->first = keep_first(steps->first, &steps->failure, r, steps->err);
	return r > 0;
}

static void erase(const struct volume_layout *layout, int container, struct steps *steps,
	struct caisson_volume_destroyed *done)
{
	int r = erase_header(layout, container, &steps->failure);

	done->header_erased = r == 0;
	(void)step(steps, r);
	done->discarded = step(steps, discard(layout, container, &steps->failure));
}

static void remove_rest(const struct volume_layout *layout, struct steps *steps,
	struct caisson_volume_destroyed *done)
{
	done->files_removed = step(steps, remove_volume(layout, &steps->failure));
	if (rmdir(layout->mounts) == 0)
		done->mount_point_removed = true;
	else if (errno != ENOENT && errno != ENOTEMPTY && errno != EBUSY)
		(void)step(
			steps, caisson_fail(&steps->failure, errno, "remove %s", layout->mounts));
	(void)attach_sweep(layout->open, true, NULL);
	(void)rmdir(layout->open);
	if (unlink(layout->pending) < 0 && errno != ENOENT)
		(void)step(
			steps, caisson_fail(&steps->failure, errno, "remove %s", layout->pending));
}

/* What is open on this host is taken away from whoever uses it. */
static void close_opened(const struct volume_layout *layout, const char *name, struct steps *steps,
	struct caisson_volume_destroyed *done)
{
	struct caisson_volume_opened opened;
	int r = opened_look(layout, name, &opened, &steps->failure);

	if (r <= 0) {
		(void)step(steps, r);
		return;
	}
	if (opened.mount_point[0] != '\0') {
		r = opened_unmount(&opened, false, &steps->failure);
		if (r < 0)
			r = opened_unmount(&opened, true, &steps->failure);
		done->unmounted = r == 0;
		(void)step(steps, r);
	}
	r = opened_close(layout, name, &opened, false, &steps->failure);
	if (r < 0)
		r = opened_abort(layout, name, &opened, &steps->failure);
	done->closed = r == 0;
	(void)step(steps, r);
}

/* Locked; or, when it was open here and its last user is not gone yet, not: what that one writes
   goes nowhere any more. -EBUSY when somebody else has it. */
static int take_container(const struct volume_layout *layout, const char *name, int *ret_fd,
	struct steps *steps, struct caisson_volume_destroyed *done)
{
	int r = volume_lock_container(layout, name, O_RDWR, ret_fd, &steps->failure);

	if (r != -EBUSY) {
		/* A server that was killed leaves mounts. */
		if (r >= 0)
			(void)step(steps, opened_sweep_locked(layout, &steps->failure));
		return r;
	}
	close_opened(layout, name, steps, done);
	if (!done->closed)
		return -EBUSY;
	r = volume_lock_container(layout, name, O_RDWR, ret_fd, &steps->failure);
	if (r != -EBUSY)
		return r;
	*ret_fd = open_file(layout->container,
		O_RDWR | O_NONBLOCK | (layout->on_device ? 0 : O_NOFOLLOW), 0, &steps->failure);
	return *ret_fd < 0 ? *ret_fd : 0;
}

static void destroy_all(const struct volume_layout *layout, struct key_service *keys,
	const char *name, int container, struct steps *steps, struct caisson_volume_destroyed *done)
{
	struct caisson_error failure = {0};
	int r = key_service_remove(keys, name, &failure);

	done->key_removed = r > 0;
	if (container >= 0)
		erase(layout, container, steps, done);
	/* Keyslots stand there, too, also when the container is gone. */
	redo_drop(layout->folder);
	/* A device whose header could not be erased is not to be forgotten. */
	if (layout->on_device && steps->first < 0 && !done->header_erased) {
		steps->failure = failure;
		(void)step(steps, r);
		return;
	}
	remove_rest(layout, steps, done);
	/* A database that had no room may have it now that the files are gone. */
	if (r < 0) {
		r = key_service_remove(keys, name, &steps->failure);
		done->key_removed = r > 0;
		(void)step(steps, r);
	}
}

static int destroy_named(const struct volume_layout *layout, struct key_service *keys,
	const char *name, struct caisson_volume_destroyed *done, struct caisson_error *err)
{
	_cleanup_close_ int container = -1;
	struct steps steps = {.err = err};
	int r = take_container(layout, name, &container, &steps, done);

	if (r == -EBUSY)
		return keep_first(0, &steps.failure, r, err);
	/* A container that is not there, or is something else, is no reason to keep the rest. */
	(void)step(&steps, r == -ENOENT ? 0 : r);
	/* From here on it is gone, if not by us then by the next command. A full disk has no room
	   to say so. */
	(void)volume_write_marker(layout, path_base(layout->doomed), "", NULL);
	destroy_all(layout, keys, name, container, &steps, done);
	return steps.first;
}

int volume_finish_destroy(const struct volume_layout *layout, struct key_service *keys,
	const char *name, struct caisson_error *err)
{
	_cleanup_close_ int fd = open(layout->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct caisson_volume_destroyed done = {.closed = false};
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : caisson_fail(err, errno, "open %s", layout->folder);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return caisson_refuse(
			err, EBUSY, "the volume %s is being destroyed by another command", name);
	r = destroy_named(layout, keys, name, &done, err);
	return r < 0 ? r : 1;
}

/* No folder: perhaps a create that was killed, or a key whose folder is missing. */
static int destroy_rest(const struct volume_layout *layout, struct key_service *keys,
	const char *name, struct caisson_volume_destroyed *done, struct caisson_error *err)
{
	_cleanup_close_ int lock = -1;
	int r = volumes_lock(layout, &lock, err);

	if (r == 0)
		r = volume_recover(layout, keys, name, err);
	if (r < 0)
		return r;
	done->header_erased = r > 0;
	/* Made since we looked. */
	if (volume_exists(layout))
		return caisson_refuse(err, EAGAIN, "the volume %s is being made", name);
	r = key_service_remove(keys, name, err);
	done->key_removed = r > 0;
	if (r >= 0 && rmdir(layout->mounts) == 0)
		done->mount_point_removed = true;
	return r < 0 ? r : 0;
}

int volume_destroy(const struct state *state, struct key_service *keys, const char *name,
	struct caisson_volume_destroyed *done, struct caisson_error *err)
{
	_cleanup_volume_layout_ struct volume_layout layout = VOLUME_LAYOUT_NONE;
	struct caisson_error missing = {0};
	_cleanup_close_ int lock = -1;
	int r;

	*done = (struct caisson_volume_destroyed){.closed = false};
	r = volume_layout(state, name, &layout, err);
	if (r < 0)
		return r;
	r = volume_lock_name(&layout, name, &lock, &missing);
	if (r == -ENOENT)
		return destroy_rest(&layout, keys, name, done, err);
	if (r < 0)
		return keep_first(0, &missing, r, err);
	return destroy_named(&layout, keys, name, done, err);
}
