/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Running the kernel's own make. */
#pragma once

#include <caisson/error.h>
#include <caisson/log.h>
#include <stdbool.h>
#include <stdint.h>

#include "kbuild/watch.h"

struct make {
	const char *source; /* not written to */
	const char *tree;   /* where all that is made goes (O=) */
	const char *log;    /* file that gets all that it says */
	unsigned int jobs;
	int64_t date; /* what the kernel says of when it was built */
	/* What it inherits: as long as any process of the build lives, this is locked. */
	int lock;
	/* "NAME=value" beside what makes builds the same everywhere; NULL-terminated, may be NULL.
	 */
	const char *const *environment;
	unsigned int steps_before; /* how many steps the last whole build had; 0: none was */
	const struct kbuild_watch *watch;
	const struct caisson_log *messages;
};

/*
 * Makes @targets (NULL-terminated). SIGINT, SIGTERM and SIGHUP end it, and all that it has started,
 * in an orderly way: -EINTR. (They are blocked meanwhile: call this from a process with one
 * thread.) -EIO with the first error in its words. @ret_steps may be NULL.
 */
int make_run(const struct make *make, const char *const targets[], unsigned int *ret_steps,
	struct caisson_error *err);
/* A target that talks to the user: with this process's own terminal. */
int make_on_terminal(const struct make *make, const char *target, struct caisson_error *err);
