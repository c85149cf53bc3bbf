/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fragments of a kernel's configuration: what scripts/kconfig reads, with comments that say what
 * each option is for ("#:"). docs/kernel.md has the format.
 */
#pragma once

#include <caisson/error.h>

#include "base/strbuf.h"
#include "kernel/requirements.h"

struct fragment {
	struct strv texts; /* what the requirements point to */
	struct kernel_requirement *requirements;
	size_t count;
};

#define FRAGMENT_NONE ((struct fragment){STRV_INIT, NULL, 0})

/*
 * @strict: each option has to have its reason (ours); without, options that have none are for the
 * build alone (a user's own). @name is that of the fragment, or of the file in which it is.
 * -EBADMSG with the line's number for what is no fragment.
 */
int fragment_parse(const char *name, const char *text, size_t size, bool strict,
	struct fragment *ret_fragment, struct caisson_error *err);
void fragment_done(struct fragment *fragment);

/* The lines of a profile: "fragment NAME", "include PROFILE", "argument ARGUMENT". */
struct profile_line {
	enum profile_word {
		PROFILE_FRAGMENT,
		PROFILE_INCLUDE,
		PROFILE_ARGUMENT,
	} word;
	const char *value;
	unsigned int feature; /* of an argument */
	const char *reason;
};

struct profile {
	struct strv texts;
	const char *summary;
	struct profile_line *lines;
	size_t count;
};

#define PROFILE_NONE ((struct profile){STRV_INIT, NULL, NULL, 0})

int profile_parse(const char *name, const char *text, size_t size, struct profile *ret_profile,
	struct caisson_error *err);
void profile_done(struct profile *profile);

#define _cleanup_fragment_ _cleanup_(fragment_done)
#define _cleanup_profile_  _cleanup_(profile_done)
