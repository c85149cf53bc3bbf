/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A container as a device of the kernel's, on the host. udev is never waited for: where it does not
 * answer (a container, another IPC namespace) libdevmapper would wait for ever. The nodes in
 * /dev/mapper are made by libdevmapper itself, and where there is udev, it finds them made.
 */
#pragma once

#include "luks/luks.h"

/* Makes /dev/mapper/@name of the container on @device (the kernel claims it), whose header must
   fit the volume key. -EOPNOTSUPP where there is no device-mapper. */
int luks_map(const char *device, const char *name, const struct luks_opened *opened,
	unsigned int flags, struct caisson_error *err);

enum luks_unmap_how {
	LUKS_UNMAP,      /* -EBUSY while somebody uses it */
	LUKS_UNMAP_LATER /* reads and writes fail from now on, and it goes with its last user */
};
/* What is gone already is no failure. */
int luks_unmap(const char *name, enum luks_unmap_how how, struct caisson_error *err);
/*
 * What an open that was killed left of the mapping: one without a table is taken away (1), one
 * whose node was not made yet gets it (0). Only while nobody else can be opening it.
 */
int luks_map_sweep(const char *name, struct caisson_error *err);
/* Lets it take the size that its device has now. */
int luks_map_resize(const char *name, const struct luks_opened *opened, struct caisson_error *err);
