/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One program with its libraries, in the order in which the loader maps them: breadth first; an
 * object that is loaded already answers to every name that it was asked for by and to its
 * DT_SONAME.
 */
#pragma once

#include <caisson/error.h>
#include <stdint.h>

#include "elf/closure.h"
#include "elf/search.h"

/* A path that has to lead where it leads now. */
struct find {
	struct location *location;
	struct location *wanted_by; /* NULL for the program */
	enum closure_role role;
	const char *rule;
};

struct load {
	struct search search;    /* set, cache, loader and ident are the caller's */
	uint64_t generation;     /* of this program: no two may have the same in one library_set */
	struct loaded **objects; /* owned */
	size_t object_count, object_capacity;
	struct find *finds; /* in the order in which they were asked for */
	size_t find_count, find_capacity;
	struct loaded *first, *last; /* the order of loading */
	struct loaded *interpreter;
	uint32_t imports; /* of all objects */
};

/* Loads @program, whose file was read and is fine. @load has its search's set, cache, loader and
   ident and its generation set, and is zero otherwise. */
int load_program(struct load *load, struct location *program, struct caisson_error *err);
void load_done(struct load *load);
