/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <caisson/error.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/cpio.h"

/*
 * Calls @entry for each entry of the archives in @data, one behind the other: plain ones,
 * compressed ones, zero bytes between. What is uncompressed is @most bytes in all. A negative value
 * of @entry ends the walk and is returned.
 */
int archive_walk(const uint8_t *data, size_t size, uint64_t most, const char *what,
	int (*entry)(const struct cpio_entry *entry, void *userdata), void *userdata,
	struct caisson_error *err);
/* The same of the archive in @fd. */
int initramfs_list(int fd, const char *what,
	int (*entry)(const struct cpio_entry *entry, void *userdata), void *userdata,
	struct caisson_error *err);
