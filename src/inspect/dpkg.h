/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which Debian package a file is of, by its content: dpkg's own database is read (deb-md5sums(5)
 * and the configuration files in its status), dpkg is not run. The digests there only point to
 * candidates; the installed file has to be the same.
 */
#pragma once

#include <caisson/error.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct dpkg_package {
	char *name, *version, *architecture;
};

struct dpkg;

/* Of the system in @root ("" for this one). Without a database it is empty. */
int dpkg_open(struct dpkg **ret_dpkg, const char *root, struct caisson_error *err);
/* The package that installed the very same file, a file of the same path first; kernel modules may
   be compressed there. NULL when there is none, or it was changed since. */
int dpkg_find(struct dpkg *dpkg, const char *path, const uint8_t *data, size_t size,
	const struct dpkg_package **ret_package, struct caisson_error *err);
void dpkg_free(struct dpkg *dpkg);
DEFINE_CLEANUP(struct dpkg *, dpkg_free);
