/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mount of an open volume's file: by mount(2) for root, by fusermount3 for others. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>

/* Mounts on the folder @path. Returns the descriptor that the server answers on; whoever has it
   open last ends the mount's life, though not its place. -EOPNOTSUPP where there is no FUSE. */
int attach_file_mount(const char *path, bool read_only, struct caisson_error *err);
/* Also when its server is gone. What is not mounted, or not there, is no failure. -EBUSY while it
   is used, unless @lazy. */
int attach_file_unmount(const char *path, bool lazy, struct caisson_error *err);
/* Whether something is mounted on @path, with or without a server that lives. */
bool attach_is_mount_point(const char *path);
