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

#include "elf/reader.h"
#include "elf/root.h"
#include "elf/table.h"

struct library_request {
	enum elf_request_kind kind;
	struct atom *name;
};

/* An ELF file, by device and inode. */
struct object {
	dev_t device;
	ino_t inode;
	/* What is wrong with it; NULL when it can be loaded. */
	struct caisson_error *failure;
	bool is_elf; /* @ident holds, even when the rest is broken */
	struct elf_ident ident;
	enum elf_linkage linkage;
	uint64_t flags_1;
	uint32_t imports;
	struct atom *interpreter, *soname, *rpath, *runpath; /* NULL when absent */
	struct library_request *requests;
	size_t request_count;
	/* Which of the program at hand it is (load.c), as with names in struct atom. */
	uint64_t generation;
	struct loaded *loaded;
};

/* The folders of a DT_RPATH or DT_RUNPATH, tokens replaced, in order. */
struct folders {
	struct atom **items;
	size_t count;
};

struct loader;

/* A path as the loader would open it, and what it leads to. */
struct location {
	struct atom *path;
	struct node *node;   /* NULL: nothing is there */
	int error;           /* why not: positive errno */
	struct node **links; /* that lead to it */
	size_t link_count;
	struct object *object; /* NULL until it is read */
	/* Search paths as they stand for a library of this path ($ORIGIN), under these rules. */
	const struct loader *expanded_for;
	struct folders rpath, runpath;
	bool kept; /* in the closure already */
};

struct library_set {
	struct atoms atoms;
	struct root root;
	struct table objects;
	struct elf_watch watch;
};

/* @root is a folder of this machine; @watch is borrowed. */
int library_set_open(struct library_set *ret_set, const char *root, const struct elf_watch *watch,
	struct caisson_error *err);
/* Finds out what @path leads to; ret_location->node is NULL when it leads nowhere. */
int library_locate(struct library_set *set, const char *path, struct location **ret_location,
	struct caisson_error *err);
/* Reads the file there, unless it is known. What is wrong with it is in its object; a negative
   return is for what cannot even be opened. */
int library_read(struct library_set *set, struct location *location, struct caisson_error *err);
void folders_done(struct folders *folders);
void library_set_done(struct library_set *set);
