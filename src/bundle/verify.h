/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proves that a bundle in a folder is complete: its own loader, confined to the folder, has to find
 * every library, and find it among the bundle's files. The loader is a stranger's program where the
 * root is a stranger's.
 */
#pragma once

#include <caisson/bundle.h>
#include <caisson/error.h>

#include "bundle/place.h"

/* Of every program of the plan. @how: how its libraries are found, with the bundle's folder as the
   root; the loader is given the library path, unless that is NULL. -EPROTO names what is not as it
   should be. */
int verify_bundle(struct place *place, const struct closure_options *how, bool flat,
	enum caisson_bundle_proof *ret_proof, char *ret_reason, size_t reason_size,
	struct caisson_error *err);
