/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ciphers of libcryptsetup's nettle backend, compiled with it in place of its own, which go to the
 * kernel (AF_ALG). What keyslots are encrypted with, AES in XTS mode, nettle can do in this
 * process: the guest needs no module for it, and no socket family more that a workload could reach.
 * What nettle does not have is -ENOTSUP, which crypt_cipher_init() may say.
 */
#include <errno.h>
#include <nettle/xts.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "crypto_backend_internal.h"

struct crypt_cipher {
	bool wide; /* AES-256 */
	union {
		struct xts_aes128_key aes128;
		struct xts_aes256_key aes256;
	} encrypt, decrypt;
};

int crypt_cipher_init(struct crypt_cipher **ctx, const char *name, const char *mode,
	const void *key, size_t key_length)
{
	struct crypt_cipher *cipher;

	if (strcmp(name, "aes") != 0 || strcmp(mode, "xts") != 0 ||
		(key_length != 2 * AES128_KEY_SIZE && key_length != 2 * AES256_KEY_SIZE))
		return -ENOTSUP;
	/* As the kernel does in FIPS mode: with equal halves XTS is none (IEEE 1619). */
	if (memcmp(key, (const char *)key + key_length / 2, key_length / 2) == 0)
		return -EINVAL;
	cipher = calloc(1, sizeof(*cipher));
	if (cipher == NULL)
		return -ENOMEM;
	cipher->wide = key_length == 2 * AES256_KEY_SIZE;
	if (cipher->wide) {
		xts_aes256_set_encrypt_key(&cipher->encrypt.aes256, key);
		xts_aes256_set_decrypt_key(&cipher->decrypt.aes256, key);
	} else {
		xts_aes128_set_encrypt_key(&cipher->encrypt.aes128, key);
		xts_aes128_set_decrypt_key(&cipher->decrypt.aes128, key);
	}
	*ctx = cipher;
	return 0;
}

void crypt_cipher_destroy(struct crypt_cipher *ctx)
{
	explicit_bzero(ctx, sizeof(*ctx));
	free(ctx);
}

static bool fits(size_t length, const char *iv, size_t iv_length)
{
	return length >= XTS_BLOCK_SIZE && iv != NULL && iv_length == XTS_BLOCK_SIZE;
}

int crypt_cipher_encrypt(struct crypt_cipher *ctx, const char *in, char *out, size_t length,
	const char *iv, size_t iv_length)
{
	if (!fits(length, iv, iv_length))
		return -EINVAL;
	if (ctx->wide)
		xts_aes256_encrypt_message(&ctx->encrypt.aes256, (const uint8_t *)iv, length,
			(uint8_t *)out, (const uint8_t *)in);
	else
		xts_aes128_encrypt_message(&ctx->encrypt.aes128, (const uint8_t *)iv, length,
			(uint8_t *)out, (const uint8_t *)in);
	return 0;
}

int crypt_cipher_decrypt(struct crypt_cipher *ctx, const char *in, char *out, size_t length,
	const char *iv, size_t iv_length)
{
	if (!fits(length, iv, iv_length))
		return -EINVAL;
	if (ctx->wide)
		xts_aes256_decrypt_message(&ctx->decrypt.aes256, (const uint8_t *)iv, length,
			(uint8_t *)out, (const uint8_t *)in);
	else
		xts_aes128_decrypt_message(&ctx->decrypt.aes128, (const uint8_t *)iv, length,
			(uint8_t *)out, (const uint8_t *)in);
	return 0;
}

bool crypt_cipher_kernel_only(struct crypt_cipher *ctx)
{
	(void)ctx;
	return false;
}
