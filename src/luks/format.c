/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A new container: its header is made in memory and written in one go. */
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>

#include "base/io.h"
#include "luks/container.h"
#include "luks/keyslots.h"

int luks_new_volume_key(size_t size, struct secret *ret_key, struct caisson_error *err)
{
	int r = secret_random(ret_key, size, err);

	/* XTS with equal halves is no XTS (IEEE 1619, FIPS 140-3 IG C.I): libraries refuse it. */
	if (r == 0 && memcmp(ret_key->data, ret_key->data + size / 2, size / 2) == 0) {
		secret_done(ret_key);
		return caisson_refuse(err, EIO, "the kernel's random generator repeats itself");
	}
	return r;
}

/* "aes-xts-plain64" in the two parts that libcryptsetup wants. */
int luks_split_cipher(const char *cipher, char *ret_name, size_t size, const char **ret_mode,
	struct caisson_error *err)
{
	const char *dash = strchr(cipher, '-');

	if (dash == NULL || dash == cipher || dash[1] == '\0' || (size_t)(dash - cipher) >= size ||
		strlen(cipher) >= sizeof(((struct luks_facts *)NULL)->cipher)) {
		caisson_refuse(err, EINVAL, "'%.64s' is no cipher", cipher);
		return caisson_hint(err, "it reads as in aes-xts-plain64");
	}
	memcpy(ret_name, cipher, (size_t)(dash - cipher));
	ret_name[dash - cipher] = '\0';
	*ret_mode = dash + 1;
	return 0;
}

void luks_new_uuid(char ret_uuid[static 40])
{
	uint8_t b[16];

	randombytes_buf(b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(ret_uuid, 40,
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		b[15]);
}

/* Makes the header in @path, a scratch file. */
static int make_header(const char *path, const struct luks_format_options *options,
	const struct secret *volume_key, struct luks_facts *facts, struct caisson_error *err)
{
	struct crypt_params_luks2 params = {
		.sector_size = options->sector_size, .label = options->label};
	_cleanup_luks_device_ struct luks_device device = LUKS_DEVICE_NONE;
	const char *key = (const char *)volume_key->data, *mode;
	struct crypt_pbkdf_type pbkdf;
	char cipher[64];
	int r = luks_split_cipher(options->cipher, cipher, sizeof(cipher), &mode, err);

	if (r == 0)
		r = luks_device_init(&device, path, err);
	if (r < 0)
		return r;
	luks_key_pbkdf(options->key, &pbkdf);
	params.pbkdf = &pbkdf;
	r = crypt_set_metadata_size(
		device.context, LUKS_FORMAT_METADATA_SIZE / 2, LUKS_FORMAT_KEYSLOTS_SIZE);
	if (r == 0)
		r = crypt_set_data_offset(device.context, LUKS_DATA_OFFSET / 512);
	if (r == 0)
		r = crypt_format(device.context, CRYPT_LUKS2, cipher, mode, options->uuid, key,
			volume_key->size, &params);
	if (r < 0)
		return luks_device_fail(&device, r, err, "make a LUKS2 header");
	r = luks_keyslot_add(&device, volume_key, options->key, 0, err);
	if (r < 0)
		return r;
	snprintf(facts->uuid, sizeof(facts->uuid), "%s", crypt_get_uuid(device.context));
	snprintf(facts->cipher, sizeof(facts->cipher), "%s", options->cipher);
	facts->key_size = (uint32_t)volume_key->size;
	facts->sector_size = options->sector_size;
	facts->data_offset = crypt_get_data_offset(device.context) * 512;
	return 0;
}

/* libcryptsetup writes a header piecemeal and syncs after each piece: it does so in memory, and
   what comes out goes to the disk in one go, with errors that say what happened (a full disk, say).
 */
static int write_header(int to, const struct luks_format_options *options,
	const struct secret *volume_key, struct luks_facts *facts, const char *what,
	struct caisson_error *err)
{
	_cleanup_close_ int scratch = memfd_create("luks-header", MFD_CLOEXEC);
	size_t size = LUKS_FORMAT_METADATA_SIZE + LUKS_FORMAT_KEYSLOTS_SIZE;
	char path[32];
	void *header;
	int r;

	if (scratch < 0 || ftruncate(scratch, LUKS_DATA_OFFSET + LUKS_SECTOR_SIZE) < 0)
		return caisson_fail(err, errno, "make room in memory for a LUKS2 header");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", scratch);
	r = make_header(path, options, volume_key, facts, err);
	if (r < 0)
		return r;
	header = mmap(NULL, size, PROT_READ, MAP_SHARED, scratch, 0);
	if (header == MAP_FAILED)
		return caisson_fail(err, errno, "read the new LUKS2 header");
	r = pwrite_all(to, header, size, 0, what, err);
	munmap(header, size);
	if (r < 0)
		return r;
	return luks_zero_range(to, size, LUKS_DATA_OFFSET - size, what, err);
}

int luks_format_check(const struct luks_format_options *options, struct caisson_error *err)
{
	uint32_t sector = options->sector_size;

	if (sector < 512 || sector > LUKS_SECTOR_SIZE || (sector & (sector - 1)) != 0)
		return caisson_refuse(err, EINVAL,
			"a sector has 512, 1024, 2048 or 4096 bytes, and not %u", sector);
	if (options->key_size < 16 || options->key_size > LUKS_VOLUME_KEY_SIZE ||
		options->key_size % 16 != 0)
		return caisson_refuse(err, EINVAL, "a volume key of %u bits is not supported",
			options->key_size * 8);
	return luks_key_check(options->key, err);
}

int luks_format(const char *path, const struct luks_format_options *options,
	struct luks_facts *ret_facts, struct secret *ret_volume_key, struct caisson_error *err)
{
	_cleanup_secret_ struct secret volume_key = SECRET_NONE;
	struct luks_facts facts = {0};
	_cleanup_close_ int fd = -1;
	uint64_t size = 0;
	int r = luks_format_check(options, err);

	if (r < 0)
		return r;
	fd = luks_open_sized(path, &size, err);
	if (fd < 0)
		return fd;
	if (size < LUKS_DATA_OFFSET + LUKS_SECTOR_SIZE)
		return caisson_refuse(err, EINVAL,
			"%s has %llu bytes: the LUKS2 header alone takes %u", path,
			(unsigned long long)size, LUKS_DATA_OFFSET);
	if (size % options->sector_size != 0)
		return caisson_refuse(err, EINVAL, "the size of %s is no multiple of %u", path,
			options->sector_size);
	r = luks_new_volume_key(options->key_size, &volume_key, err);
	if (r == 0)
		r = write_header(fd, options, &volume_key, &facts, path, err);
	if (r == 0 && options->key->kind == LUKS_KEY_MACHINE)
		r = luks_fingerprint(&volume_key, &options->key->secret, facts.fingerprint, err);
	if (r < 0)
		return r;
	*ret_facts = facts;
	*ret_volume_key = take_secret(&volume_key);
	return 0;
}
