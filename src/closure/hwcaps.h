/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Libraries for particular processors: which subfolders glibc's loader looks into in front of each
 * search folder, and which entries of ld.so.cache it takes.
 *
 * From 2.33 on: glibc-hwcaps/LEVEL (ld.so(8), "glibc-hwcaps"). Up to 2.36, also every combination
 * of "tls", the platform and the processor's capabilities (elf/dl-hwcaps.c). musl has neither.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "closure/machine.h"

enum hwcaps_kind {
	HWCAPS_BASELINE, /* what runs on any processor of the machine type */
	HWCAPS_HOST,     /* as on this one; the baseline where it is of another machine type */
	HWCAPS_LEVEL,    /* this level and those under it */
};

struct hwcaps_choice {
	enum hwcaps_kind kind;
	const char *level; /* "x86-64-v3" */
};

enum {
	HWCAPS_FOLDERS_MOST = 24,
	HWCAPS_LEVELS_MOST = 8,
	HWCAPS_NAME_MOST = 64,
};

/* How a loader is to be imitated. */
struct hwcaps {
	char folders[HWCAPS_FOLDERS_MOST][HWCAPS_NAME_MOST]; /* in order, the best first */
	size_t folder_count;
	const char *levels[HWCAPS_LEVELS_MOST]; /* the same of glibc-hwcaps alone */
	size_t level_count;
	uint64_t legacy; /* the older capability bits of the cache */
	uint64_t legacy_platform;
	const char *platform; /* $PLATFORM */
};

/* What glibc's loader of @machine and version 2.@minor (0: unknown) searches. @has_levels: it knows
   glibc-hwcaps. */
void hwcaps_set(struct hwcaps *ret_hwcaps, const struct machine *machine, unsigned int minor,
	bool has_levels, const struct hwcaps_choice *choice);
/* The levels of a machine type, the best first; NULL ends. */
const char *const *hwcaps_levels(const struct machine *machine);
/* Whether any machine type has that level. */
bool hwcaps_is_level(const char *name);
