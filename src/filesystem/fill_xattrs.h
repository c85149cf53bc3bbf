/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extended attributes of one file, on their way; inside filesystem/ only. */
#pragma once

#include "filesystem/ext4_xattr.h"

#define FILL_XATTR_MOST (1u << 16) /* bytes of a value, as the kernel has it */

struct fill_xattrs {
	struct ext4_xattr *list; /* names and values are owned */
	size_t count, capacity;
};

#define FILL_XATTRS_NONE ((struct fill_xattrs){.list = NULL})

/* Copies both; the last value of a name counts, and names that ext4 does not know are left out. */
int fill_xattrs_add(struct fill_xattrs *xattrs, const char *name, const void *value, size_t size,
	struct caisson_error *err);
/* None are left; keeps the memory of the list. */
void fill_xattrs_clear(struct fill_xattrs *xattrs);
void fill_xattrs_done(struct fill_xattrs *xattrs);
