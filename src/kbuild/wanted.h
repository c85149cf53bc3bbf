/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options that a profile and a user's own fragments ask for, in order: the later one wins. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>

#include "base/strbuf.h"
#include "kernel/fragment.h"
#include "kernel/requirements.h"

struct wanted_option {
	const struct kernel_requirement *requirement;
	const char *from; /* the fragment's name, or the file that it is in */
	bool users;       /* from a file of the user's */
	/* What a later one says of the same option, when that is something else; NULL. */
	const struct wanted_option *overridden;
	bool again; /* the last one asks for the same */
};

struct wanted {
	struct wanted_option *items;
	size_t count;
	struct fragment *fragments; /* what the items of files point to */
	size_t fragment_count;
};

#define WANTED_NONE ((struct wanted){NULL, 0, NULL, 0})

/* @profile may be NULL, @files too. Options that kernels of @version do not have are left out. */
int wanted_init(struct wanted *ret_wanted, const struct kernel_profile *profile,
	const struct strv *files, unsigned int version, struct caisson_error *err);
void wanted_done(struct wanted *wanted);
/* The option's last word; NULL when nothing is asked of it. */
const struct wanted_option *wanted_find(const struct wanted *wanted, const char *option);
/* As a fragment, each option once. */
void wanted_write(const struct wanted *wanted, struct strbuf *text);
/* A .config without the lines of what is wanted, and that behind it. */
void wanted_merge(const struct wanted *wanted, const char *base, size_t size, struct strbuf *text);

#define _cleanup_wanted_ _cleanup_(wanted_done)
