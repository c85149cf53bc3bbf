/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unpacking a boot archive into a folder, so that nothing in it reaches out of there. */
#pragma once

#include <caisson/initramfs.h>
#include <caisson/log.h>

#include "inspect/rootfs.h"

int initramfs_extract(int fd, const char *what,
	const struct caisson_initramfs_extract_options *options, const struct caisson_log *log,
	struct caisson_error *err);
/* Into the folder @fd, which is empty. @wanted: which entries; NULL: all. Leaves the number of
   devices, FIFOs and sockets that were passed over in *ret_skipped. */
int extract_root(const struct rootfs *root, int fd, const char *what, const bool *wanted,
	bool same_permissions, size_t *ret_skipped, struct caisson_error *err);
