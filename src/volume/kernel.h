/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's way to have a volume: a loop device (for a file) and dm-crypt on it; inside volume/
   only. */
#pragma once

#include "volume/access.h"

#define KERNEL_NAME_SIZE 80

/* "caisson-NAME", what the mapping is called. */
void kernel_mapping_name(const char *volume, char ret_name[static KERNEL_NAME_SIZE]);
/* Whether that mapping is there, and of this container. -EEXIST when it is another's. */
int kernel_is_open(const struct volume_layout *layout, const char *volume, bool *ret_open,
	struct caisson_error *err);
/* Takes away the mappings that a create left which was killed: on a file, or on @device (or NULL).
 */
int kernel_sweep(const struct volume_layout *layout, const char *volume, const char *device,
	struct caisson_error *err);
/* Takes away what an open that was killed left of the volume's mapping: 1 when there was something.
   With the lock on its name. */
int kernel_sweep_open(const char *volume, struct caisson_error *err);
/* 0 when it can be tried here; else why not. */
int kernel_possible(struct caisson_error *err);
/* Opens an unlocked volume. The lock is the kernel's from here on: @access has no container left.
 */
int kernel_open(struct volume_access *access, unsigned int flags, struct caisson_error *err);
/* Waits until the kernel has given the container back, at most 10 seconds. */
int kernel_close(const struct volume_layout *layout, const char *volume, bool later,
	struct caisson_error *err);
/* The loop device that was made of a file of this name, which need not be there any more; NULL when
   there is none. Owned by the caller. */
int kernel_loop_of_path(const char *file, char **ret_loop, struct caisson_error *err);
/* The loop device under the mapping takes the size of its file, and the mapping of the loop device.
 */
int kernel_resize(struct volume_access *access, struct caisson_error *err);
