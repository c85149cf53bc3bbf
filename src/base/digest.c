/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hex.h"

struct digest {
	EVP_MD_CTX *context;
};

int digest_new(struct digest **ret_digest, struct caisson_error *err)
{
	_cleanup_(digest_freep) struct digest *digest = calloc(1, sizeof(*digest));

	if (digest == NULL)
		return caisson_fail(err, ENOMEM, "compute a SHA-256");
	digest->context = EVP_MD_CTX_new();
	if (digest->context == NULL || !EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL))
		return caisson_refuse(err, EIO, "OpenSSL has no SHA-256");
	*ret_digest = take_ptr(digest);
	return 0;
}

int digest_add(struct digest *digest, const void *data, size_t size, struct caisson_error *err)
{
	if (!EVP_DigestUpdate(digest->context, data, size))
		return caisson_refuse(err, EIO, "OpenSSL's SHA-256 failed");
	return 0;
}

int digest_hex(
	struct digest *digest, char ret_hex[static DIGEST_HEX_SIZE], struct caisson_error *err)
{
	uint8_t raw[DIGEST_SIZE];

	if (!EVP_DigestFinal_ex(digest->context, raw, NULL))
		return caisson_refuse(err, EIO, "OpenSSL's SHA-256 failed");
	hex_encode(raw, sizeof(raw), ret_hex);
	return 0;
}

void digest_free(struct digest *digest)
{
	if (digest == NULL)
		return;
	EVP_MD_CTX_free(digest->context);
	free(digest);
}

int digest_of(const void *data, size_t size, char ret_hex[static DIGEST_HEX_SIZE],
	struct caisson_error *err)
{
	_cleanup_(digest_freep) struct digest *digest = NULL;
	int r = digest_new(&digest, err);

	if (r == 0)
		r = digest_add(digest, data, size, err);
	if (r == 0)
		r = digest_hex(digest, ret_hex, err);
	return r;
}

int digest_of_fd(
	int fd, const char *what, char ret_hex[static DIGEST_HEX_SIZE], struct caisson_error *err)
{
	enum { CHUNK = 1 << 18 };
	_cleanup_(digest_freep) struct digest *digest = NULL;
	_cleanup_free_ char *chunk = malloc(CHUNK);
	off_t offset = 0;
	int r;

	if (chunk == NULL)
		return caisson_fail(err, ENOMEM, "compute a SHA-256");
	r = digest_new(&digest, err);
	while (r == 0) {
		ssize_t n = pread(fd, chunk, CHUNK, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return caisson_fail(err, errno, "read %s", what);
		if (n == 0)
			return digest_hex(digest, ret_hex, err);
		r = digest_add(digest, chunk, (size_t)n, err);
		offset += n;
	}
	return r;
}
