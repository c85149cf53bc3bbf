/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* POSIX ACLs of an archive's entry; inside filesystem/ only. */
#pragma once

#include <archive_entry.h>
#include <sys/types.h>

#include "filesystem/fill_xattrs.h"

/* Adds them to @xattrs, as getxattr(2) would give them. @mode gets the mask for its group's bits,
   as chmod(2) sees it. Names of users and groups without a number are this host's. */
int fill_read_acls(struct archive_entry *entry, struct fill_xattrs *xattrs, mode_t *mode,
	struct caisson_error *err);
