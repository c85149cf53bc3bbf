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
#include "elf/cache.h"
#include "elf/library.h"
#include "elf/machine.h"

enum loader_kind {
	LOADER_GLIBC,
	LOADER_MUSL,
};

struct loader {
	enum loader_kind kind;
	const struct machine *machine;
	struct atom *name;          /* PT_INTERP; NULL for what has none */
	struct location *location;  /* NULL with @name */
	struct strv folders;        /* without a slash at the end */
	char *lib;                  /* $LIB */
	const char *platform;       /* $PLATFORM */
	struct location *path_file; /* musl's, or NULL */
};

/* @location is the interpreter's place, read already; NULL when @ident's file names no interpreter:
   the rules of its machine's glibc then. */
int loader_new(struct loader **ret_loader, struct library_set *set, const struct elf_ident *ident,
	struct atom *name, struct location *location, struct caisson_error *err);
void loader_free(struct loader *loader);
DEFINE_CLEANUP(struct loader *, loader_free);

/* The folders in a loader's bytes, in order; none when they cannot be made out. */
void loader_scan_folders(const char *data, size_t size, struct strv *folders);
