/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "luks/encrypt.h"

#include <errno.h>
#include <limits.h>

#include "base/io.h"
#include "base/macros.h"
#include "luks/cipher.h"

#define CHUNK_SIZE (1u << 20)
#define CIPHER     "aes-xts-plain64"

/* Both the plain and the encrypted range must be addressable, and whole sectors. */
static int check_range(uint64_t data_offset, uint32_t sector_size, uint64_t offset, uint64_t length,
	struct caisson_error *err)
{
	uint64_t end;

	if (offset % sector_size != 0 || length % sector_size != 0)
		return caisson_refuse(err, EINVAL, "a range to encrypt is not of whole sectors");
	if (__builtin_add_overflow(offset, length, &end) ||
		__builtin_add_overflow(end, data_offset, &end) || end > INT64_MAX)
		return caisson_refuse(err, EOVERFLOW, "a range to encrypt is too far out");
	return 0;
}

static int encrypt_extent(struct luks_cipher_run *run, int from, int to, uint64_t data_offset,
	const struct luks_extent *extent, uint8_t *buffer, struct caisson_error *err)
{
	uint64_t at = extent->offset, end = extent->offset + extent->length;

	while (at < end) {
		size_t size = MIN(end - at, (uint64_t)CHUNK_SIZE);
		int r = pread_all(from, buffer, size, at, "the plain image", err);

		if (r == 0)
			r = luks_cipher_run(run, at, buffer, size, err);
		if (r == 0)
			r = pwrite_all(to, buffer, size, data_offset + at, "the container", err);
		if (r < 0)
			return r;
		at += size;
	}
	return 0;
}

int luks_encrypt_extents(int from, int to, uint64_t data_offset, uint32_t sector_size,
	const struct secret *volume_key, const struct luks_extent *extents, size_t count,
	struct caisson_error *err)
{
	_cleanup_(luks_cipher_run_freep) struct luks_cipher_run *run = NULL;
	_cleanup_(luks_cipher_freep) struct luks_cipher *cipher = NULL;
	_cleanup_free_ uint8_t *buffer = NULL;
	int r = luks_cipher_new(CIPHER, sector_size, volume_key, &cipher, err);

	if (r == 0)
		r = luks_cipher_run_new(cipher, true, &run, err);
	if (r < 0)
		return r;
	buffer = aligned_alloc(4096, CHUNK_SIZE);
	if (buffer == NULL)
		return caisson_fail(err, ENOMEM, "encrypt");
	for (size_t i = 0; r == 0 && i < count; i++) {
		r = check_range(
			data_offset, sector_size, extents[i].offset, extents[i].length, err);
		if (r == 0)
			r = encrypt_extent(run, from, to, data_offset, &extents[i], buffer, err);
	}
	return r;
}

int luks_decrypt(int from, uint64_t data_offset, uint32_t sector_size,
	const struct secret *volume_key, uint64_t offset, void *buffer, size_t size,
	struct caisson_error *err)
{
	_cleanup_(luks_cipher_run_freep) struct luks_cipher_run *run = NULL;
	_cleanup_(luks_cipher_freep) struct luks_cipher *cipher = NULL;
	int r = luks_cipher_new(CIPHER, sector_size, volume_key, &cipher, err);

	if (r == 0)
		r = check_range(data_offset, sector_size, offset, size, err);
	if (r == 0)
		r = pread_all(from, buffer, size, data_offset + offset, "the container", err);
	if (r == 0)
		r = luks_cipher_run_new(cipher, false, &run, err);
	return r < 0 ? r : luks_cipher_run(run, offset, buffer, size, err);
}
