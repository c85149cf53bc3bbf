/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What caisson closure prints: one file a form. */
#pragma once

#include "closure/closure.h"

struct closure_view {
	struct closure *closure;
	const char *root;
	uint64_t size; /* of all files, bytes */
	bool complete;
};

/* Words for enum closure_linkage and enum closure_libc (NULL: not to be known). */
extern const char *const closure_linkages[];
extern const char *const closure_libcs[];

int closure_print_table(const struct closure_view *view, struct caisson_error *err);
int closure_print_list(const struct closure_view *view, struct caisson_error *err);
int closure_print_tree(const struct closure_view *view, struct caisson_error *err);
int closure_print_json(const struct closure_view *view, struct caisson_error *err);
/* Why each program needs @library: 1 when one does, else 0. */
int closure_print_why(
	const struct closure_view *view, const char *library, struct caisson_error *err);
