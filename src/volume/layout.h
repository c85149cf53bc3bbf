/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a volume's files are, and who may change which volumes there are; inside volume/ only. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "base/state.h"
#include "key/service.h"

/*
 *   volumes/NAME/container   the LUKS2 container; locked while a machine has it open
 *   volumes/NAME/holder      name of the machine that had it last
 *   volumes/.pending-NAME    UUID of a volume whose key is being put beside a folder that is not
 * there yet: what tells the key that a killed create left from the key of a volume whose folder is
 * only missing (on a disk that is not mounted, say)
 */
struct volume_layout {
	char *volumes, *folder, *container, *holder, *pending;
};

#define VOLUME_LAYOUT_NONE ((struct volume_layout){.volumes = NULL})

/* Checks @name, and makes and sweeps the folder of all volumes. */
int volume_layout(const struct state *state, const char *name, struct volume_layout *ret_layout,
	struct caisson_error *err);
void volume_layout_done(struct volume_layout *layout);

#define _cleanup_volume_layout_ _cleanup_(volume_layout_done)

bool volume_exists(const struct volume_layout *layout);
int volume_missing(const char *name, struct caisson_error *err);

/*
 * The lock on the folder of all volumes, held for the moments in which a volume comes, goes or is
 * locked; closing the descriptor gives it back. Waits for at most VOLUMES_LOCK_WAIT_S, then -EBUSY.
 */
#define VOLUMES_LOCK_WAIT_S 30
int volumes_lock(const struct volume_layout *layout, int *ret_lock, struct caisson_error *err);
/* Opens and locks the container. -EBUSY, naming the holder, when another has it; -ENOENT. */
int volume_lock_container(const struct volume_layout *layout, const char *name, int flags,
	int *ret_fd, struct caisson_error *err);
/* The machine that had the container last; "" when none did. */
void volume_read_holder(const struct volume_layout *layout, char *ret_holder, size_t size);
/* Undoes what a create of @name left that was killed between its key and its folder. Under the lock
   on the volumes. */
int volume_recover(const struct volume_layout *layout, struct key_service *keys, const char *name,
	struct caisson_error *err);
