/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's side: a reply from a host that may do anything. The first byte chooses how far the
 * rest gets: 0 as it is, 1 with the proof of a host that knows the secret, 2 as what that host
 * sealed (its first 32 bytes become the nonce that the guest looks for).
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "key/exchange.h"

static struct secret proof_keys;
static struct key_client *client;
static struct strbuf hello_bytes;
static struct key_hello hello;

static void prepare(void)
{
	static const uint8_t secret_bytes[32] = "not a secret, but of its length";
	_cleanup_secret_ struct secret start_secret = SECRET_NONE;

	if (key_crypto_init(NULL) < 0 || secret_copy(&start_secret, secret_bytes, 32, NULL) < 0 ||
		key_proof_keys(&start_secret, &proof_keys, NULL) < 0 ||
		key_client_new("web", &start_secret, &client, &hello_bytes, NULL) < 0 ||
		key_exchange_hello(hello_bytes.data, hello_bytes.size, &hello, NULL) < 0)
		abort();
}

static void open_reply(const void *data, size_t size)
{
	_cleanup_key_grants_ struct key_grants grants = {0};
	struct caisson_error err = {0};

	if (key_client_open(client, data, size, &grants, &err) < 0) {
		if (err.message[0] == '\0' || grants.items != NULL)
			abort();
		return;
	}
	if (grants.count == 0 || grants.count > KEY_VOLUMES_MOST)
		abort();
}

static void open_proven(const struct strbuf *reply)
{
	_cleanup_strbuf_ struct strbuf whole = STRBUF_INIT;
	uint8_t hash[KEY_HASH_SIZE], proof[KEY_PROOF_SIZE];

	key_hash(hello.bytes, hello.size, hash);
	key_host_proof(&proof_keys, hash, reply->data, reply->size, proof);
	strbuf_add(&whole, reply->data, reply->size);
	strbuf_add(&whole, proof, sizeof(proof));
	if (strbuf_ok(&whole))
		open_reply(whole.data, whole.size);
}

static void open_sealed(const uint8_t *data, size_t size)
{
	_cleanup_strbuf_ struct strbuf plaintext = STRBUF_INIT, reply = STRBUF_INIT;
	uint8_t bytes[KEY_HEADER_SIZE + 2];
	struct encoder to = {.data = bytes, .capacity = sizeof(bytes)};
	size_t box_size = size + crypto_box_SEALBYTES;
	void *box;

	if (box_size > UINT16_MAX)
		return;
	strbuf_add(&plaintext, data, size);
	if (!strbuf_ok(&plaintext))
		return;
	if (size >= KEY_NONCE_SIZE)
		memcpy(plaintext.data, hello.nonce, KEY_NONCE_SIZE);
	key_header_encode(&to, KEY_MESSAGE_GRANT);
	encode_u16(&to, (uint16_t)box_size);
	strbuf_add(&reply, to.data, to.size);
	box = strbuf_reserve(&reply, box_size);
	if (box == NULL)
		return;
	if (crypto_box_seal(box, (uint8_t *)plaintext.data, size, hello.public_key) != 0)
		abort();
	strbuf_commit(&reply, box_size);
	open_proven(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;

	if (client == NULL)
		prepare();
	if (size == 0)
		return 0;
	switch (data[0] % 3) {
	case 0:
		open_reply(data + 1, size - 1);
		break;
	case 1:
		strbuf_add(&reply, data + 1, size - 1);
		if (strbuf_ok(&reply))
			open_proven(&reply);
		break;
	default:
		open_sealed(data + 1, size - 1);
	}
	return 0;
}
