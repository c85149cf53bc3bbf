/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "luks/mapping.h"

#include <errno.h>
#include <libdevmapper.h>
#include <string.h>

#include "luks/container.h"

/* What is mapped is what was looked at: the storage may show another header now. */
static int check_same(struct luks_device *context, const char *device,
	const struct luks_opened *opened, struct caisson_error *err)
{
	const char *uuid = crypt_get_uuid(context->context);
	struct luks_metadata metadata;
	char cipher[128];
	int r = luks_device_metadata(context, device, &metadata, err);

	if (r < 0)
		return r;
	luks_segment_cipher(&metadata.segment, cipher, sizeof(cipher));
	if (uuid == NULL || strcmp(uuid, opened->facts.uuid) != 0 ||
		strcmp(cipher, opened->facts.cipher) != 0 || metadata.segment_count != 1 ||
		metadata.segment.offset != opened->facts.data_offset ||
		metadata.segment.sector_size != opened->facts.sector_size)
		return caisson_refuse(err, EPERM, "the header of %s changes as it is read", device);
	return 0;
}

int luks_map(const char *device, const char *name, const struct luks_opened *opened,
	unsigned int flags, struct caisson_error *err)
{
	_cleanup_luks_device_ struct luks_device context = LUKS_DEVICE_NONE;
	uint32_t activation = CRYPT_ACTIVATE_IGNORE_PERSISTENT;
	int r = luks_device_load(&context, device, err);

	if (r == 0)
		r = check_same(&context, device, opened, err);
	if (r < 0)
		return r;
	if (flags & LUKS_DISCARD)
		activation |= CRYPT_ACTIVATE_ALLOW_DISCARDS;
	if (flags & LUKS_READ_ONLY)
		activation |= CRYPT_ACTIVATE_READONLY;
	luks_without_udev();
	r = crypt_activate_by_volume_key(context.context, name,
		(const char *)opened->volume_key.data, opened->volume_key.size, activation);
	return r < 0 ? luks_device_fail(&context, r, err, "open it through dm-crypt") : 0;
}

int luks_unmap(const char *name, enum luks_unmap_how how, struct caisson_error *err)
{
	uint32_t flags =
		how == LUKS_UNMAP_LATER ? CRYPT_DEACTIVATE_DEFERRED | CRYPT_DEACTIVATE_FORCE : 0;
	int r;

	luks_quiet();
	luks_without_udev();
	r = crypt_deactivate_by_name(NULL, name, flags);
	if (r == -ENODEV || r == -ENXIO)
		return 0;
	return r < 0 ? caisson_fail(err, r, "close /dev/mapper/%s", name) : 0;
}

DEFINE_CLEANUP(struct dm_task *, dm_task_destroy);

static int ask(int what, const char *name, struct dm_info *info, struct caisson_error *err)
{
	_cleanup_(dm_task_destroyp) struct dm_task *task = dm_task_create(what);

	if (task == NULL || !dm_task_set_name(task, name) || !dm_task_run(task) ||
		(info != NULL && !dm_task_get_info(task, info)))
		return caisson_refuse(err, EIO, "device-mapper does not answer of %s", name);
	return 0;
}

static void say_nothing(int level _unused_, const char *file _unused_, int line _unused_,
	int error _unused_, const char *format _unused_, ...)
{
}

int luks_map_sweep(const char *name, struct caisson_error *err)
{
	struct dm_info info = {0};
	int r;

	luks_without_udev();
	dm_log_with_errno_init(say_nothing);
	/* Whoever may not ask, in a container say, cannot have made one either. */
	if (ask(DM_DEVICE_INFO, name, &info, NULL) < 0 || !info.exists)
		return 0;
	if (info.live_table)
		return ask(DM_DEVICE_MKNODES, name, NULL, err);
	r = ask(DM_DEVICE_REMOVE, name, NULL, err);
	return r < 0 ? r : 1;
}

int luks_map_resize(const char *name, const struct luks_opened *opened, struct caisson_error *err)
{
	_cleanup_luks_device_ struct luks_device context = LUKS_DEVICE_NONE;
	int r;

	luks_quiet();
	luks_without_udev();
	r = crypt_init_by_name(&context.context, name);
	if (r < 0)
		return caisson_fail(err, r, "find /dev/mapper/%s", name);
	/* dm-crypt may have its key from the kernel's keyring: it must be there again. */
	r = crypt_activate_by_volume_key(context.context, NULL,
		(const char *)opened->volume_key.data, opened->volume_key.size,
		CRYPT_ACTIVATE_KEYRING_KEY);
	r = crypt_resize(context.context, name, 0);
	return r < 0 ? caisson_fail(err, r, "resize /dev/mapper/%s", name) : 0;
}
