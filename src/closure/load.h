/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One program with its libraries, in the order in which the loader maps them: breadth first; an
 * object that is loaded already answers to every name that it was asked for by and to its
 * DT_SONAME.
 */
#pragma once

#include <caisson/error.h>
#include <stdint.h>

#include "closure/closure.h"
#include "closure/search.h"

/* A path that has to lead where it leads now. */
struct find {
	struct location *location;
	struct location *wanted_by; /* NULL for the program */
	enum closure_role role;
	const char *rule;
	const struct atom *name; /* as asked for; NULL for what is no library */
	bool cached;             /* found by the cache, or what stands in for it */
};

/* One request of one object, and what answered. */
struct use {
	const struct loaded *by;
	const struct loaded *got; /* NULL: nothing */
	const struct atom *name;
};

struct problem {
	enum closure_problem_kind kind;
	const struct atom *name;
	const struct location *by;
	struct caisson_error error;
};

struct load {
	/* set, cache, config, library_path, loader, hwcaps and ident are the caller's. */
	struct search search;
	enum closure_dlopen dlopen;
	bool config; /* configuration files, too */
	/* Of this program's names: no two may have the same in one library_set. */
	uint64_t generation, *generations; /* the latter counts them */
	struct loaded **objects;           /* owned; the program first */
	size_t object_count, object_capacity;
	struct find *finds; /* in the order in which they were asked for */
	size_t find_count, find_capacity;
	struct use *uses;
	size_t use_count, use_capacity;
	struct problem *problems;
	size_t problem_count;
	struct loaded *first, *last; /* the order of loading */
	struct loaded *interpreter;
	uint32_t imports; /* of all objects */
	uint64_t rules;   /* whose callers are among the objects */
};

/* Somebody asking, and what an error calls them and the reason for. */
struct demand {
	struct loaded *requester;
	enum elf_request_kind kind;
	struct atom *name;
	const char *reason;     /* NULL: it says so itself */
	const char *rule;       /* NULL: the one that it is found by */
	enum closure_role role; /* when the name is a path */
	bool optional;          /* no problem when it is not there */
};

/* Loads @program, whose file was read and is fine. What the loader would complain of is in
   @problems; a negative return is for what ends the work. */
int load_program(struct load *load, struct location *program, struct caisson_error *err);
/* Loads one more library behind all others, with what it needs: as dlopen(3) would. 1 when it is
   there, 0 when it is not and was optional, or is a problem. */
int load_more(struct load *load, const struct demand *demand, struct caisson_error *err);
/* DT_AUDIT and DT_DEPAUDIT of the program, last of all. */
int load_auditors(struct load *load, struct caisson_error *err);
/* A file that @by reads; what is not there, or is no file, is passed over. */
int load_add_file(struct load *load, const char *path, const struct loaded *by, const char *rule,
	struct caisson_error *err);
/* The object that answers to @name, or NULL. */
struct loaded *load_answer(const struct load *load, const struct atom *name);
/* @error is what is wrong with @name, which @by asks for. */
int load_add_problem(struct load *load, enum closure_problem_kind kind, const struct atom *name,
	const struct loaded *by, const struct caisson_error *error, struct caisson_error *err);
/* Versions that are needed and not defined become problems. */
int load_check_versions(struct load *load, struct caisson_error *err);
void load_done(struct load *load);
