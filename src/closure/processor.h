/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* This machine's processor, as glibc's loader sees it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "closure/machine.h"

enum { PROCESSOR_LEGACY_MOST = 4 };

struct processor {
	const char *level;    /* the best of hwcaps_levels(); NULL: the baseline */
	const char *platform; /* $PLATFORM; static */
	/* Capabilities as glibc up to 2.36 names its folders and marks the cache's entries by. */
	const char *legacy_names[PROCESSOR_LEGACY_MOST];
	size_t legacy_count;
	uint64_t legacy, legacy_platform;
};

/* What every processor of a machine type has. */
void processor_any(const struct machine *machine, struct processor *ret_processor);
/* False when programs of @machine do not run on this one, or nothing is known of it. */
bool processor_find(const struct machine *machine, struct processor *ret_processor);
