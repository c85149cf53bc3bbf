/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a kernel's source comes from: a folder, which is used where it is and not written to; a tar
 * archive; or a Debian package with one ("apt:linux-source-6.1"). What is unpacked is kept in
 * STATE/kernel-sources/SHA256, by the SHA-256 of the archive.
 */
#pragma once

#include <caisson/error.h>
#include <caisson/log.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/state.h"
#include "kbuild/watch.h"

struct source_options {
	const char *source;  /* NULL: the newest linux-source package that is installed, or that
				of 6.1 */
	const char *version; /* "6.1" or "6.1.192"; NULL: any */
	const char *sha256;  /* what the archive must have; NULL: not known */
	/* "NAME=value" for apt, which may need a proxy; NULL-terminated, may be NULL. */
	const char *const *environment;
	const struct caisson_log *log;
	const struct kbuild_watch *watch;
};

struct kernel_source {
	char *folder;                 /* absolute */
	char *version;                /* "6.1.192", as its Makefile says */
	char *origin;                 /* the path, or the package, that it is from */
	char sha256[DIGEST_HEX_SIZE]; /* of the archive; "" for a folder */
	int64_t date;                 /* of the Makefile at the top, seconds since the epoch */
};

#define KERNEL_SOURCE_NONE ((struct kernel_source){NULL, NULL, NULL, "", 0})

int source_open(const struct state *state, const struct source_options *options,
	struct kernel_source *ret_source, struct caisson_error *err);
void source_done(struct kernel_source *source);

#define _cleanup_source_ _cleanup_(source_done)
