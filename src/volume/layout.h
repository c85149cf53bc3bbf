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
 *   volumes/NAME/container   the LUKS2 container; locked while anybody has it open
 *   volumes/NAME/device      instead of it: path of the block device that is the container
 *   volumes/NAME/holder      who had it last
 *   volumes/NAME/redo        a change to the container that is being made (volume/redo.h)
 *   volumes/NAME/rekey       a change of its keys that is being made (volume/keys.c)
 *   volumes/NAME/destroy     it is being destroyed: whoever finds that, goes on with it
 *   volumes/.pending-NAME    UUID of a volume whose key is being put beside a folder that is not
 *                            there yet: what tells the key that a killed create left from the key
 *                            of a volume whose folder is only missing (on a disk that is not
 *                            mounted, say); in a second line the device that has its header
 *   open/NAME/               sockets and FUSE mount of a volume that is served from user space
 *   mounts/NAME              where it is mounted unless somebody says otherwise
 */
struct volume_layout {
	char *state, *volumes, *folder, *container, *holder, *pending, *device_file, *rekey,
		*doomed, *open, *mounts;
	bool on_device; /* @container is a block device */
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
/*
 * The lock on one volume's folder, held while it is opened, closed, mounted, resized or destroyed
 * on this host: of two such commands one waits, at most VOLUME_LOCK_WAIT_S. -ENOENT when there is
 * no such volume, or none any more. What takes the lock on the volumes, too, takes it inside.
 */
#define VOLUME_LOCK_WAIT_S 120
int volume_lock_name(const struct volume_layout *layout, const char *name, int *ret_lock,
	struct caisson_error *err);
/* volume_layout() and volume_lock_name(). */
int volume_layout_locked(const struct state *state, const char *name,
	struct volume_layout *ret_layout, int *ret_lock, struct caisson_error *err);
/* Opens and locks the container. -EBUSY, naming the holder, when another has it; -ENOENT. */
int volume_lock_container(const struct volume_layout *layout, const char *name, int flags,
	int *ret_fd, struct caisson_error *err);

/* A machine's name, or what else has it ("caisson volume copy (process 7)"). */
struct volume_holder {
	char text[128]; /* "" when none did */
	bool machine;
};
/* Whoever had the container last. */
void volume_read_holder(const struct volume_layout *layout, struct volume_holder *ret_holder);
/* Under the lock on the volumes, as reading. */
int volume_write_holder(
	const struct volume_layout *layout, const char *text, struct caisson_error *err);

/* 1 when there was something to undo, -EBUSY while its maker is at work. Undoes what a create of
   @name left that was killed between its key and its folder. Under the lock on the volumes. */
int volume_recover(const struct volume_layout *layout, struct key_service *keys, const char *name,
	struct caisson_error *err);
/* Puts a small file into the volume's folder, durably and at once. */
int volume_write_marker(const struct volume_layout *layout, const char *name, const char *text,
	struct caisson_error *err);
/* Goes on with a destroy that was killed. 1 when there was one, -EBUSY while it is at work. */
int volume_finish_destroy(const struct volume_layout *layout, struct key_service *keys,
	const char *name, struct caisson_error *err);
/* The same for those who only look: what is being made is not there yet. 0. */
int volume_recover_quietly(const struct volume_layout *layout, struct key_service *keys,
	const char *name, struct caisson_error *err);
