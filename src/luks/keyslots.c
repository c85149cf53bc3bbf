/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keyslots: what opens one, and which there are. */
#include "luks/keyslots.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/utf8.h"

/* Argon2id, four passes over 256 MiB (above RFC 9106's second choice, 64 MiB and three); a
   quarter of the memory of a small machine. Fixed, and not measured for so many seconds: the same
   passphrase costs an attacker the same wherever the volume was made. */
#define ARGON2_MEMORY_KIB (256u << 10)
#define ARGON2_PASSES     4u
#define ARGON2_THREADS    4u
#define KEY_LEAST_RANDOM  32 /* bytes of a key file that is taken for random */
#define RECOVERY_TOKEN    "systemd-recovery"

static unsigned int argon2_memory_kib(void)
{
	struct sysinfo info;
	unsigned long long most = ARGON2_MEMORY_KIB;

	if (sysinfo(&info) == 0)
		most = MIN(most, (unsigned long long)info.totalram * info.mem_unit / 1024 / 4);
	return (unsigned int)MAX(most, 32768ull);
}

void luks_key_pbkdf(const struct luks_key *key, struct crypt_pbkdf_type *ret_pbkdf)
{
	if (key->kind == LUKS_KEY_PASSPHRASE) {
		*ret_pbkdf = (struct crypt_pbkdf_type){
			.type = CRYPT_KDF_ARGON2ID,
			.hash = "sha256", /* of the digest and the anti-forensic stripes */
			.iterations = ARGON2_PASSES,
			.max_memory_kb = argon2_memory_kib(),
			.parallel_threads = ARGON2_THREADS,
			.flags = CRYPT_PBKDF_NO_BENCHMARK,
		};
		return;
	}
	*ret_pbkdf = (struct crypt_pbkdf_type){
		.type = CRYPT_KDF_PBKDF2,
		.hash = "sha256",
		.iterations = LUKS_KDF_ITERATIONS,
		.flags = CRYPT_PBKDF_NO_BENCHMARK,
	};
}

int luks_key_check(const struct luks_key *key, struct caisson_error *err)
{
	if (key->kind == LUKS_KEY_MACHINE && key->secret.size != LUKS_MACHINE_KEY_SIZE)
		return caisson_refuse(err, EINVAL, "a machine key has %u bytes and not %zu",
			LUKS_MACHINE_KEY_SIZE, key->secret.size);
	if (key->secret.size == 0)
		return caisson_refuse(err, EINVAL, "an empty key opens nothing");
	return 0;
}

/* UTF-8 without control characters, in any language. */
static bool is_text(const struct secret *bytes)
{
	for (size_t at = 0; at < bytes->size;) {
		char window[8] = {0};
		size_t length;

		memcpy(window, bytes->data + at, MIN(bytes->size - at, sizeof(window) - 1));
		length = utf8_length(window);
		explicit_bzero(window, sizeof(window));
		if (length == 0 ||
			(length == 1 && iscntrl(bytes->data[at]) && !isspace(bytes->data[at])))
			return false;
		at += length;
	}
	return true;
}

enum luks_key_kind luks_key_kind_of(const struct secret *bytes)
{
	return bytes->size >= KEY_LEAST_RANDOM && !is_text(bytes) ? LUKS_KEY_RANDOM
								  : LUKS_KEY_PASSPHRASE;
}

/* What systemd-cryptenroll marks a recovery key with, so that its tools know it, too. */
static int add_recovery_token(struct luks_device *device, int number, struct caisson_error *err)
{
	char json[96];
	int r;

	snprintf(json, sizeof(json), "{\"type\":\"%s\",\"keyslots\":[\"%d\"]}", RECOVERY_TOKEN,
		number);
	r = crypt_token_json_set(device->context, CRYPT_ANY_TOKEN, json);
	return r < 0 ? luks_device_fail(device, r, err, "mark the recovery key") : 0;
}

static int refuse_full(struct caisson_error *err)
{
	caisson_refuse(err, ENOSPC, "the header has no room for another keyslot");
	return caisson_hint(err, "remove one that is not needed: caisson volume key list, remove");
}

