/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach/loop.h"
#include "base/path.h"
#include "base/process.h"
#include "volume/access.h"
#include "volume/opened.h"

/* Whoever wrote the filesystem need not be trusted on this host; -o suid,dev says otherwise. The
   kinds are named, so that no filesystem that nobody looks after is tried on it. */
#define MOUNT_SECONDS 600 /* with a journal to replay */
#define OPTIONS       "nosuid,nodev"
#define KINDS         "ext4,xfs,btrfs,ext3,ext2"

static char *option_list(const struct caisson_volume_open_options *options, bool read_only)
{
	return format_string("%s%s%s%s", OPTIONS, read_only ? ",ro" : "",
		options->mount_options != NULL ? "," : "",
		options->mount_options != NULL ? options->mount_options : "");
}

static int mount_device(
	const char *device, const char *target, const char *list, struct caisson_error *err)
{
	const char *const argv[] = {"mount", "-t", KINDS, "-o", list, "--", device, target, NULL};
	int r = process_run_for(argv, MOUNT_SECONDS, err);

	return r < 0 ? caisson_wrap(err, "mount %s", device) : 0;
}

/* The loop device goes with the mount, or, when there comes none, at once. */
static int mount_file(const struct caisson_volume_opened *opened, const char *target,
	const char *list, struct caisson_error *err)
{
	const struct loop_options options = {.read_only = opened->read_only};
	_cleanup_close_ int file = -1, loop = -1;
	_cleanup_free_ char *path = NULL;

	file = open(opened->file, (opened->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (file < 0)
		return caisson_fail(err, errno, "open %s", opened->file);
	loop = loop_attach(file, &options, &path, err);
	return loop < 0 ? loop : mount_device(path, target, list, err);
}

/* ext4 by a process of the user's own. */
static int mount_by_fuse(const struct caisson_volume_opened *opened, const char *target,
	const struct caisson_volume_open_options *options, struct caisson_error *err)
{
	_cleanup_free_ char *list = format_string("fakeroot,%s%s%s",
		opened->read_only ? "ro" : "rw", options->mount_options != NULL ? "," : "",
		options->mount_options != NULL ? options->mount_options : "");
	const char *const argv[] = {"fuse2fs", opened->file, target, "-o", list, NULL};
	int r;

	if (list == NULL)
		return caisson_fail(err, ENOMEM, "mount a volume");
	r = process_run_for(argv, MOUNT_SECONDS, err);
	if (r == -ENOENT)
		return caisson_hint(
			err, "only root mounts without it: install the package fuse2fs");
	return r;
}

static int mount_opened(const struct caisson_volume_opened *opened, const char *target,
	const struct caisson_volume_open_options *options, struct caisson_error *err)
{
	_cleanup_free_ char *list = option_list(options, opened->read_only);

	if (list == NULL)
		return caisson_fail(err, ENOMEM, "mount a volume");
	if (opened->way == CAISSON_VOLUME_KERNEL)
		return mount_device(opened->device, target, list, err);
	if (opened->file[0] == '\0')
		return caisson_refuse(err, EOPNOTSUPP,
			"there is neither dm-crypt nor FUSE here to mount it with; it is served "
			"over NBD on %s",
			opened->nbd);
	return geteuid() == 0 ? mount_file(opened, target, list, err)
			      : mount_by_fuse(opened, target, options, err);
}

static int refuse_elsewhere(
	const struct caisson_volume_opened *opened, const char *name, struct caisson_error *err)
{
	caisson_refuse(
		err, EBUSY, "the volume %s is mounted on %s already", name, opened->mount_point);
	return caisson_hint(err, "unmount it first: caisson volume unmount %s", name);
}

static bool same_folder(const char *a, const char *b)
{
	struct stat one, other;

	return strcmp(a, b) == 0 ||
	       (stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
		       one.st_ino == other.st_ino);
}

/* @ret_made: it is ours to remove again. */
static int make_target(const struct caisson_volume_open_options *options,
	const struct volume_layout *layout, char **ret_target, bool *ret_made,
	struct caisson_error *err)
{
	const char *target = options->target != NULL ? options->target : layout->mounts;
	bool made = options->target == NULL || access(target, F_OK) < 0;
	_cleanup_free_ char *real = NULL;
	int r = make_directories(target, 0700, err);

	if (r < 0)
		return r;
	real = realpath(target, NULL);
	if (real == NULL)
		return caisson_fail(err, errno, "find %s", target);
	*ret_target = take_ptr(real);
	*ret_made = made;
	return 0;
}

/* What is open, or was just opened. */
static int mount_it(const struct volume_layout *layout, const char *name,
	const struct caisson_volume_open_options *options, struct caisson_volume_opened *opened,
	struct caisson_error *err)
{
	_cleanup_free_ char *target = NULL;
	bool made = false;
	int r = make_target(options, layout, &target, &made, err);

	if (r < 0)
		return r;
	if (opened->mount_point[0] == '\0')
		r = mount_opened(opened, target, options, err);
	else if (options->target != NULL && !same_folder(opened->mount_point, target))
		r = refuse_elsewhere(opened, name, err);
	else
		return 0;
	if (r < 0) {
		if (made)
			(void)rmdir(target);
		return r;
	}
	snprintf(opened->mount_point, sizeof(opened->mount_point), "%s", target);
	return 0;
}

int volume_mount(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key, const struct caisson_volume_open_options *options,
	struct caisson_volume_opened *ret_opened, struct caisson_error *err)
{
	_cleanup_volume_layout_ struct volume_layout layout = VOLUME_LAYOUT_NONE;
	struct caisson_volume_opened opened = {.was_open = false};
	_cleanup_close_ int lock = -1;
	int r = volume_layout_locked(state, name, &layout, &lock, err);

	if (r == 0)
		r = opened_open(state, keys, name, key, options, &opened, err);
	if (r < 0)
		return r;
	r = mount_it(&layout, name, options, &opened, err);
	if (r < 0) {
		/* As it was before. */
		if (!opened.was_open)
			(void)opened_close(&layout, name, &opened, false, NULL);
		return r;
	}
	*ret_opened = opened;
	return 0;
}

int opened_unmount(const struct caisson_volume_opened *opened, bool lazy, struct caisson_error *err)
{
	_cleanup_mount_points_ struct mount_points points = MOUNT_POINTS_NONE;
	int r = opened_mounts(opened, &points, err);

	for (size_t i = points.count; r == 0 && i-- > 0;)
		r = mount_point_unmount(&points.items[i], lazy, err);
	return r;
}

int volume_unmount(
	const struct state *state, const char *name, bool lazy, struct caisson_error *err)
{
	_cleanup_volume_layout_ struct volume_layout layout = VOLUME_LAYOUT_NONE;
	struct caisson_volume_opened opened;
	_cleanup_close_ int lock = -1;
	int r = volume_layout_locked(state, name, &layout, &lock, err);

	if (r == 0)
		r = opened_look(&layout, name, &opened, err);
	if (r < 0)
		return r;
	if (r == 0)
		return opened_sweep(&layout, name, err);
	r = opened_unmount(&opened, lazy, err);
	if (r == 0)
		r = opened_close(&layout, name, &opened, lazy, err);
	if (r == 0)
		(void)rmdir(layout.mounts);
	return r;
}
