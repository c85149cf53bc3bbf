/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <caisson/volume.h>

#include "cli/options.h"

/* A bar on the terminal, for what takes over a second. */
struct cli_progress {
	struct caisson_progress progress; /* for the library */
	uint64_t began;                   /* microseconds */
	bool shown;
};

/* Silent where standard error is no terminal, or was asked to be. */
void cli_progress_init(struct cli_progress *progress, const struct cli_command *command,
	const struct cli_context *context);
/* The same for work that is counted in steps: @total is 0 when nobody knows how many there will be;
   @what is the one that goes on. */
void cli_progress_step(
	struct cli_progress *progress, unsigned int done, unsigned int total, const char *what);
/* Takes the bar away, and begins anew. */
void cli_progress_next(struct cli_progress *progress);
/* Takes the bar away. */
void cli_progress_done(struct cli_progress *progress);

#define _cleanup_progress_ _cleanup_(cli_progress_done)
