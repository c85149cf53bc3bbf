/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A container whose blocks have tags, so that a change of them is noticed: dm-integrity under
 * dm-crypt. */
#include <errno.h>
#include <string.h>

#include "luks/container.h"
#include "luks/keyslots.h"

#define WIPE_BLOCK (1u << 20)

static int tag_key_size(const char *integrity, size_t *ret_size, struct caisson_error *err)
{
	if (strcmp(integrity, "hmac(sha256)") == 0)
		*ret_size = 32;
	else if (strcmp(integrity, "hmac(sha512)") == 0)
		*ret_size = 64;
	else
		return caisson_refuse(
			err, EINVAL, "'%.32s' is no kind of integrity tags", integrity);
	return 0;
}

static int format(struct luks_device *device, const struct luks_format_options *options,
	const char *integrity, const struct secret *volume_key, struct caisson_error *err)
{
	struct crypt_params_luks2 params = {.sector_size = options->sector_size,
		.label = options->label,
		.integrity = integrity};
	struct crypt_pbkdf_type pbkdf;
	const char *mode;
	char cipher[64];
	int r = luks_split_cipher(options->cipher, cipher, sizeof(cipher), &mode, err);

	if (r < 0)
		return r;
	luks_key_pbkdf(options->key, &pbkdf);
	params.pbkdf = &pbkdf;
	r = crypt_set_metadata_size(
		device->context, LUKS_FORMAT_METADATA_SIZE / 2, LUKS_FORMAT_KEYSLOTS_SIZE);
	if (r == 0)
		r = crypt_set_data_offset(device->context, LUKS_DATA_OFFSET / 512);
	if (r == 0)
		r = crypt_format(device->context, CRYPT_LUKS2, cipher, mode, options->uuid,
			(const char *)volume_key->data, volume_key->size, &params);
	if (r < 0)
		return luks_device_fail(device, r, err, "make a container with integrity tags");
	r = luks_keyslot_add(device, volume_key, options->key, 0, err);
	return r < 0 ? r : 0;
}

/* What has no tag cannot be read: every block gets one. */
static int write_tags(struct luks_device *device, const char *mapping,
	const struct secret *volume_key, struct caisson_error *err)
{
	char name[128], path[160];
	int r;

	snprintf(name, sizeof(name), "%s" LUKS_WIPE_SUFFIX, mapping);
	snprintf(path, sizeof(path), "/dev/mapper/%s", name);
	r = crypt_activate_by_volume_key(device->context, name, (const char *)volume_key->data,
		volume_key->size, CRYPT_ACTIVATE_PRIVATE | CRYPT_ACTIVATE_NO_JOURNAL);

	if (r < 0)
		return luks_device_fail(device, r, err, "open it to write its tags");
	r = crypt_wipe(device->context, path, CRYPT_WIPE_ZERO, 0, 0, WIPE_BLOCK, 0, NULL, NULL);
	if (r < 0)
		r = luks_device_fail(device, r, err, "write its tags");
	if (crypt_deactivate(device->context, name) < 0 && r == 0)
		r = caisson_refuse(err, EBUSY, "%s cannot be closed", path);
	return r;
}

int luks_format_integrity(const char *path, const struct luks_format_options *options,
	const char *integrity, const char *mapping, struct luks_facts *ret_facts,
	struct secret *ret_volume_key, struct caisson_error *err)
{
	_cleanup_luks_device_ struct luks_device device = LUKS_DEVICE_NONE;
	_cleanup_secret_ struct secret volume_key = SECRET_NONE;
	struct luks_facts facts = {.sector_size = options->sector_size};
	size_t tag_key = 0;
	int r = luks_format_check(options, err);

	if (r == 0)
		r = tag_key_size(integrity, &tag_key, err);
	if (r == 0)
		r = luks_new_volume_key(options->key_size + tag_key, &volume_key, err);
	if (r == 0)
		r = luks_device_init(&device, path, err);
	if (r < 0)
		return r;
	luks_without_udev();
	r = format(&device, options, integrity, &volume_key, err);
	if (r == 0)
		r = write_tags(&device, mapping, &volume_key, err);
	if (r == 0 && options->key->kind == LUKS_KEY_MACHINE)
		r = luks_fingerprint(&volume_key, &options->key->secret, facts.fingerprint, err);
	if (r < 0)
		return r;
	snprintf(facts.uuid, sizeof(facts.uuid), "%s", crypt_get_uuid(device.context));
	snprintf(facts.cipher, sizeof(facts.cipher), "%s;%s", options->cipher, integrity);
	facts.key_size = (uint32_t)volume_key.size;
	facts.data_offset = crypt_get_data_offset(device.context) * 512;
	*ret_facts = facts;
	*ret_volume_key = take_secret(&volume_key);
	return 0;
}
