/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is open on this host, found out from the kernel and from the process that serves it; inside
   volume/ only. */
#pragma once

#include "base/strbuf.h"
#include "volume/layout.h"
#include "volume/volume.h"

/* 1 when it is open here, 0 when not. */
int opened_look(const struct volume_layout *layout, const char *name,
	struct caisson_volume_opened *ret_opened, struct caisson_error *err);
/* Where it is mounted, the newest last. */
int opened_mounts(
	const struct caisson_volume_opened *opened, struct strv *points, struct caisson_error *err);
/* The loop device that stands on the served file; "" without one. */
void opened_loop(const struct caisson_volume_opened *opened, char *ret_path, size_t size);
/* Unmounts it everywhere. */
int opened_unmount(
	const struct caisson_volume_opened *opened, bool lazy, struct caisson_error *err);
/* Closes it; @later: when its last user has gone. Under the lock on the volumes. */
int opened_close(const struct volume_layout *layout, const char *name,
	const struct caisson_volume_opened *opened, bool later, struct caisson_error *err);
/* The same, whoever uses it: what they read and write fails from now on. */
int opened_abort(const struct volume_layout *layout, const char *name,
	const struct caisson_volume_opened *opened, struct caisson_error *err);
