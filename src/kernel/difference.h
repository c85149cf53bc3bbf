/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two configurations compared, option by option. */
#pragma once

#include <caisson/error.h>
#include <stddef.h>

#include "base/strbuf.h"
#include "kernel/kernel.h"

struct kernel_difference {
	const char *option; /* "CONFIG_EXT4_FS" */
	/* Its values as they stand there, "y" or "\"text\""; NULL where it is not set. */
	const char *a, *b;
	/* What wants it, or (under another name) takes it as well; in the table's order. */
	const struct kernel_requirement *const *wanted;
	size_t wanted_count;
};

/*
 * Calls @each for every option whose value is not the same in both texts, sorted by name. "n", not
 * set and not mentioned are the same; of repeated lines the last counts. All that @each is handed
 * is gone when it returns. A negative answer ends it. Returns how many there are.
 */
int kernel_config_diff(const struct strbuf *a, const struct strbuf *b,
	int (*each)(const struct kernel_difference *difference, void *userdata), void *userdata,
	struct caisson_error *err);

/*
 * A profile as a configuration, for a kernel of @version (KERNEL_VERSION(); 0: any). With @beside,
 * *ret_beside is what that one says of the profile's options, and of no others; an option that it
 * has under another name counts as it is wanted.
 */
int kernel_profile_config(const struct kernel_profile *profile, unsigned int version,
	const struct strbuf *beside, struct strbuf *ret_text, struct strbuf *ret_beside,
	struct caisson_error *err);
