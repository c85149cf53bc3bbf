/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state directory, and the configuration directory that lives apart from it (a backup of the
 * state does not carry the key-encryption key).
 *
 *   volumes/NAME/     container, holder          images/DIGEST/   root.squashfs, image.json
 *   machines/NAME/    machine.json, console.log  initramfs/       archives by content
 *   keys/keys.db      wrapped keys, audit        kernels/         prepared kernels by content
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>

#include "base/macros.h"

struct state {
	char *dir;    /* absolute */
	char *config; /* absolute */
};

#define STATE_NONE ((struct state){NULL, NULL})

/* Makes both folders (mode 0700) when they are missing. Paths are made absolute. */
int state_open(
	struct state *ret_state, const char *dir, const char *config, struct caisson_error *err);
void state_done(struct state *state);
/* The path of a subfolder such as "volumes", made when missing; what dead commands left half-made
   in it is swept. Owned by the caller. */
int state_folder(
	const struct state *state, const char *name, char **ret_path, struct caisson_error *err);

#define _cleanup_state_ _cleanup_(state_done)
