/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A dynamic loader (PT_INTERP) of one root: which libc's rules it follows, and the folders that it
 * searches by itself.
 *
 * glibc's folders are compiled into the loader, and distributions differ (Debian's multiarch
 * folders, /lib64 elsewhere, /lib32 for Debian's i386 loader on amd64): they are read from the
 * loader's own bytes. /etc/ld.so.conf is not read: ldconfig(8) reads it, and puts what it finds
 * there into the cache; the loader knows the cache alone.
 *
 * musl's stand in /etc/ld-musl-ARCH.path, else they are /lib:/usr/local/lib:/usr/lib.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>

#include "base/strbuf.h"
#include "closure/hwcaps.h"
#include "closure/library.h"
#include "closure/machine.h"

enum { LOADER_CHOICES_MOST = 6 };

enum loader_kind {
	LOADER_GLIBC,
	LOADER_MUSL,
};

struct loader {
	enum loader_kind kind;
	const struct machine *machine;
	struct atom *name;          /* PT_INTERP; NULL for what has none */
	struct location *location;  /* NULL with @name */
	struct strv folders;        /* its own; without a slash at the end */
	struct folders places;      /* those of them that are there */
	char *lib;                  /* $LIB */
	struct location *path_file; /* musl's, or NULL */
	unsigned int minor;         /* glibc 2.N; 0: unknown */
	bool has_levels;            /* knows glibc-hwcaps */
	/* Each as one choice would have it. */
	struct hwcaps hwcaps[LOADER_CHOICES_MOST];
	size_t hwcaps_count;
};

/* @location is the interpreter's place, read already; NULL when @ident's file names no interpreter:
   the rules of its machine's glibc then. */
int loader_new(struct loader **ret_loader, struct library_set *set, const struct elf_ident *ident,
	struct atom *name, struct location *location, struct caisson_error *err);
/* Adds the rules of one more choice; at most LOADER_CHOICES_MOST. */
void loader_choose(struct loader *loader, const struct hwcaps_choice *choice);
void loader_free(struct loader *loader);
DEFINE_CLEANUP(struct loader *, loader_free);

/* The folders in a loader's bytes, in order; none when they cannot be made out. */
void loader_scan_folders(const char *data, size_t size, struct strv *folders);
/* N of "release version 2.N" in a loader's bytes, or 0. */
unsigned int loader_scan_version(const char *data, size_t size);
