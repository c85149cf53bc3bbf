/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keyslots being made, on an open context; inside luks/ only. */
#pragma once

#include "luks/container.h"

/* What opening a keyslot of @key shall cost. */
void luks_key_pbkdf(const struct luks_key *key, struct crypt_pbkdf_type *ret_pbkdf);
int luks_key_check(const struct luks_key *key, struct caisson_error *err);
/* In keyslot @number, or a free one (-1). Returns its number. */
int luks_keyslot_add(struct luks_device *device, const struct secret *volume_key,
	const struct luks_key *key, int number, struct caisson_error *err);
