/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Encrypting a payload offline, as dm-crypt's aes-xts-plain64 would have written it. */
#pragma once

#include <caisson/error.h>
#include <stdint.h>

#include "base/secret.h"

#define LUKS_XTS_KEY_SIZE 64u /* AES-256, twice */

struct luks_extent {
	uint64_t offset, length; /* bytes in the plain image, multiples of the sector size */
};

/*
 * Reads @extents of @from, encrypts them with the 64-byte @volume_key and writes them to @to at
 * @data_offset + their offset. The IV counts 512-byte units whatever @sector_size is (dm-crypt
 * without iv_large_sectors, as LUKS2 does).
 */
int luks_encrypt_extents(int from, int to, uint64_t data_offset, uint32_t sector_size,
	const struct secret *volume_key, const struct luks_extent *extents, size_t count,
	struct caisson_error *err);
/* The reverse of one extent, into @buffer: for tests and for looking into a volume offline. */
int luks_decrypt(int from, uint64_t data_offset, uint32_t sector_size,
	const struct secret *volume_key, uint64_t offset, void *buffer, size_t size,
	struct caisson_error *err);
