/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "key/protocol.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "key/messages.h"

static const uint8_t magic[4] = {'C', 'K', 'E', 'X'};

/* Longest forms: two texts, then the facts, then the key. */
#define FACTS_MOST   (40 + 64 + 4 + 4 + 8 + LUKS_FINGERPRINT_SIZE)
#define VOLUME_MOST  (KEY_NAME_SIZE + 16 + FACTS_MOST + LUKS_MACHINE_KEY_SIZE)
#define GRANT_MOST   (KEY_NONCE_SIZE + KEY_NAME_SIZE + 1 + KEY_VOLUMES_MOST * VOLUME_MOST)
#define SUBKEY_GUEST 1
#define SUBKEY_HOST  2

static_assert(KEY_HEADER_SIZE + 2 + crypto_box_SEALBYTES + GRANT_MOST + KEY_PROOF_SIZE <=
		      KEY_MESSAGE_MOST,
	"a full grant fits into a message");
static_assert(KEY_PUBLIC_SIZE == crypto_box_PUBLICKEYBYTES, "X25519");
static_assert(KEY_PROOF_KEYS_SIZE == 2 * crypto_generichash_KEYBYTES, "BLAKE2b-256 keys");

int key_crypto_init(struct caisson_error *err)
{
	if (sodium_init() < 0)
		return caisson_refuse(err, ENOSYS, "libsodium cannot start on this machine");
	return 0;
}

int key_proof_keys(
	const struct secret *start_secret, struct secret *ret_keys, struct caisson_error *err)
{
	_cleanup_secret_ struct secret keys = SECRET_NONE;
	const size_t size = crypto_generichash_KEYBYTES;
	int r;

	if (start_secret->size != crypto_kdf_KEYBYTES)
		return caisson_refuse(err, EINVAL, "a start's secret has %u bytes, not %zu",
			crypto_kdf_KEYBYTES, start_secret->size);
	r = secret_new(&keys, KEY_PROOF_KEYS_SIZE, err);
	if (r < 0)
		return r;
	crypto_kdf_derive_from_key(keys.data, size, SUBKEY_GUEST, "caissonK", start_secret->data);
	crypto_kdf_derive_from_key(
		keys.data + size, size, SUBKEY_HOST, "caissonK", start_secret->data);
	*ret_keys = take_secret(&keys);
	return 0;
}

void key_guest_proof(const struct secret *proof_keys, const void *data, size_t size,
	uint8_t ret_proof[static KEY_PROOF_SIZE])
{
	crypto_generichash(ret_proof, KEY_PROOF_SIZE, data, size, proof_keys->data,
		crypto_generichash_KEYBYTES);
}

void key_host_proof(const struct secret *proof_keys, const uint8_t hello_hash[static KEY_HASH_SIZE],
	const void *data, size_t size, uint8_t ret_proof[static KEY_PROOF_SIZE])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, proof_keys->data + crypto_generichash_KEYBYTES,
		crypto_generichash_KEYBYTES, KEY_PROOF_SIZE);
	crypto_generichash_update(&state, hello_hash, KEY_HASH_SIZE);
	crypto_generichash_update(&state, data, size);
	crypto_generichash_final(&state, ret_proof, KEY_PROOF_SIZE);
	/* Its first block was the key. */
	sodium_memzero(&state, sizeof(state));
}

void key_hash(const void *data, size_t size, uint8_t ret_hash[static KEY_HASH_SIZE])
{
	crypto_generichash(ret_hash, KEY_HASH_SIZE, data, size, NULL, 0);
}

void key_header_encode(struct encoder *to, enum key_message kind)
{
	encode_bytes(to, magic, sizeof(magic));
	encode_u8(to, KEY_PROTOCOL_VERSION);
	encode_u8(to, (uint8_t)kind);
}

int key_header_decode(struct decoder *from, uint8_t *ret_kind, struct caisson_error *err)
{
	uint8_t found[sizeof(magic)], version, kind;

	decode_bytes(from, found, sizeof(found));
	version = decode_u8(from);
	kind = decode_u8(from);
	if (from->failed || memcmp(found, magic, sizeof(magic)) != 0)
		return caisson_refuse(err, EBADMSG, "what came is not a key message");
	if (version != KEY_PROTOCOL_VERSION)
		return caisson_refuse(err, EPROTONOSUPPORT,
			"the key message is of version %u, and this caisson speaks version %u",
			version, KEY_PROTOCOL_VERSION);
	*ret_kind = kind;
	return 0;
}

void luks_facts_encode(struct encoder *to, const struct luks_facts *facts)
{
	encode_text(to, facts->uuid, sizeof(facts->uuid));
	encode_text(to, facts->cipher, sizeof(facts->cipher));
	encode_u32(to, facts->key_size);
	encode_u32(to, facts->sector_size);
	encode_u64(to, facts->data_offset);
	encode_bytes(to, facts->fingerprint, sizeof(facts->fingerprint));
}

void luks_facts_decode(struct decoder *from, struct luks_facts *ret_facts)
{
	decode_text(from, ret_facts->uuid, sizeof(ret_facts->uuid));
	decode_text(from, ret_facts->cipher, sizeof(ret_facts->cipher));
	ret_facts->key_size = decode_u32(from);
	ret_facts->sector_size = decode_u32(from);
	ret_facts->data_offset = decode_u64(from);
	decode_bytes(from, ret_facts->fingerprint, sizeof(ret_facts->fingerprint));
}

