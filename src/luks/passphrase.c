/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A container that a passphrase opens, made in place on the device that it will be on. */
#include <errno.h>

#include "luks/container.h"

static int add_passphrase(struct luks_device *device, const struct secret *passphrase,
	const struct luks_cost *cost, struct caisson_error *err)
{
	const struct crypt_pbkdf_type pbkdf = {
		.type = CRYPT_KDF_ARGON2ID,
		.hash = "sha256", /* of the digest and the anti-forensic stripes */
		.iterations = cost->iterations,
		.max_memory_kb = cost->memory_kib,
		.parallel_threads = cost->threads,
		.flags = CRYPT_PBKDF_NO_BENCHMARK,
	};
	struct crypt_params_luks2 params = {.pbkdf = &pbkdf, .sector_size = LUKS_SECTOR_SIZE};
	int r = crypt_set_data_offset(device->context, LUKS_DATA_OFFSET / 512);

	/* No volume key given: libcryptsetup makes one from the kernel's random generator. */
	if (r == 0)
		r = crypt_format(device->context, CRYPT_LUKS2, "aes", "xts-plain64", NULL, NULL,
			LUKS_VOLUME_KEY_SIZE, &params);
	if (r < 0)
		return luks_device_fail(device, r, err, "make a LUKS2 header");
	r = crypt_keyslot_add_by_volume_key(
		device->context, 0, NULL, 0, (const char *)passphrase->data, passphrase->size);
	if (r < 0)
		return luks_device_fail(device, r, err, "make a keyslot");
	return 0;
}

int luks_format_passphrase(const char *path, const struct secret *passphrase,
	const struct luks_cost *cost, struct caisson_error *err)
{
	_cleanup_luks_device_ struct luks_device device = LUKS_DEVICE_NONE;
	int r = luks_device_init(&device, path, err);

	return r < 0 ? r : add_passphrase(&device, passphrase, cost, err);
}

int luks_activate_passphrase(const char *path, const char *name, const struct secret *passphrase,
	struct caisson_error *err)
{
	_cleanup_luks_device_ struct luks_device device = LUKS_DEVICE_NONE;
	int r = luks_device_load(&device, path, err);

	if (r < 0)
		return r;
	luks_without_udev();
	r = crypt_activate_by_passphrase(device.context, name, CRYPT_ANY_SLOT,
		(const char *)passphrase->data, passphrase->size, CRYPT_ACTIVATE_IGNORE_PERSISTENT);
	if (r == -EPERM)
		return caisson_refuse(err, ENOKEY, "the passphrase does not open %s", path);
	if (r < 0)
		return luks_device_fail(&device, r, err, "open it through dm-crypt");
	return 0;
}
