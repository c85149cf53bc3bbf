/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is open on this host, found out from the kernel and from the process that serves it; inside
   volume/ only. What changes it is called under the lock on the volume's name. */
#pragma once

#include "attach/start.h"
#include "volume/access.h"
#include "volume/layout.h"
#include "volume/mounts.h"
#include "volume/volume.h"

/* 1 when it is open here, 0 when not. */
int opened_look(const struct volume_layout *layout, const char *name,
	struct caisson_volume_opened *ret_opened, struct caisson_error *err);
/* Where it is mounted, the newest last. */
int opened_mounts(const struct caisson_volume_opened *opened, struct mount_points *points,
	struct caisson_error *err);
/* The loop device that stands on the served file; "" without one. */
void opened_loop(const struct caisson_volume_opened *opened, char *ret_path, size_t size);

/* What a server of an unlocked volume is told, as a file, too; it is borrowed. */
struct attach_options opened_server(
	const struct volume_access *access, const char *folder, bool read_only);
/* Opens a volume that is not open (-EBUSY when it is). */
int opened_open(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key, const struct caisson_volume_open_options *options,
	struct caisson_volume_opened *ret_opened, struct caisson_error *err);
/* Unmounts it everywhere. */
int opened_unmount(
	const struct caisson_volume_opened *opened, bool lazy, struct caisson_error *err);
/* Closes it; @later: when its last user has gone. */
int opened_close(const struct volume_layout *layout, const char *name,
	const struct caisson_volume_opened *opened, bool later, struct caisson_error *err);
/* The same, whoever uses it: what they read and write fails from now on. */
int opened_abort(const struct volume_layout *layout, const char *name,
	const struct caisson_volume_opened *opened, struct caisson_error *err);
/* Clears away what a server left that was killed: mounts, loop devices, sockets. Nothing while
   somebody has the container. */
int opened_sweep(const struct volume_layout *layout, const char *name, struct caisson_error *err);
/* The same for whoever has the container locked. */
int opened_sweep_locked(const struct volume_layout *layout, struct caisson_error *err);
