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
	CLOSURE_DATA, /* made here, out of what was found: @data */
};

/* What a file is to whoever asked for it first. */
enum closure_role {
	CLOSURE_PROGRAM,
	CLOSURE_SCRIPT,      /* a program that another one reads: its interpreter comes along */
	CLOSURE_INTERPRETER, /* PT_INTERP */
	CLOSURE_LIBRARY,     /* searched for by its name */
	CLOSURE_FIXED,       /* a library that is asked for by its path */
	CLOSURE_PLUGIN,      /* dlopened by its path */
	CLOSURE_CONFIG,      /* read by the loader or a library */
};

/* One file or link that has to be there, under the very path that the loader will ask for. */
struct closure_entry {
	char *path; /* absolute inside the root, no link in its folders */
	enum closure_kind kind;
	enum closure_role role;
	char *target;  /* of a symlink, as it stands in the link */
	char *source;  /* of a file: where to read it on this machine */
	char *data;    /* of CLOSURE_DATA: @size bytes */
	mode_t mode;   /* permission bits */
	uint64_t size; /* of a file or data */
	/* Of a file: two entries of one file are hard links. */
	dev_t device;
	ino_t inode;
	char *wanted_by; /* path of the program or library that asked first; NULL for a program */
	/* How it was found: "program", "interpreter", "path", "rpath", "runpath", "ld.so.cache",
	   "default folder", "path file", "dlopen"; or "configuration" of the loader, which is
	   listed when it would not find a library without. */
	const char *rule;
};

/* A path that the kernel, the loader or a library will ask for, and the entry that it leads to. */
struct closure_name {
	const char *path; /* absolute; links may stand in it */
	const char *real; /* path of the file's entry */
	enum closure_role role;
};

enum closure_dlopen {
	CLOSURE_DLOPEN_NONE,
	CLOSURE_DLOPEN_REQUIRED, /* nothing works without (libgcc_s.so.1 for threads that end) */
	CLOSURE_DLOPEN_RECOMMENDED,
	CLOSURE_DLOPEN_ALL,
};

struct closure_options {
	const char *root; /* NULL: the running system */
	enum closure_dlopen dlopen;
};

struct closure;

/* The closure of no program is empty. */
int closure_new(struct closure **ret_closure, const struct closure_options *options,
	struct caisson_error *err);
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
/* The names of all entries that are files, in no order; owned by @closure. */
const struct closure_name *closure_names(struct closure *closure, size_t *ret_count);
void closure_free(struct closure *closure);
DEFINE_CLEANUP(struct closure *, closure_free);
