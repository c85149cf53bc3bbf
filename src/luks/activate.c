/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening a container for the kernel, in the guest: where there is no udev. */
#include <errno.h>
#include <libdevmapper.h>

#include "luks/container.h"

void luks_without_udev(void)
{
	dm_udev_set_sync_support(0);
	dm_udev_set_checking(0);
}

int luks_activate(const char *path, const char *name, const struct luks_facts *expected,
	const struct secret *machine_key, unsigned int flags, struct caisson_error *err)
{
	_cleanup_luks_device_ struct luks_device device = LUKS_DEVICE_NONE;
	_cleanup_secret_ struct secret volume_key = SECRET_NONE;
	/* What the header wants kept on (discards, say) is the host's wish, not ours. */
	uint32_t activation = CRYPT_ACTIVATE_IGNORE_PERSISTENT;
	int r = luks_device_load(&device, path, err);

	if (r == 0)
		r = luks_device_unlock(&device, path, expected, machine_key, &volume_key, err);
	if (r < 0)
		return r;
	if (flags & LUKS_DISCARD)
		activation |= CRYPT_ACTIVATE_ALLOW_DISCARDS;
	if (flags & LUKS_READ_ONLY)
		activation |= CRYPT_ACTIVATE_READONLY;
	luks_without_udev();
	/* The key goes to dm-crypt through the kernel's keyring where that can be done. */
	r = crypt_activate_by_volume_key(
		device.context, name, (const char *)volume_key.data, volume_key.size, activation);
	if (r < 0)
		return luks_device_fail(&device, r, err, "open it through dm-crypt");
	return 0;
}
