/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening a container that may be anybody's, with a key that may be anybody's: what its header asks
   for is bounded before it is obeyed. */
#include <errno.h>
#include <string.h>

#include "luks/container.h"

/* Argon2's time is memory times passes: about a minute at the usual GiB a second. */
#define PASSES_MOST         64u
#define MACHINE_DIGEST_MOST UINT64_C(2000000)
#define THREADS_MOST        64u /* each is one of ours for the time */
/* With a wrong key every keyslot is tried: all of them together may take so many times as long as
   the costliest one that is allowed. */
#define TOGETHER_MOST   4u
#define MEMORY_DEFAULT  (UINT64_C(1) << 30)
#define PBKDF2_PER_GIB  UINT64_C(100000000)
#define MEMORY_MOST_KIB (UINT64_C(4) << 20) /* of libcryptsetup, and Argon2's own bound here */

static uint64_t memory_limit(const struct luks_limits *limits)
{
	return limits != NULL && limits->memory > 0 ? limits->memory : MEMORY_DEFAULT;
}

/* PBKDF2's iterations are bounded by the same option: ten seconds and more at 1 GiB. */
static uint64_t iterations_limit(uint64_t memory)
{
	return memory / (MEMORY_DEFAULT / PBKDF2_PER_GIB);
}

/* What opening may cost. */
struct bounds {
	uint64_t memory;     /* bytes */
	uint64_t iterations; /* of PBKDF2, in the digest */
	double spent;        /* of TOGETHER_MOST */
	double digest;       /* what comes on top for each keyslot */
};

/* A machine key is tried by commands that only look: cryptsetup's own digests want a tenth of this.
 */
static struct bounds bounds_of(const struct luks_key *key, const struct luks_limits *limits)
{
	struct bounds bounds = {.memory = memory_limit(limits)};

	bounds.iterations = iterations_limit(bounds.memory);
	if (key->kind == LUKS_KEY_MACHINE)
		bounds.iterations = MIN(bounds.iterations, MACHINE_DIGEST_MOST);
	return bounds;
}

/* A machine key's keyslot is cheap: what costs more is none, and is not worth the time. */
static bool may_be_machines(const struct luks_keyslot *keyslot)
{
	return strcmp(keyslot->kdf.type, "pbkdf2") == 0 &&
	       keyslot->kdf.iterations <= LUKS_ITERATIONS_MOST;
}

static int spend(
	struct bounds *bounds, const struct luks_keyslot *keyslot, struct caisson_error *err)
{
	const struct luks_kdf *kdf = &keyslot->kdf;
	double cost = strcmp(kdf->type, "pbkdf2") == 0
			      ? (double)kdf->iterations / (double)iterations_limit(bounds->memory)
			      : (double)kdf->iterations * (double)kdf->memory_kib /
					(PASSES_MOST * (double)bounds->memory / 1024);

	/* The first may always be tried: it is within the limit by itself. */
	if (bounds->spent > 0 && bounds->spent + cost + bounds->digest > TOGETHER_MOST) {
		caisson_refuse(err, E2BIG,
			"trying keyslot %u, and those before it, takes longer than the limit "
			"allows: not tried",
			keyslot->number);
		return caisson_hint(err, "allow it, if you made it: --memory-limit");
	}
	bounds->spent += cost + bounds->digest;
	return 0;
}

static int check_kdf(
	const struct luks_keyslot *keyslot, const struct bounds *bounds, struct caisson_error *err)
{
	const struct luks_kdf *kdf = &keyslot->kdf;
	uint64_t memory = bounds->memory;

	/* Derived from the key before anything else: gigabytes of it are work, too. */
	if (keyslot->area_key_size == 0 || keyslot->area_key_size > LUKS_OPEN_KEY_MOST)
		return caisson_refuse(err, ENOTSUP,
			"keyslot %u is encrypted with a key of %llu bytes: not tried",
			keyslot->number, (unsigned long long)keyslot->area_key_size);
	if (strcmp(kdf->type, "pbkdf2") == 0) {
		if (kdf->iterations <= iterations_limit(memory))
			return 0;
		caisson_refuse(err, E2BIG, "keyslot %u wants %llu iterations of PBKDF2: not tried",
			keyslot->number, (unsigned long long)kdf->iterations);
		return caisson_hint(err, "allow it, if you made it: --memory-limit");
	}
	if (strcmp(kdf->type, "argon2i") != 0 && strcmp(kdf->type, "argon2id") != 0)
		return caisson_refuse(err, ENOTSUP, "keyslot %u wants '%s', which is not known",
			keyslot->number, kdf->type);
	if (kdf->threads > THREADS_MOST)
		return caisson_refuse(err, E2BIG, "keyslot %u wants %llu threads: not tried",
			keyslot->number, (unsigned long long)kdf->threads);
	if (kdf->memory_kib <= MEMORY_MOST_KIB && kdf->memory_kib <= memory / 1024 &&
		kdf->iterations * MAX(kdf->memory_kib, UINT64_C(1)) <=
			PASSES_MOST * (memory / 1024))
		return 0;
	caisson_refuse(err, E2BIG,
		"keyslot %u wants %llu MiB of memory and %llu passes over it, above the limit of %llu "
		"MiB: not tried",
		keyslot->number, (unsigned long long)kdf->memory_kib / 1024,
		(unsigned long long)kdf->iterations, (unsigned long long)memory >> 20);
	return caisson_hint(err, "allow it, if you made it: --memory-limit");
}

