/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What differs between machine types for glibc's loader, as data. */
#pragma once

#include <stdint.h>

#include "elf/reader.h"

struct machine {
	uint16_t machine; /* EM_... */
	unsigned int bits;
	int big_endian;             /* -1: either */
	uint32_t flags_mask, flags; /* of e_flags: variants of one machine */
	const char *triplet;        /* Debian's multiarch name */
	const char *library_folder; /* "lib64" or "lib": $LIB, where the loader does not say */
	const char *interpreter;
	uint32_t cache_flags; /* ldconfig's FLAG_... | FLAG_ELF_LIBC6 */
	const char *platform; /* $PLATFORM, the plainest that there is */
};

/* Never NULL: an unknown machine has the plainest rules. */
const struct machine *machine_find(const struct elf_ident *ident);
