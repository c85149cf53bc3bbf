/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the objects of a program dlopen: by the table of dlopen.h, and by what they say themselves.
 */
#pragma once

#include "closure/load.h"

/* What the rules named for one caller: found out once, however many programs have it. */
struct plugin_answer {
	const struct dlopen_rule *rule;
	const struct location *caller;
	struct strv libraries; /* sonames, or paths */
	struct strv data;      /* paths of files that come along */
	struct strv config;    /* and of configuration files */
};

struct plugins {
	struct plugin_answer *answers;
	size_t count;
	uint64_t left_out; /* bit N: rule N would have added something, but for its priority */
};

/* Loads what load->dlopen allows, until nothing is new. */
int plugins_add(struct plugins *plugins, struct load *load, struct caisson_error *err);
void plugins_done(struct plugins *plugins);
