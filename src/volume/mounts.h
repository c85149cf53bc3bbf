/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is mounted where (/proc/self/mountinfo); and what others say there is not believed. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mount_point {
	char *path;
	uint64_t id;
	bool fuse; /* a user's own server is behind it */
};

struct mount_points {
	struct mount_point *items;
	size_t count;
};

#define MOUNT_POINTS_NONE ((struct mount_points){NULL, 0})

/* Mounts of the block device @device (a path, links are followed), the newest last, behind what is
   there already. None when there is no such device. */
int mounts_of_device(const char *device, struct mount_points *points, struct caisson_error *err);
/* FUSE mounts of ext4 whose source is called so, and whose server is this user's: the name alone
   anybody can give. */
int mounts_of_file(const char *file, struct mount_points *points, struct caisson_error *err);
/* Unmounts it, if it is still what is mounted there. What is not is no failure. -EBUSY. */
int mount_point_unmount(const struct mount_point *point, bool lazy, struct caisson_error *err);
void mount_points_done(struct mount_points *points);

#define _cleanup_mount_points_ __attribute__((cleanup(mount_points_done)))
