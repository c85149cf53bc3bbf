/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "boot/archive.h"
#include "boot/initramfs.h"
#include "boot/recipe.h"

/*
 * Writes @archive into @fd as @recipe has it compressed, from the start; a file of which that fails
 * is left empty. Nothing stands behind a compressed frame (zstd(1) would refuse it): whoever puts
 * another archive there pads to 4 bytes, and behind lz4, whose frame has no end of its own, to 4
 * bytes with a zero word at least.
 */
int initramfs_write(const struct archive *archive, const struct initramfs_recipe *recipe, int fd,
	const struct caisson_log *log, struct caisson_error *err);
/* The archive with microcode alone, which has to stand in front of all others. */
int initramfs_write_microcode(const struct initramfs_microcode *microcode, uint32_t time,
	struct sink sink, struct caisson_error *err);
