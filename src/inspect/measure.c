/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/io.h"
#include "base/macros.h"
#include "inspect/snp.h"

enum { BANKS = 4, CHUNK = 1 << 18, FIRMWARE_MOST = 64 << 20, SHA256_SIZE = 32 };

static const char *const bank_names[BANKS] = {"sha1", "sha256", "sha384", "sha512"};

/* Digests of several kinds of the same bytes. */
struct banks {
	EVP_MD_CTX *contexts[BANKS];
	uint64_t size;
};

static void banks_done(struct banks *banks)
{
	for (size_t i = 0; i < BANKS; i++)
		EVP_MD_CTX_free(banks->contexts[i]);
}

static int no_digest(size_t bank, struct caisson_error *err)
{
	return caisson_refuse(err, EIO, "OpenSSL has no %s", bank_names[bank]);
}

static int banks_init(struct banks *banks, struct caisson_error *err)
{
	for (size_t i = 0; i < BANKS; i++) {
		banks->contexts[i] = EVP_MD_CTX_new();
		if (banks->contexts[i] == NULL ||
			!EVP_DigestInit_ex(
				banks->contexts[i], EVP_get_digestbyname(bank_names[i]), NULL))
			return no_digest(i, err);
	}
	return 0;
}

static int banks_add(struct banks *banks, const void *data, size_t size, struct caisson_error *err)
{
	for (size_t i = 0; i < BANKS; i++) {
		if (!EVP_DigestUpdate(banks->contexts[i], data, size))
			return no_digest(i, err);
	}
	banks->size += size;
	return 0;
}

static int add_file(struct banks *banks, const char *path, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(path, O_RDONLY | O_NONBLOCK, 0, err);
	_cleanup_free_ char *chunk = malloc(CHUNK);
	struct stat st;

	if (fd < 0)
		return fd;
	if (chunk == NULL)
		return caisson_fail(err, ENOMEM, "read %s", path);
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", path);
	if (!S_ISREG(st.st_mode))
		return caisson_refuse(err, EINVAL, "%s is not a regular file", path);
	for (;;) {
		ssize_t n = read(fd, chunk, CHUNK);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return caisson_fail(err, errno, "read %s", path);
		if (n == 0)
			return 0;
		r = banks_add(banks, chunk, (size_t)n, err);
		if (r < 0)
			return r;
	}
}

/* A PCR starts as zeros, and is extended to the hash of what it was and the digest. */
static int banks_finish(struct banks *banks, struct caisson_initramfs_measurement *to,
	uint8_t ret_sha256[static SHA256_SIZE], struct caisson_error *err)
{
	for (size_t i = 0; i < BANKS; i++) {
		const EVP_MD *md = EVP_get_digestbyname(bank_names[i]);
		uint8_t pair[2 * EVP_MAX_MD_SIZE] = {0}, extended[EVP_MAX_MD_SIZE];
		unsigned int size;

		if (!EVP_DigestFinal_ex(banks->contexts[i], pair + EVP_MD_size(md), &size) ||
			!EVP_Digest(pair, (size_t)2 * size, extended, NULL, md, NULL))
			return no_digest(i, err);
		to->banks[i].name = bank_names[i];
		hex_encode(pair + size, size, to->banks[i].digest);
		hex_encode(extended, size, to->banks[i].extended);
		if (size == SHA256_SIZE)
			memcpy(ret_sha256, pair + size, SHA256_SIZE);
	}
	to->size = banks->size;
	return 0;
}

static int sha256_of(const void *data, size_t size, uint8_t ret_digest[static SHA256_SIZE],
	struct caisson_error *err)
{
	return EVP_Digest(data, size, ret_digest, NULL, EVP_sha256(), NULL) ? 0 : no_digest(1, err);
}

static int sha256_of_file(
	const char *path, uint8_t ret_digest[static SHA256_SIZE], struct caisson_error *err)
{
	struct caisson_initramfs_measurement ignored;
	_cleanup_(banks_done) struct banks banks = {0};
	int r = banks_init(&banks, err);

	if (r == 0)
		r = add_file(&banks, path, err);
	return r < 0 ? r : banks_finish(&banks, &ignored, ret_digest, err);
}

/* Of the command line its final NUL counts, too. */
static int measure_sev(const struct caisson_initramfs_measure_options *options,
	const uint8_t initrd[static SHA256_SIZE], struct caisson_initramfs_measurement *to,
	uint8_t ret_table[static SEV_TABLE_SIZE], struct caisson_error *err)
{
	const char *cmdline = options->cmdline != NULL ? options->cmdline : "";
	uint8_t kernel[SHA256_SIZE], words[SHA256_SIZE], table[SHA256_SIZE];
	int r = sha256_of_file(options->kernel, kernel, err);

	if (r == 0)
		r = sha256_of(cmdline, strlen(cmdline) + 1, words, err);
	if (r < 0)
		return r;
	sev_table(kernel, initrd, words, ret_table);
	r = sha256_of(ret_table, SEV_TABLE_SIZE, table, err);
	if (r < 0)
		return r;
	hex_encode(kernel, SHA256_SIZE, to->sev_kernel);
	hex_encode(initrd, SHA256_SIZE, to->sev_initrd);
	hex_encode(words, SHA256_SIZE, to->sev_cmdline);
	hex_encode(table, SHA256_SIZE, to->sev_table);
	return 0;
}

static int measure_snp(const struct caisson_initramfs_measure_options *options,
	const uint8_t *table, struct caisson_initramfs_measurement *to, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf image = STRBUF_INIT;
	uint8_t digest[SNP_DIGEST_SIZE] = {0};
	struct snp_firmware firmware;
	int r;

	if (options->vcpus < 1 || options->vcpus > SNP_VCPUS_MOST)
		return caisson_refuse(err, EINVAL, "a machine has 1 to %d processors, not %u",
			SNP_VCPUS_MOST, options->vcpus);
	r = read_file(options->firmware, FIRMWARE_MOST, &image, err);
	if (r == 0)
		r = snp_firmware_read(
			(const uint8_t *)image.data, image.size, options->firmware, &firmware, err);
	if (r == 0)
		r = snp_add_firmware(digest, (const uint8_t *)image.data, image.size, err);
	if (r == 0)
		r = snp_add_rest(digest, &firmware, table, options->vcpus, options->vcpu_signature,
			options->guest_features != 0 ? options->guest_features : 1, err);
	if (r == 0)
		hex_encode(digest, sizeof(digest), to->snp_launch);
	return r;
}

int initramfs_measure(const char *const *paths,
	const struct caisson_initramfs_measure_options *options,
	struct caisson_initramfs_measurement *ret_measurement, struct caisson_error *err)
{
	_cleanup_(banks_done) struct banks banks = {0};
	struct caisson_initramfs_measurement measurement = {0};
	uint8_t initrd[SHA256_SIZE], table[SEV_TABLE_SIZE];
	int r = banks_init(&banks, err);

	for (; r == 0 && *paths != NULL; paths++)
		r = add_file(&banks, *paths, err);
	if (r == 0)
		r = banks_finish(&banks, &measurement, initrd, err);
	if (r == 0 && options->kernel != NULL)
		r = measure_sev(options, initrd, &measurement, table, err);
	if (r == 0 && options->firmware != NULL)
		r = measure_snp(options, options->kernel != NULL ? table : NULL, &measurement, err);
	if (r < 0)
		return r;
	*ret_measurement = measurement;
	return 0;
}
