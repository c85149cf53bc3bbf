/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "key/exchange.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/path.h"

int key_exchange_hello(
	const void *hello, size_t size, struct key_hello *ret_hello, struct caisson_error *err)
{
	struct decoder from = {.data = hello, .size = size};
	struct key_hello found = {.bytes = hello, .size = size};
	uint8_t kind;
	int r;

	r = key_header_decode(&from, &kind, err);
	if (r < 0)
		return r;
	decode_text(&from, found.machine, sizeof(found.machine));
	decode_bytes(&from, found.public_key, sizeof(found.public_key));
	decode_bytes(&from, found.nonce, sizeof(found.nonce));
	decode_bytes(&from, found.proof, sizeof(found.proof));
	if (kind != KEY_MESSAGE_HELLO || !decode_complete(&from) || !name_valid(found.machine))
		return caisson_refuse(err, EBADMSG, "the key request cannot be read");
	*ret_hello = found;
	return 0;
}

bool key_exchange_proven(const struct key_hello *hello, const struct secret *proof_keys)
{
	uint8_t wanted[KEY_PROOF_SIZE];

	key_guest_proof(proof_keys, hello->bytes, hello->size - KEY_PROOF_SIZE, wanted);
	return sodium_memcmp(wanted, hello->proof, KEY_PROOF_SIZE) == 0;
}

/* The host's proof over what stands in @to, behind it. */
static void prove(
	const struct key_hello *hello, const struct secret *proof_keys, struct encoder *to)
{
	uint8_t hash[KEY_HASH_SIZE], proof[KEY_PROOF_SIZE];

	key_hash(hello->bytes, hello->size, hash);
	key_host_proof(proof_keys, hash, to->data, to->size, proof);
	encode_bytes(to, proof, sizeof(proof));
}

int key_exchange_grant(const struct key_hello *hello, const struct secret *proof_keys,
	const struct key_grants *grants, struct strbuf *reply, struct caisson_error *err)
{
	_cleanup_secret_ struct secret plaintext = SECRET_NONE;
	uint8_t bytes[KEY_MESSAGE_MOST];
	struct encoder to = {.data = bytes, .capacity = sizeof(bytes)};
	size_t box_size;
	int r;

	r = key_grant_encode(hello->nonce, hello->machine, grants, &plaintext, err);
	if (r < 0)
		return r;
	box_size = plaintext.size + crypto_box_SEALBYTES;
	key_header_encode(&to, KEY_MESSAGE_GRANT);
	encode_u16(&to, (uint16_t)box_size);
	if (crypto_box_seal(bytes + to.size, plaintext.data, plaintext.size, hello->public_key) !=
		0)
		return caisson_refuse(err, EBADMSG,
			"the key request has a public key that nothing can be sealed to");
	to.size += box_size;
	prove(hello, proof_keys, &to);
	if (to.failed)
		return caisson_refuse(err, EMSGSIZE, "the grant is too long");
	strbuf_add(reply, to.data, to.size);
	return strbuf_ok(reply) ? 0 : caisson_fail(err, ENOMEM, "answer the key request");
}

int key_exchange_refuse(const struct key_hello *hello, const struct secret *proof_keys,
	enum key_reason reason, struct strbuf *reply, struct caisson_error *err)
{
	uint8_t bytes[KEY_HEADER_SIZE + 2 + KEY_PROOF_SIZE];
	struct encoder to = {.data = bytes, .capacity = sizeof(bytes)};

	key_header_encode(&to, KEY_MESSAGE_REFUSAL);
	encode_u8(&to, (uint8_t)reason);
	encode_u8(&to, proof_keys != NULL ? KEY_PROOF_SIZE : 0);
	if (proof_keys != NULL)
		prove(hello, proof_keys, &to);
	strbuf_add(reply, to.data, to.size);
	return strbuf_ok(reply) ? 0 : caisson_fail(err, ENOMEM, "answer the key request");
}
