/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs and libraries of one root: each path is resolved once and each file is read once,
 * however many programs want it, and under however many names.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "closure/closure.h"
#include "closure/root.h"
#include "closure/table.h"
#include "elf/reader.h"

struct library_request {
	enum elf_request_kind kind;
	struct atom *name;
};

struct library_version {
	struct atom *name;
	uint32_t hash;
	bool weak;
};

/* Versions that an object needs of one library. */
struct library_need {
	struct atom *library;
	const struct library_version *versions;
	size_t count;
	const struct object *met_by; /* this one has them all */
};

/* What an object says itself that it dlopens: the first of these that is there. */
struct library_wish {
	enum closure_dlopen priority;
	char *feature;
	struct strv names;
};

/* An ELF file, by device and inode. */
struct object {
	dev_t device;
	ino_t inode;
	/* What is wrong with it; NULL when it can be loaded. */
	struct caisson_error *failure;
	bool is_elf;   /* @ident holds, even when the rest is broken */
	char *shebang; /* of a script: what stands behind "#!"; else NULL */
	struct elf_ident ident;
	enum elf_linkage linkage;
	uint64_t flags_1;
	uint32_t imports;
	uint64_t rules; /* bit N: is the caller of rule N (dlopen.h) */
	struct atom *interpreter, *soname, *rpath, *runpath; /* NULL when absent */
	struct atom *audit, *depaudit;
	struct library_request *requests;
	size_t request_count;
	struct library_need *needs;
	struct library_version *needed_versions, *versions;
	size_t need_count, version_count;
	struct library_wish *wishes;
	size_t wish_count;
	/* Which of the program at hand it is (load.c), as with names in struct atom. */
	uint64_t generation;
	struct loaded *loaded;
};

/* Folders to search, in order; those that are not there are left out. */
struct folders {
	struct location **items;
	size_t count;
};

struct hwcaps;

/* A path as the loader would open it, and what it leads to. */
struct location {
	struct atom *path;
	struct node *node;   /* NULL: nothing is there */
	int error;           /* why not: positive errno */
	struct node **links; /* that lead to it */
	size_t link_count;
	struct object *object; /* NULL until it is read */
	/* Search paths as they stand for a library of this path ($ORIGIN), under these rules. */
	const struct hwcaps *expanded_for;
	struct folders rpath, runpath;
	/* Of a folder: bit N when folder N of these rules stands below it. */
	const struct hwcaps *subfolders_for;
	uint32_t subfolders;
	bool kept; /* in the closure already */
};

struct library_set {
	struct atoms atoms;
	struct root root;
	struct table objects;
	const struct elf_watch *watch;
};

/* @root is a folder of this machine; @watch is borrowed, and NULL when nothing that is dlopened
   matters. */
int library_set_open(struct library_set *ret_set, const char *root, const struct elf_watch *watch,
	struct caisson_error *err);
/* Finds out what @path leads to; ret_location->node is NULL when it leads nowhere. */
int library_locate(struct library_set *set, const char *path, struct location **ret_location,
	struct caisson_error *err);
/* Reads the file there, unless it is known. What is wrong with it is in its object; a negative
   return is for what cannot even be opened. */
int library_read(struct library_set *set, struct location *location, struct caisson_error *err);
/* Adds @path, a folder of the loader's; a relative one is left out, as it depends on where a
   program is started. */
int folders_add(struct library_set *set, struct folders *folders, const char *path,
	struct caisson_error *err);
void folders_done(struct folders *folders);
void library_set_done(struct library_set *set);
