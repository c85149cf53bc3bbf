/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "boot/archive.h"
#include "boot/initramfs.h"
#include "boot/recipe.h"

/* Writes @archive into @fd as @recipe has it compressed, from the start. Nothing stands behind a
   compressed frame (zstd(1) would refuse it): whoever puts another archive there pads to 4 bytes.
 */
int initramfs_write(const struct archive *archive, const struct initramfs_recipe *recipe, int fd,
	const struct caisson_log *log, struct caisson_error *err);
