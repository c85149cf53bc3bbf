/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of processor microcode, as they stand in front of a boot archive. */
#pragma once

#include <caisson/initramfs.h>
#include <stddef.h>
#include <stdint.h>

struct microcodes {
	struct caisson_initramfs_microcode *items;
	size_t count, capacity;
	uint64_t equivalences;
};

#define MICROCODES_NONE ((struct microcodes){NULL, 0, 0, 0})

/* Whether the kernel looks for microcode under that path. */
bool microcode_is(const char *path);
/* Appends the updates in the file, as far as it can be read; -ENOMEM alone. @late: it does not
   stand where the kernel looks. */
int microcode_read(struct microcodes *updates, const char *path, const uint8_t *data, size_t size,
	size_t member, bool late);
