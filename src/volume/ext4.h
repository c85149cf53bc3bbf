/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an ext2, ext3 or ext4 superblock says of its filesystem's health. Pure; needs only libc. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>

#define EXT4_SUPERBLOCK_OFFSET 1024 /* on the device, bytes */
#define EXT4_SUPERBLOCK_SIZE   1024

/*
 * Whether e2fsck should run before a mount: not unmounted cleanly, errors seen, mounted too often,
 * or the superblock itself damaged. -EINVAL when this is no superblock at all.
 */
int ext4_needs_check(
	const void *superblock, size_t size, bool *ret_check, struct caisson_error *err);
