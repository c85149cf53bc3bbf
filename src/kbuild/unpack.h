/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A kernel's source out of a tar archive, compressed or not, and files out of a Debian package.
 *
 * Archives are strangers': nothing is written, or leads, outside of the folder; there are no
 * devices, and no mode bits beyond those of ordinary files; how much may come out has a bound.
 */
#pragma once

#include <caisson/error.h>
#include <stdint.h>

#include "base/digest.h"
#include "kbuild/watch.h"

struct unpacked {
	uint64_t entries;
	uint64_t size;                /* bytes of all files */
	char sha256[DIGEST_HEX_SIZE]; /* of the archive as it was read */
};

/* What @fd holds, without the one folder that all of it stands in, into the empty folder @root.
   -EBADMSG for what is no tar archive, is damaged, or tries to leave the folder. */
int unpack_source(int fd, const char *what, int root, const struct kbuild_watch *watch,
	struct unpacked *ret_unpacked, struct caisson_error *err);
/* The one file of the Debian package in @fd (deb(5)) whose name is @name, with or without "./" in
   front, to @to. -ENOENT: it has none. */
int unpack_package_file(
	int fd, const char *what, const char *name, int to, struct caisson_error *err);