/* Written by somebody who wants to read along. */
static bool is_null_cipher(const char *cipher)
{
	return strncmp(cipher, "cipher_null", 11) == 0 || strstr(cipher, "(cipher_null") != NULL;
}

/* What no container of ours has, and user space could not read. */
static int check_layout(
	const struct luks_metadata *metadata, const char *path, struct caisson_error *err)
{
	const struct luks_segment *segment = &metadata->segment;
	char shown[LUKS_SHOWN_SIZE];

	path = luks_shown(path, shown);
	if (metadata->requirement[0] != '\0')
		return caisson_refuse(err, ENOTSUP,
			"%s wants the feature '%s' (a reencryption that is not finished?)", path,
			metadata->requirement);
	if (metadata->segment_count != 1 || segment->number != 0 || segment->flagged ||
		strcmp(segment->type, "crypt") != 0 || segment->iv_tweak != 0)
		return caisson_refuse(err, ENOTSUP,
			"the payload of %s is laid out in a way that is not supported", path);
	if (is_null_cipher(segment->cipher))
		return caisson_refuse(
			err, EPERM, "the payload of %s is not encrypted at all", path);
	if (segment->offset == 0)
		return caisson_refuse(
			err, ENOTSUP, "%s is a header whose payload is elsewhere", path);
	return 0;
}

/* Paid for each keyslot that is tried. */
static int check_digest(
	const struct luks_metadata *metadata, struct bounds *bounds, struct caisson_error *err)
{
	uint64_t most = 0;

	for (size_t i = 0; i < metadata->digest_count; i++)
		most = MAX(most, metadata->digests[i].iterations);
	if (most > bounds->iterations) {
		caisson_refuse(err, E2BIG, "its digest wants %llu iterations, above the limit",
			(unsigned long long)most);
		return caisson_hint(err, "allow it, if you made it: --memory-limit");
	}
	bounds->digest = (double)most / (double)iterations_limit(bounds->memory);
	return 0;
}

static int try_keyslots(struct luks_device *device, const struct luks_metadata *metadata,
	const struct luks_key *key, struct bounds *bounds, struct secret *volume_key,
	unsigned int *ret_keyslot, const char *path, struct caisson_error *err)
{
	struct caisson_error skipped = {0};
	char shown[LUKS_SHOWN_SIZE];

	for (size_t i = 0; i < metadata->keyslot_count; i++) {
		const struct luks_keyslot *keyslot = &metadata->keyslots[i];
		size_t size = keyslot->key_size;
		int r;

		if (strcmp(keyslot->type, "luks2") != 0 || size == 0 || size > volume_key->size)
			continue;
		/* One that any key opens. */
		if (is_null_cipher(keyslot->area_cipher))
			continue;
		if (key->kind == LUKS_KEY_MACHINE && !may_be_machines(keyslot))
			continue;
		if (check_kdf(keyslot, bounds, &skipped) < 0 ||
			spend(bounds, keyslot, &skipped) < 0)
			continue;
		r = crypt_volume_key_get(device->context, (int)keyslot->number,
			(char *)volume_key->data, &size, (const char *)key->secret.data,
			key->secret.size);
		if (r >= 0) {
			volume_key->size = size;
			*ret_keyslot = keyslot->number;
			return 0;
		}
		if (r == -EIO || r == -ENOMEM)
			return luks_device_fail(device, r, err, "read a keyslot");
	}
	if (skipped.code != 0) {
		if (err != NULL)
			*err = skipped;
		return -skipped.code;
	}
	return caisson_refuse(
		err, ENOKEY, "the key does not open this volume (%s)", luks_shown(path, shown));
}

static void tell_facts(struct luks_device *device, const struct luks_metadata *metadata,
	size_t key_size, struct luks_facts *facts)
{
	const char *uuid = crypt_get_uuid(device->context);

	*facts = (struct luks_facts){0};
	snprintf(facts->uuid, sizeof(facts->uuid), "%s", uuid != NULL ? uuid : "");
	luks_segment_cipher(&metadata->segment, facts->cipher, sizeof(facts->cipher));
	facts->key_size = (uint32_t)key_size;
	facts->sector_size = (uint32_t)metadata->segment.sector_size;
	facts->data_offset = metadata->segment.offset;
}

int luks_open(const char *path, const struct luks_key *key, const struct luks_limits *limits,
	struct luks_opened *ret_opened, struct caisson_error *err)
{
	_cleanup_luks_device_ struct luks_device device = LUKS_DEVICE_NONE;
	_cleanup_secret_ struct secret volume_key = SECRET_NONE;
	struct bounds bounds = bounds_of(key, limits);
	struct luks_metadata metadata = {.segment_count = 0};
	unsigned int keyslot = 0;
	int r = luks_device_load(&device, path, err);

	if (r == 0)
		r = luks_device_metadata(&device, path, &metadata, err);
	if (r == 0)
		r = check_layout(&metadata, path, err);
	if (r == 0)
		r = check_digest(&metadata, &bounds, err);
	if (r == 0)
		r = secret_new(&volume_key, LUKS_OPEN_KEY_MOST, err);
	if (r == 0)
		r = try_keyslots(
			&device, &metadata, key, &bounds, &volume_key, &keyslot, path, err);
	if (r < 0)
		return r;
	tell_facts(&device, &metadata, volume_key.size, &ret_opened->facts);
	ret_opened->keyslot = keyslot;
	ret_opened->payload_size = metadata.segment.dynamic ? 0 : metadata.segment.size;
	ret_opened->integrity = metadata.segment.integrity[0] != '\0';
	ret_opened->volume_key = take_secret(&volume_key);
	return 0;
}
