/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "boot/initramfs.h"
#include "boot/recipe.h"
#include "boot/tree.h"

/* Writes @tree into @fd as @recipe has it compressed, from the start and padded to 512 bytes. */
int initramfs_write(const struct archive *tree, const struct initramfs_recipe *recipe, int fd,
	const struct caisson_log *log, struct caisson_error *err);
