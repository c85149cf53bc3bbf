/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a bundle will hold: the closures of its programs, laid out. Each file knows the programs
 * that it is for, so that a later bundle knows what nothing needs any more.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"
#include "base/macros.h"
#include "base/strbuf.h"
#include "bundle/bundle.h"
#include "closure/closure.h"

struct view_node;

struct plan_file {
	char *path; /* absolute, inside the bundle */
	enum caisson_bundle_kind kind;
	enum closure_role role;
	char *target; /* of a symlink */
	char *data;   /* made here: @size bytes; else NULL */
	/* Where it is read: inside the root, and on this machine. NULL for links and data. */
	char *source, *open_path;
	dev_t device;
	ino_t inode;
	mode_t mode;
	uint64_t size, source_size;
	char sha256[DIGEST_HEX_SIZE], source_sha256[DIGEST_HEX_SIZE]; /* content.h */
	const char *rule;
	char *wanted_by;
	uint8_t *programs; /* one bit each, by its index */
	/* Where it stands, and what that means (place.h). */
	struct view_node *node; /* NULL: something there does its work */
	enum caisson_bundle_state state;
	bool owned;                        /* ours to replace and to remove */
	struct plan_file *link_to;         /* the same file by another name */
	const struct plan_file *proved_by; /* the loader (verify.c) */
};

/* A path that somebody will ask for, and the file that it has to lead to. */
struct plan_name {
	char *path;
	struct plan_file *file;
	size_t program;
};

struct plan_program {
	char *asked;  /* inside the root */
	char *starts; /* path to start it by, in the bundle */
	char *loader; /* path of its interpreter, or NULL */
	struct plan_file *file;
	struct plan_file *loader_file;
	bool known; /* @file is there */
};

struct plan {
	struct plan_file **files;
	size_t file_count, file_capacity;
	struct plan_name *names;
	size_t name_count, name_capacity;
	struct plan_program *programs;
	size_t program_count;
	enum caisson_bundle_layout layout;
	bool wrapper;
	struct strv left_out; /* features, see closure_left_out() */
};

#define PLAN_INIT ((struct plan){0})

/* The programs of @options, in its layout; files are sorted by path. What cannot be found is
   -ENOENT; what cannot be flat is -EEXIST. */
int plan_make(
	struct plan *ret_plan, const struct bundle_options *options, struct caisson_error *err);
/* The loader's cache, where a bundle needs one, serves all its programs: makes it anew for those of
   the plan and @others, as far as these can still be read. Tells whether there was anything to do.
 */
int plan_join(struct plan *plan, const struct closure_options *options, const char *const *others,
	size_t other_count, struct caisson_error *err);
void plan_done(struct plan *plan);

#define _cleanup_plan_ _cleanup_(plan_done)

/* For layouts. Adds a copy of @entry under @path for @program, or finds the same there. */
int plan_add_entry(struct plan *plan, const struct closure_entry *entry, const char *path,
	size_t program, struct plan_file **ret_file, struct caisson_error *err);
int plan_add_link(struct plan *plan, const char *path, const char *target, enum closure_role role,
	size_t program, struct plan_file **ret_file, struct caisson_error *err);
/* Takes ownership of @data, which may be NULL when memory ran out. */
int plan_add_data(struct plan *plan, const char *path, char *data, size_t size, mode_t mode,
	size_t program, struct plan_file **ret_file, struct caisson_error *err);
int plan_add_name(struct plan *plan, const char *path, struct plan_file *file, size_t program,
	struct caisson_error *err);
struct plan_file *plan_find(const struct plan *plan, const char *path);
void plan_sort(struct plan *plan);

/* Made of what all programs need. */
static inline bool plan_is_joint(const struct plan_file *file)
{
	return file->data != NULL && file->role == CLOSURE_CONFIG;
}

static inline void plan_mark(struct plan_file *file, size_t program)
{
	file->programs[program / 8] |= (uint8_t)(1u << (program % 8));
}

static inline bool plan_marked(const struct plan_file *file, size_t program)
{
	return (file->programs[program / 8] >> (program % 8)) & 1;
}

/* The closure of one program, laid out (flat.c). */
int plan_flat(
	struct plan *plan, struct closure *closure, size_t program, struct caisson_error *err);
/* The script that starts a program by its loader (wrapper.c); owned by the caller, NULL when memory
   runs out. @loader and @program are names in lib/ and libexec/. */
char *wrapper_script(const char *loader, const char *program, bool argv0);
