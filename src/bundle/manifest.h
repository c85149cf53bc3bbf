/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is recorded of a bundle, in docs/bundle.md's format: its programs with how their closures
 * were found, and its files as they were written. It is read from a stranger's folder: a path that
 * climbs, a kind that is none and anything else that was not written by manifest_format() is
 * refused.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"
#include "base/strbuf.h"
#include "bundle/bundle.h"

#define MANIFEST_NAME ".caisson-bundle.json"
/* Of the bundle that is being made: what a run that was killed meant to write. */
#define MANIFEST_NEXT_NAME ".caisson-bundle.next"
/* A file that is being written, in whichever folder. */
#define MANIFEST_TEMPORARY ".caisson-bundle.new"

enum { MANIFEST_MOST = 64 << 20 };

struct manifest_program {
	char *path; /* inside the root */
	char *root; /* "/": the running system */
	enum closure_dlopen dlopen;
	char *library_path, *hwcaps; /* NULL: not given */
	bool with_config, strip;
	struct strv files; /* paths in the bundle */
};

struct manifest_file {
	char *path; /* absolute, in the bundle, without links in its folders */
	enum caisson_bundle_kind kind;
	bool owned; /* written by a bundle; else found there, and never to be touched */
	char *target;
	uint64_t size;
	mode_t mode;
	char sha256[DIGEST_HEX_SIZE];
	/* What it was read from; NULL for links and what was made. */
	char *source, *root;
	uint64_t source_size;
	char source_sha256[DIGEST_HEX_SIZE];
};

struct manifest {
	enum caisson_bundle_layout layout;
	bool wrapper;
	struct manifest_program *programs;
	size_t program_count;
	struct manifest_file *files; /* sorted by path */
	size_t file_count;
};

#define MANIFEST_NONE ((struct manifest){0})

int manifest_parse(const char *text, size_t size, const char *what, struct manifest *ret_manifest,
	struct caisson_error *err);
/* Appends to @text, which is empty. */
int manifest_format(
	const struct manifest *manifest, struct strbuf *text, struct caisson_error *err);
/* Among sorted files; NULL when there is none. */
const struct manifest_file *manifest_find(const struct manifest *manifest, const char *path);
/* They grow by one, zeroed, that the caller fills; NULL when memory runs out. */
struct manifest_program *manifest_add_program(struct manifest *manifest);
struct manifest_file *manifest_add_file(struct manifest *manifest);
void manifest_sort(struct manifest *manifest);
void manifest_done(struct manifest *manifest);

#define _cleanup_manifest_ _cleanup_(manifest_done)
