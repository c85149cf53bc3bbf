/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/options.h"

#define STATUS_FAILED 1
#define STATUS_WRONG  2

/* Opens the state directory for a command that needs it. */
typedef int (*cli_open_state)(
	const struct cli_command *command, struct cli_context *context, struct caisson_error *err);

/* What main() does first: streams, signals, no core dumps. */
void cli_begin(void);
/* Runs @command with the words behind its name; the exit status. @open_state: NULL when none of the
   program's commands needs one. */
int cli_run(const struct cli_command *command, cli_open_state open_state, int argc, char **argv);
/* What a full disk has not taken was not done: -1, and it is said. */
int cli_flush_output(void);
