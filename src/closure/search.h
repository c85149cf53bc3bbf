/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the loader finds a library that an object asks for.
 *
 * glibc (ld.so(8), elf/dl-load.c): a name with a slash is a path. Otherwise: DT_RPATH of the object
 * that asks and of those that asked for it, up to the program, unless the object that asks has a
 * DT_RUNPATH; LD_LIBRARY_PATH; that DT_RUNPATH, for its own requests alone; /etc/ld.so.cache; the
 * loader's own folders. In each folder, subfolders for the processor come first (hwcaps.h). What is
 * of another class or machine is passed over.
 *
 * musl (ldso/dynlink.c): LD_LIBRARY_PATH; DT_RUNPATH or DT_RPATH of the object and those that asked
 * for it; the folders of its path file. The first file of that name counts.
 *
 * A root without ld.so.cache is taken as if ldconfig(8) had run: the folders of ld.so.conf(5).
 *
 * Not followed: variables other than LD_LIBRARY_PATH, which counts only when it is given here;
 * /etc/ld.so.preload; folders relative to wherever the program is started from.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>

#include "closure/cache.h"
#include "closure/library.h"
#include "closure/loader.h"

/* An object in one program, as loaded there. */
struct loaded {
	struct location *location;
	struct object *object;
	struct loaded *requester; /* asked for it first; NULL for the program and its interpreter */
	/* The order of loading (load.c). */
	struct loaded *previous, *next;
	bool queued, processed;
	size_t index;            /* among the objects of the program */
	const char *rule;        /* by which it was found */
	const struct atom *name; /* by which it was asked for first */
};

struct search {
	struct library_set *set;
	const struct cache *cache;
	const struct folders *config; /* in place of a cache; else NULL */
	const char *library_path;     /* LD_LIBRARY_PATH; NULL: not set */
	struct folders library_folders;
	const struct loader *loader;
	const struct hwcaps *hwcaps;   /* one of the loader's */
	const struct elf_ident *ident; /* of the program */
	struct loaded *program;
	uint64_t steps; /* names that may still be tried */
	/* The loader's configuration is needed to find it again. */
	bool used_cache, used_folders;
	bool cut;   /* this search path ends here */
	bool unfit; /* the last search ended at a file that the loader would refuse */
};

/* Reads LD_LIBRARY_PATH for the program, which is set. */
int search_begin(struct search *search, struct caisson_error *err);

/* 1 and the place, with the rule by which it was found; 0 when the loader would not find it;
   negative for what the loader, too, would stop at (a broken library), and faults. */
int search_library(struct search *search, struct loaded *requester, const char *name,
	struct location **ret_location, const char **ret_rule, struct caisson_error *err);
/* Replaces the tokens of a DT_NEEDED; @path is empty when they cannot be. */
void search_expand(const struct search *search, const struct loaded *requester, const char *name,
	struct strbuf *path);
