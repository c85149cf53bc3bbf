/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The folder that one profile of one source is built in, locked (build.h). */
#pragma once

#include <caisson/error.h>
#include <caisson/log.h>
#include <stdbool.h>

#include "base/state.h"

struct build_place {
	char *folder, *tree, *log, *result;
	int lock;
};

#define BUILD_PLACE_NONE ((struct build_place){NULL, NULL, NULL, NULL, -1})

/* Waits, with a note in @log, while another build is at work there. What a power cut has
   interrupted is thrown away: files may be there that are empty. @clean: whatever is there is. */
int build_place_open(const struct state *state, const char *profile, const char *source, bool clean,
	const struct caisson_log *log, struct build_place *ret_place, struct caisson_error *err);
void build_place_done(struct build_place *place);
/* Between the two, the folder is not to be trusted after the host has started anew. */
int build_place_begin(const struct build_place *place, struct caisson_error *err);
void build_place_end(const struct build_place *place);
/* Whether a whole build is there, so that the next has less to do. */
bool build_place_was_built(const struct build_place *place);
/* How many steps a build from the start had; 0: it is not known. */
unsigned int build_place_steps(const struct build_place *place);
void build_place_note_steps(const struct build_place *place, unsigned int steps);
