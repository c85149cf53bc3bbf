/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "luks/cipher.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#define CIPHER_NAME "aes-xts-plain64"
#define UNIT_SIZE   512u /* what dm-crypt's plain64 IV counts, whatever the sector size */
#define SECTOR_MOST 4096u

struct luks_cipher {
	const EVP_CIPHER *(*algorithm)(void);
	uint32_t sector_size;
	struct secret key;
};

struct luks_cipher_run {
	EVP_CIPHER_CTX *context;
	uint32_t sector_size;
};

/* XTS takes two keys of the same size, one behind the other. */
static const EVP_CIPHER *(*algorithm_of(size_t key_size))(void)
{
	if (key_size == 32)
		return EVP_aes_128_xts;
	return key_size == 64 ? EVP_aes_256_xts : NULL;
}

bool luks_cipher_known(const char *name, size_t key_size)
{
	return strcmp(name, CIPHER_NAME) == 0 && algorithm_of(key_size) != NULL;
}

static int openssl_refused(struct caisson_error *err, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	caisson_refuse(err, EIO, "OpenSSL cannot %s: %s", what,
		reason != NULL ? reason : "it does not say why");
	ERR_clear_error();
	return -EIO;
}

static int check_key(const char *name, const struct secret *key, struct caisson_error *err)
{
	size_t half = key->size / 2;

	if (strcmp(name, CIPHER_NAME) != 0)
		return caisson_refuse(err, ENOTSUP,
			"the cipher '%s' needs the kernel: without it, there is " CIPHER_NAME,
			name);
	if (algorithm_of(key->size) == NULL)
		return caisson_refuse(err, ENOTSUP,
			CIPHER_NAME " takes a key of 32 or 64 bytes, not %zu", key->size);
	if (CRYPTO_memcmp(key->data, key->data + half, half) == 0)
		return caisson_refuse(err, EINVAL, "the two halves of a volume key are equal");
	return 0;
}

int luks_cipher_new(const char *name, uint32_t sector_size, const struct secret *volume_key,
	struct luks_cipher **ret_cipher, struct caisson_error *err)
{
	_cleanup_(luks_cipher_freep) struct luks_cipher *cipher = NULL;
	int r = check_key(name, volume_key, err);

	if (r < 0)
		return r;
	if (sector_size < UNIT_SIZE || sector_size > SECTOR_MOST ||
		(sector_size & (sector_size - 1)) != 0)
		return caisson_refuse(
			err, EINVAL, "a sector of %u bytes is not supported", sector_size);
	cipher = calloc(1, sizeof(*cipher));
	if (cipher == NULL)
		return caisson_fail(err, ENOMEM, "set up " CIPHER_NAME);
	cipher->algorithm = algorithm_of(volume_key->size);
	cipher->sector_size = sector_size;
	r = secret_copy(&cipher->key, volume_key->data, volume_key->size, err);
	if (r < 0)
		return r;
	*ret_cipher = take_ptr(cipher);
	return 0;
}

void luks_cipher_free(struct luks_cipher *cipher)
{
	if (cipher != NULL)
		secret_done(&cipher->key);
	free(cipher);
}

uint32_t luks_cipher_sector_size(const struct luks_cipher *cipher)
{
	return cipher->sector_size;
}

/* Expanding the key is the dear part: once a run, and then only the IV changes. */
int luks_cipher_run_new(const struct luks_cipher *cipher, bool encrypt,
	struct luks_cipher_run **ret_run, struct caisson_error *err)
{
	_cleanup_(luks_cipher_run_freep) struct luks_cipher_run *run = calloc(1, sizeof(*run));

	if (run == NULL)
		return caisson_fail(err, ENOMEM, "set up " CIPHER_NAME);
	run->sector_size = cipher->sector_size;
	run->context = EVP_CIPHER_CTX_new();
	if (run->context == NULL || EVP_CipherInit_ex(run->context, cipher->algorithm(), NULL,
					    cipher->key.data, NULL, encrypt ? 1 : 0) != 1)
		return openssl_refused(err, "set up AES-XTS");
	*ret_run = take_ptr(run);
	return 0;
}

int luks_cipher_run(struct luks_cipher_run *run, uint64_t offset, void *data, size_t size,
	struct caisson_error *err)
{
	uint32_t sector_size = run->sector_size;
	uint8_t iv[16] = {0}, *at = data;

	if (offset % sector_size != 0 || size % sector_size != 0)
		return caisson_refuse(err, EINVAL, "a range to encrypt is not of whole sectors");
	for (size_t done = 0; done < size; done += sector_size, at += sector_size) {
		uint64_t unit = (offset + done) / UNIT_SIZE;
		int length = 0;

		for (int i = 0; i < 8; i++)
			iv[i] = (uint8_t)(unit >> 8 * i);
		if (EVP_CipherInit_ex(run->context, NULL, NULL, NULL, iv, -1) != 1 ||
			EVP_CipherUpdate(run->context, at, &length, at, (int)sector_size) != 1 ||
			(uint32_t)length != sector_size)
			return openssl_refused(err, "run AES-XTS");
	}
	return 0;
}

/* OpenSSL wipes the expanded key. */
void luks_cipher_run_free(struct luks_cipher_run *run)
{
	if (run != NULL)
		EVP_CIPHER_CTX_free(run->context);
	free(run);
}