static bool has_integrity(struct crypt_device *context)
{
	struct crypt_params_integrity integrity = {.tag_size = 0};

	return crypt_get_integrity_info(context, &integrity) == 0 && integrity.tag_size > 0;
}

int luks_keyslot_add(struct luks_device *device, const struct secret *volume_key,
	const struct luks_key *key, int number, struct caisson_error *err)
{
	struct crypt_pbkdf_type pbkdf;
	int r;

	luks_key_pbkdf(key, &pbkdf);
	r = crypt_set_pbkdf_type(device->context, &pbkdf);
	/* Keyslots of every kind under the cipher that luks_metadata_check() asks for. With
	   integrity tags libcryptsetup takes it by itself, and refuses to be told. */
	if (r == 0 && !has_integrity(device->context))
		r = crypt_keyslot_set_encryption(
			device->context, LUKS_CIPHER, LUKS_VOLUME_KEY_SIZE);
	if (r == 0)
		r = crypt_keyslot_add_by_volume_key(device->context,
			number < 0 ? CRYPT_ANY_SLOT : number, (const char *)volume_key->data,
			volume_key->size, (const char *)key->secret.data, key->secret.size);
	/* Of a free one that it was to find. */
	if (r == -EINVAL && number < 0)
		return refuse_full(err);
	if (r < 0)
		return luks_device_fail(device, r, err, "make a keyslot");
	number = r;
	if (key->kind == LUKS_KEY_RECOVERY)
		r = add_recovery_token(device, number, err);
	return r < 0 ? r : number;
}

int luks_key_add(const char *path, const struct secret *volume_key, const struct luks_key *key,
	unsigned int *ret_keyslot, struct caisson_error *err)
{
	_cleanup_luks_device_ struct luks_device device = LUKS_DEVICE_NONE;
	int r = luks_key_check(key, err);

	if (r == 0)
		r = luks_device_load(&device, path, err);
	if (r < 0)
		return r;
	r = luks_keyslot_add(&device, volume_key, key, -1, err);
	if (r < 0)
		return r;
	*ret_keyslot = (unsigned int)r;
	return 0;
}

/* A recovery token without its keyslot would say that there is a recovery key. */
static int drop_tokens(struct luks_device *device, unsigned int keyslot, struct caisson_error *err)
{
	for (int token = 0; token < LUKS_OBJECTS_MOST; token++) {
		const char *type = NULL;
		int r;

		if (crypt_token_status(device->context, token, &type) <= CRYPT_TOKEN_INACTIVE ||
			type == NULL || strcmp(type, RECOVERY_TOKEN) != 0 ||
			crypt_token_is_assigned(device->context, token, (int)keyslot) != 0)
			continue;
		r = crypt_token_json_set(device->context, token, NULL);
		if (r < 0)
			return luks_device_fail(device, r, err, "remove a token");
	}
	return 0;
}

int luks_key_remove(const char *path, unsigned int keyslot, struct caisson_error *err)
{
	_cleanup_luks_device_ struct luks_device device = LUKS_DEVICE_NONE;
	int r = luks_device_load(&device, path, err);

	if (r < 0)
		return r;
	if (keyslot >= LUKS_OBJECTS_MOST ||
		crypt_keyslot_status(device.context, (int)keyslot) < CRYPT_SLOT_ACTIVE)
		return caisson_refuse(err, ENOENT, "there is no keyslot %u", keyslot);
	if (crypt_keyslot_status(device.context, (int)keyslot) == CRYPT_SLOT_ACTIVE_LAST)
		return caisson_refuse(err, EPERM,
			"keyslot %u is the last: without it nothing opens the volume", keyslot);
	r = drop_tokens(&device, keyslot, err);
	if (r < 0)
		return r;
	r = crypt_keyslot_destroy(device.context, (int)keyslot);
	return r < 0 ? luks_device_fail(&device, r, err, "remove a keyslot") : 0;
}
