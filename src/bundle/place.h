/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lays a plan over what a folder holds, and decides for each file whether it is new, kept, replaces
 * another, or cannot be. Only reads.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>

#include "bundle/manifest.h"
#include "bundle/plan.h"
#include "bundle/view.h"

struct place {
	struct plan *plan;
	struct view *view;
	/* What earlier bundles recorded; @next is that of a run that was killed. */
	const struct manifest *old, *next;
	bool replace; /* what is not ours, too */
	/* What stands in the way. */
	size_t conflicts;
	struct caisson_error first;
};

/* Gives every file its node and its state, and adds the links that the folder's own layout calls
   for. What stands in the way is counted; a negative errno is for what cannot be looked at. */
int place_plan(struct place *place, struct caisson_error *err);
/* What an earlier bundle wrote at @node, and is there as it was written; else NULL. */
const struct manifest_file *place_owned(
	const struct place *place, struct view_node *node, struct caisson_error *err);
