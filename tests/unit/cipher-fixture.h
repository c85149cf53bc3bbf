/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ciphers, and one sector encrypted by another road than the library's. */
#pragma once

#include <openssl/evp.h>

#include "luks/cipher.h"
#include "test.h"

#define CIPHER_NAME      "aes-xts-plain64"
#define _cleanup_cipher_ _cleanup_(luks_cipher_freep)

static inline struct luks_cipher *random_cipher(
	uint32_t sector_size, size_t key_size, struct secret *ret_key)
{
	struct luks_cipher *cipher = NULL;
	struct caisson_error err = {0};

	assert_ok(secret_random(ret_key, key_size, &err), &err);
	assert_ok(luks_cipher_new(CIPHER_NAME, sector_size, ret_key, &cipher, &err), &err);
	return cipher;
}

/* A context of its own for each sector, the IV computed in another way. */
static inline void sector_alone(const struct secret *key, bool encrypt, uint32_t sector_size,
	uint64_t offset, const uint8_t *from, uint8_t *to)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	uint64_t units = offset >> 9;
	uint8_t iv[16] = {0};
	int length = 0;

	memcpy(iv, &units, sizeof(units)); /* the tests run on little-endian machines */
	assert_int_equal(
		EVP_CipherInit_ex(context, key->size == 64 ? EVP_aes_256_xts() : EVP_aes_128_xts(),
			NULL, key->data, iv, encrypt),
		1);
	assert_int_equal(EVP_CipherUpdate(context, to, &length, from, (int)sector_size), 1);
	EVP_CIPHER_CTX_free(context);
}

/* Bytes that differ from place to place. */
static inline uint8_t pattern(uint64_t at, uint32_t seed)
{
	return (uint8_t)((at * 2654435761u + seed) >> 13);
}