int key_grants_new(struct key_grants *ret_grants, size_t count, struct caisson_error *err)
{
	struct key_grant *items;

	if (count == 0 || count > KEY_VOLUMES_MOST)
		return caisson_refuse(err, EINVAL, "a machine gets the keys of 1 to %d volumes",
			KEY_VOLUMES_MOST);
	items = calloc(count, sizeof(*items));
	if (items == NULL)
		return caisson_fail(err, ENOMEM, "make room for the keys of %zu volumes", count);
	ret_grants->items = items;
	ret_grants->count = count;
	return 0;
}

void key_grants_done(struct key_grants *grants)
{
	for (size_t i = 0; i < grants->count; i++)
		secret_done(&grants->items[i].machine_key);
	free(grants->items);
	*grants = (struct key_grants){NULL, 0};
}

static void encode_volume(struct encoder *to, const struct key_grant *grant)
{
	encode_text(to, grant->volume, sizeof(grant->volume));
	encode_text(to, grant->filesystem, sizeof(grant->filesystem));
	luks_facts_encode(to, &grant->facts);
	if (grant->machine_key.size != LUKS_MACHINE_KEY_SIZE)
		to->failed = true;
	else
		encode_bytes(to, grant->machine_key.data, LUKS_MACHINE_KEY_SIZE);
}

int key_grant_encode(const uint8_t nonce[static KEY_NONCE_SIZE], const char *machine,
	const struct key_grants *grants, struct secret *ret_plaintext, struct caisson_error *err)
{
	_cleanup_secret_ struct secret plaintext = SECRET_NONE;
	struct encoder to;
	int r;

	if (grants->count == 0 || grants->count > KEY_VOLUMES_MOST)
		return caisson_refuse(err, EINVAL, "a machine gets the keys of 1 to %d volumes",
			KEY_VOLUMES_MOST);
	r = secret_new(&plaintext, GRANT_MOST, err);
	if (r < 0)
		return r;
	to = (struct encoder){.data = plaintext.data, .capacity = plaintext.size};
	encode_bytes(&to, nonce, KEY_NONCE_SIZE);
	encode_text(&to, machine, KEY_NAME_SIZE);
	encode_u8(&to, (uint8_t)grants->count);
	for (size_t i = 0; i < grants->count; i++)
		encode_volume(&to, &grants->items[i]);
	if (to.failed)
		return caisson_refuse(err, EINVAL, "a volume's record has an impossible field");
	plaintext.size = to.size;
	*ret_plaintext = take_secret(&plaintext);
	return 0;
}

static int decode_volume(
	struct decoder *from, struct key_grant *ret_grant, struct caisson_error *err)
{
	const uint8_t *key;

	decode_text(from, ret_grant->volume, sizeof(ret_grant->volume));
	decode_text(from, ret_grant->filesystem, sizeof(ret_grant->filesystem));
	luks_facts_decode(from, &ret_grant->facts);
	key = decode_span(from, LUKS_MACHINE_KEY_SIZE);
	if (key == NULL)
		return caisson_refuse(err, EBADMSG, "the granted keys end early");
	if (!name_valid(ret_grant->volume))
		return caisson_refuse(err, EBADMSG, "a granted volume has an impossible name");
	return secret_copy(&ret_grant->machine_key, key, LUKS_MACHINE_KEY_SIZE, err);
}

static bool has_volume(const struct key_grants *grants, size_t count, const char *volume)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(grants->items[i].volume, volume) == 0)
			return true;
	}
	return false;
}

int key_grant_decode(const void *plaintext, size_t size, const uint8_t nonce[static KEY_NONCE_SIZE],
	const char *machine, struct key_grants *ret_grants, struct caisson_error *err)
{
	_cleanup_key_grants_ struct key_grants grants = {0};
	struct decoder from = {.data = plaintext, .size = size};
	uint8_t found_nonce[KEY_NONCE_SIZE], count;
	char found_machine[KEY_NAME_SIZE];
	int r;

	decode_bytes(&from, found_nonce, sizeof(found_nonce));
	decode_text(&from, found_machine, sizeof(found_machine));
	count = decode_u8(&from);
	if (from.failed || sodium_memcmp(found_nonce, nonce, KEY_NONCE_SIZE) != 0 ||
		strcmp(found_machine, machine) != 0)
		return caisson_refuse(err, EBADMSG, "the granted keys are not for this start");
	if (count == 0 || count > KEY_VOLUMES_MOST)
		return caisson_refuse(
			err, EBADMSG, "the grant has an impossible number of volumes");
	r = key_grants_new(&grants, count, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		r = decode_volume(&from, &grants.items[i], err);
		if (r < 0)
			return r;
		if (has_volume(&grants, i, grants.items[i].volume))
			return caisson_refuse(err, EBADMSG, "the grant names a volume twice");
	}
	if (!decode_complete(&from))
		return caisson_refuse(err, EBADMSG, "the grant has an impossible field");
	*ret_grants = grants;
	grants = (struct key_grants){NULL, 0};
	return 0;
}
