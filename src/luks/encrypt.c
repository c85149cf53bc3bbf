/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "luks/encrypt.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/io.h"
#include "base/macros.h"

#define CHUNK_SIZE (1u << 20)
#define UNIT_SIZE  512u /* what dm-crypt's plain64 IV counts, whatever the sector size */

DEFINE_CLEANUP(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_free);
#define _cleanup_context_ _cleanup_(EVP_CIPHER_CTX_freep)

static int openssl_refused(struct caisson_error *err, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	caisson_refuse(err, EIO, "OpenSSL cannot %s: %s", what,
		reason != NULL ? reason : "it does not say why");
	ERR_clear_error();
	return -EIO;
}

/* Expanding the key is the dear part: once a context, and then only the IV changes. */
static int xts_new(EVP_CIPHER_CTX **ret_context, const struct secret *key, uint32_t sector_size,
	bool encrypt, struct caisson_error *err)
{
	_cleanup_context_ EVP_CIPHER_CTX *context = NULL;
	size_t half = LUKS_XTS_KEY_SIZE / 2;

	if (key->size != LUKS_XTS_KEY_SIZE)
		return caisson_refuse(err, EINVAL,
			"aes-xts-plain64 takes a key of %u bytes, not %zu", LUKS_XTS_KEY_SIZE,
			key->size);
	if (memcmp(key->data, key->data + half, half) == 0)
		return caisson_refuse(err, EINVAL, "the two halves of a volume key are equal");
	if (sector_size < UNIT_SIZE || sector_size > 4096 || (sector_size & (sector_size - 1)) != 0)
		return caisson_refuse(
			err, EINVAL, "a sector of %u bytes is not supported", sector_size);
	context = EVP_CIPHER_CTX_new();
	if (context == NULL || EVP_CipherInit_ex(context, EVP_aes_256_xts(), NULL, key->data, NULL,
				       encrypt ? 1 : 0) != 1)
		return openssl_refused(err, "set up AES-256-XTS");
	*ret_context = take_ptr(context);
	return 0;
}

/* In place; @offset in the payload and @size are multiples of @sector_size. */
static int xts_run(EVP_CIPHER_CTX *context, uint32_t sector_size, uint64_t offset, uint8_t *data,
	size_t size, struct caisson_error *err)
{
	uint8_t iv[16] = {0};

	for (size_t done = 0; done < size; done += sector_size) {
		uint64_t unit = (offset + done) / UNIT_SIZE;
		int length = 0;

		for (int i = 0; i < 8; i++)
			iv[i] = (uint8_t)(unit >> 8 * i);
		if (EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, -1) != 1 ||
			EVP_CipherUpdate(context, data + done, &length, data + done,
				(int)sector_size) != 1 ||
			(uint32_t)length != sector_size)
			return openssl_refused(err, "run AES-256-XTS");
	}
	return 0;
}

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

static int encrypt_extent(EVP_CIPHER_CTX *context, int from, int to, uint64_t data_offset,
	uint32_t sector_size, const struct luks_extent *extent, uint8_t *buffer,
	struct caisson_error *err)
{
	uint64_t at = extent->offset, end = extent->offset + extent->length;

	while (at < end) {
		size_t size = MIN(end - at, (uint64_t)CHUNK_SIZE);
		int r = pread_all(from, buffer, size, at, "the plain image", err);

		if (r == 0)
			r = xts_run(context, sector_size, at, buffer, size, err);
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
	_cleanup_context_ EVP_CIPHER_CTX *context = NULL;
	_cleanup_free_ uint8_t *buffer = NULL;
	int r = xts_new(&context, volume_key, sector_size, true, err);

	if (r < 0)
		return r;
	buffer = aligned_alloc(4096, CHUNK_SIZE);
	if (buffer == NULL)
		return caisson_fail(err, ENOMEM, "encrypt");
	for (size_t i = 0; r == 0 && i < count; i++) {
		r = check_range(
			data_offset, sector_size, extents[i].offset, extents[i].length, err);
		if (r == 0)
			r = encrypt_extent(context, from, to, data_offset, sector_size, &extents[i],
				buffer, err);
	}
	return r;
}

int luks_decrypt(int from, uint64_t data_offset, uint32_t sector_size,
	const struct secret *volume_key, uint64_t offset, void *buffer, size_t size,
	struct caisson_error *err)
{
	_cleanup_context_ EVP_CIPHER_CTX *context = NULL;
	int r = xts_new(&context, volume_key, sector_size, false, err);

	if (r == 0)
		r = check_range(data_offset, sector_size, offset, size, err);
	if (r == 0)
		r = pread_all(from, buffer, size, data_offset + offset, "the container", err);
	return r < 0 ? r : xts_run(context, sector_size, offset, buffer, size, err);
}
