/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Filesystems whose own programs know files, devices and mounts alone: xfs and btrfs; inside
   volume/ only. */
#pragma once

#include "volume/access.h"
#include "volume/opened.h"

/* Lets the filesystem's checker read the payload of an unlocked volume that is not open, through
   FUSE. -EOPNOTSUPP where that cannot be had, -EUCLEAN when it is not as it should be; @text: what
   it said. */
int tools_check(struct volume_access *access, const char *kind, char *text, size_t size,
	struct caisson_error *err);
/* Lets a filesystem that is mounted at @point, from the block device @device, take all of it. */
int tools_grow(const char *kind, const char *device, const char *point, struct caisson_error *err);
bool tools_can_grow(const char *kind);
/* The same for one that is not mounted: on the folder @point, which is made, in a mount namespace
   that nobody else sees, and that ends with it. Takes root. */
int tools_grow_privately(
	const char *kind, const char *device, const char *point, struct caisson_error *err);
/* A loop device of a served file, which stays until the descriptor that is returned is closed. */
int tools_open_loop(const char *file, struct caisson_error *err);
