/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plain side of a container's payload, for random access: any offset, any size, any thread. */
#pragma once

#include "base/blocks.h"
#include "luks/cipher.h"

/*
 * Payload byte 0 is byte @data_offset of @container; @size bytes, a multiple of the sector size.
 * Both are borrowed. Writes that are not whole sectors read the rest first, alone (a lock keeps
 * others out for that long), so that no neighbour's write is lost.
 */
int luks_payload_new(struct blocks *container, uint64_t data_offset, uint64_t size,
	const struct luks_cipher *cipher, struct blocks **ret_payload, struct caisson_error *err);
