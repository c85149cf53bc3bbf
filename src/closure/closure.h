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
#include "base/strbuf.h"

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
	/* How it was found: "program", "interpreter", "path", "rpath", "runpath", "library path",
	   "ld.so.cache", "ld.so.conf", "default folder", "path file", "audit", "dlopen", "dlopen
	   note", "script"; "data" of a library; "configuration", of the loader when it would not
	   find a library without. */
	const char *rule;
};

enum closure_problem_kind {
	CLOSURE_MISSING, /* a library that is found nowhere */
	CLOSURE_BROKEN,  /* one that is found, and that the loader would refuse */
	CLOSURE_VERSION, /* one that lacks a symbol version */
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
	/* What LD_LIBRARY_PATH is to be; NULL: not set. */
	const char *library_path;
	/* Libraries for particular processors: "baseline" (or NULL: what runs on any), "host" (what
	   this machine's processor would get), "all", or a level such as "x86-64-v3". */
	const char *hwcaps;
	bool config;   /* configuration files of what is in the closure, too */
	bool tolerant; /* what is missing is told by the program's report, and is no error */
	bool report;   /* programs are reported (closure_programs()) */
};

enum closure_linkage {
	CLOSURE_STATIC,
	CLOSURE_STATIC_PIE,
	CLOSURE_DYNAMIC,
	CLOSURE_SHARED,
	CLOSURE_IS_SCRIPT,
};

enum closure_libc {
	CLOSURE_NO_LIBC, /* static, or not to be known */
	CLOSURE_GLIBC,
	CLOSURE_MUSL,
	CLOSURE_OTHER_LIBC,
};

#define CLOSURE_NONE SIZE_MAX /* an index of nothing */

/* One object of a program. Texts are the closure's, as in the structures below. */
struct closure_object {
	const char *name; /* as it was asked for first */
	const char *path; /* where it was found */
	const char *real; /* without links */
	uint64_t size;    /* bytes */
	const char *rule;
	size_t by; /* the object that asked first */
};

/* One request: a line of the tree. */
struct closure_use {
	size_t by;
	const char *name;
	size_t object; /* what answers; CLOSURE_NONE: nothing */
};

struct closure_problem {
	enum closure_problem_kind kind;
	const char *name;
	const char *wanted_by;
	struct caisson_error error;
};

struct closure_program {
	const char *path; /* as it was asked for */
	const char *real;
	const char *wanted_by; /* of a script's interpreter: the script */
	enum closure_linkage linkage;
	enum closure_libc libc;
	const char *machine; /* Debian's multiarch name, or "EM_..." by number */
	unsigned int bits;   /* 0 for a script, as @machine is NULL */
	bool big_endian;
	const char *interpreter;        /* NULL: none */
	struct closure_object *objects; /* in the order of loading, the program first */
	size_t object_count;
	struct closure_use *uses;
	size_t use_count;
	struct closure_problem *problems;
	size_t problem_count;
};

struct closure;

/* The closure of no program is empty. -EINVAL for a word in @options that is none. */
int closure_new(struct closure **ret_closure, const struct closure_options *options,
	struct caisson_error *err);
/* Adds the program, library or script at @path (inside the root; links in its name are followed and
   kept), its interpreter, and its shared objects, recursively, with what they dlopen. A library
   that is missing is -ENOENT, naming the library and who wants it; a file that is neither ELF nor
   script (or broken) is -ENOEXEC; one that asks for more than any real program is -E2BIG. A failure
   adds nothing. */
int closure_add_program(struct closure *closure, const char *path, struct caisson_error *err);
/* Sorted by path; owned by @closure and valid until it changes. Folders are not listed. Where the
   path to a file runs through a symlinked folder (/lib -> usr/lib), the link is listed and the file
   stands at its real path. NULL with a count above 0: memory ran out. */
const struct closure_entry *closure_entries(struct closure *closure, size_t *ret_count);
/* The names of all entries that are files, in no order; owned by @closure. */
const struct closure_name *closure_names(struct closure *closure, size_t *ret_count);
/* In the order in which they were added. */
const struct closure_program *closure_programs(struct closure *closure, size_t *ret_count);
/* Appends what the options kept out, as "FEATURE (recommended)", each once. */
void closure_left_out(const struct closure *closure, struct strv *features);
void closure_free(struct closure *closure);
DEFINE_CLEANUP(struct closure *, closure_free);
