/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options of a volume as an engine sends them ("docker volume create -o size=4G"): the words of
   caisson volume create, and nothing else. */
#pragma once

#include <caisson/error.h>
#include <caisson/volume.h>

#include "base/json.h"

/* Fills @ret_options, whose texts belong to @given (NULL: none). -EINVAL names the option that is
   not known or not understood. */
int wishes_read(struct json_object *given, uint64_t default_size,
	struct caisson_volume_create_options *ret_options, struct caisson_error *err);

/*
 * Whether a volume that is there is what @given asks for: each option is what it was made with
 * (@made; NULL when we did not make it), or what the volume itself shows. Options that are not
 * given agree with everything. -EEXIST says which one does not.
 */
int wishes_agree(struct json_object *given, struct json_object *made,
	const struct caisson_volume *volume, struct caisson_error *err);
