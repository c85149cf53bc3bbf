/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration of a kernel: fragments are merged onto a base, the source's own Kconfig settles
 * it, and what did not come out as it was wanted is told, with the reason.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/strbuf.h"
#include "kernel/requirements.h"

struct configure_options {
	const char *source;                   /* the folder of a kernel's source; not written to */
	const char *tree;                     /* a folder, for what make leaves (O=) and .config */
	const struct kernel_profile *profile; /* NULL: none */
	/* The text of a .config to begin with; NULL: everything that has a prompt is off. */
	const char *base;
	size_t base_size;
	const struct strv *fragments; /* files of the user's, behind the profile's; may be NULL */
	/* "CC=ccache gcc", for make; NULL-terminated, may be NULL. */
	const char *const *arguments;
	const int *lock; /* that make holds, too, while it lives; may be NULL */
};

/* One that did not come out as it was wanted, or that a user's fragment took back. */
struct configure_fault {
	char *option;
	char *wanted; /* its value: "y", "n", "64" */
	char *from;   /* the fragment, or the file */
	char *reason; /* what cannot be done without it; NULL when the fragment gives none */
	char *why;    /* "needs CONFIG_MD, which is not set" */
	bool optional;
};

/* One that the base had. */
struct configure_removal {
	char *option;
	char *value; /* in the base */
	bool asked;  /* a fragment turns it off: @why is the reason there; else what it depends on
			went */
	char *why;
};

struct configure_faults {
	struct configure_fault *items;
	size_t count;
};

struct configure_result {
	char *version; /* of the source */
	struct strbuf config;
	size_t wanted; /* options that were asked for, each once */
	struct configure_faults lost, overridden;
	struct configure_removal *removed;
	size_t removed_count;
	/* Without a base: options with a prompt that are on and that nobody asked for or selected.
	 */
	struct strv unasked;
};

#define CONFIGURE_RESULT_NONE \
	((struct configure_result){.config = STRBUF_INIT, .unasked = STRV_INIT})

/*
 * Leaves TREE/.config, whole or not at all, also when options were lost: that is for the caller to
 * judge. Fails when there is no source, when make or a fragment does.
 */
int configure_run(const struct configure_options *options, struct configure_result *ret_result,
	struct caisson_error *err);
void configure_result_done(struct configure_result *result);

#define _cleanup_configure_ _cleanup_(configure_result_done)
