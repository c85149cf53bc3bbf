/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a boot archive says about itself. */
#pragma once

#include <caisson/initramfs.h>

#include "inspect/rootfs.h"

int initramfs_inspect(int fd, const char *what, struct caisson_initramfs_info **ret_info,
	struct caisson_error *err);
void initramfs_info_free(struct caisson_initramfs_info *info);
/* Appends the releases that there are module folders for. */
void inspect_releases(const struct rootfs *root, struct strv *releases);
/* What the program at @path is, links followed: "program (static)", "script (/bin/sh)", ...; owned
   by the caller, NULL when memory runs out. */
char *inspect_program(struct rootfs *root, const char *path);
