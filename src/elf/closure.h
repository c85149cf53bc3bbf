/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The closure of ELF programs: every file that they need in order to run, found by reading the
 * files and the loader's own configuration, as ld.so(8) would. Nothing of the target is run, so a
 * root of another architecture will do. Every path is relative to a root that symbolic links cannot
 * leave.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"

enum closure_kind {
	CLOSURE_FILE,
	CLOSURE_SYMLINK,
};

/* One file or link that has to be there, under the very path that the loader will ask for. */
struct closure_entry {
	char *path; /* absolute inside the root, no link in its folders */
	enum closure_kind kind;
	char *target;    /* of a symlink, as it stands in the link */
	char *source;    /* of a file: where to read it on this machine */
	mode_t mode;     /* permission bits */
	uint64_t size;   /* of a file */
	char *wanted_by; /* path of the program or library that asked first; NULL for a program */
	/* How it was found: "program", "interpreter", "path", "rpath", "runpath", "ld.so.cache",
	   "default folder", "path file", "dlopen"; or "configuration" of the loader, which is
	   listed when it would not find a library without. */
	const char *rule;
};

struct closure;

/* @root: NULL for the running system. The closure of no program is empty. */
int closure_new(struct closure **ret_closure, const char *root, struct caisson_error *err);
/* Adds the program at @path (inside the root; links in its name are followed and kept), its
   interpreter, and its shared objects, recursively, plus what is known to be dlopened (glibc's
   libgcc_s.so.1 with any program that can cancel a thread). A library that is missing is -ENOENT,
   naming the library and who wants it; a file that is no ELF (or broken) is -ENOEXEC; one that asks
   for more than any real program is -E2BIG. A failure adds nothing. */
int closure_add_program(struct closure *closure, const char *path, struct caisson_error *err);
/* Sorted by path; owned by @closure and valid until it changes. Folders are not listed. Where the
   path to a file runs through a symlinked folder (/lib -> usr/lib), the link is listed and the file
   stands at its real path. */
const struct closure_entry *closure_entries(struct closure *closure, size_t *ret_count);
void closure_free(struct closure *closure);
DEFINE_CLEANUP(struct closure *, closure_free);
