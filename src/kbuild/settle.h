/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configuration that a build goes by: made (configure.h), and judged. */
#pragma once

#include <caisson/error.h>
#include <caisson/log.h>

#include "kbuild/configure.h"

struct settle_options {
	const char *source, *tree;
	const struct kernel_profile *profile;
	const char *base; /* a file with a configuration, or a kernel; NULL, "none": none */
	const struct strv *fragments; /* files; may be NULL */
	const struct caisson_log *log;
	const int *lock; /* of the folder with the tree; may be NULL */
};

/*
 * TREE/.config. -ENOTSUP when an option that a feature of the profile, or the user, asks for is not
 * in it: the sentence names the first, the log all. What is there for speed, convenience or size
 * alone is a warning.
 */
int settle_config(const struct settle_options *options, struct caisson_error *err);
/* The text of TREE/.config. */
int settled_config(const char *tree, struct strbuf *text, struct caisson_error *err);
/* Warns of what the profile asks for and a user has changed since. */
int settle_look_again(const struct settle_options *options, struct caisson_error *err);
