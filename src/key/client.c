/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest's side of the exchange. Linked into PID 1: libc and libsodium are all it needs. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "key/messages.h"
#include "key/protocol.h"

struct key_client {
	char machine[KEY_NAME_SIZE];
	struct secret proof_keys;
	struct secret secret_key; /* X25519 */
	uint8_t public_key[KEY_PUBLIC_SIZE];
	uint8_t nonce[KEY_NONCE_SIZE];
	uint8_t hello_hash[KEY_HASH_SIZE];
};

void key_client_free(struct key_client *client)
{
	if (client == NULL)
		return;
	secret_done(&client->proof_keys);
	secret_done(&client->secret_key);
	free(client);
}

static int make_keys(struct key_client *client, struct caisson_error *err)
{
	int r = secret_new(&client->secret_key, crypto_box_SECRETKEYBYTES, err);

	if (r < 0)
		return r;
	if (crypto_box_keypair(client->public_key, client->secret_key.data) != 0)
		return caisson_refuse(err, EIO, "could not make a key pair");
	randombytes_buf(client->nonce, sizeof(client->nonce));
	return 0;
}

static int make_hello(struct key_client *client, struct strbuf *hello, struct caisson_error *err)
{
	uint8_t bytes[KEY_HELLO_MOST], proof[KEY_PROOF_SIZE];
	struct encoder to = {.data = bytes, .capacity = sizeof(bytes)};

	key_header_encode(&to, KEY_MESSAGE_HELLO);
	encode_text(&to, client->machine, sizeof(client->machine));
	encode_bytes(&to, client->public_key, sizeof(client->public_key));
	encode_bytes(&to, client->nonce, sizeof(client->nonce));
	key_guest_proof(&client->proof_keys, to.data, to.size, proof);
	encode_bytes(&to, proof, sizeof(proof));
	key_hash(to.data, to.size, client->hello_hash);
	strbuf_add(hello, to.data, to.size);
	if (!strbuf_ok(hello))
		return caisson_fail(err, ENOMEM, "make the key request");
	return 0;
}

int key_client_new(const char *machine, const struct secret *start_secret,
	struct key_client **ret_client, struct strbuf *hello, struct caisson_error *err)
{
	_cleanup_(key_client_freep) struct key_client *client = NULL;
	int r;

	r = name_check("machine", machine, err);
	if (r == 0)
		r = key_crypto_init(err);
	if (r < 0)
		return r;
	client = calloc(1, sizeof(*client));
	if (client == NULL)
		return caisson_fail(err, ENOMEM, "make the key request");
	memcpy(client->machine, machine, strlen(machine) + 1);
	r = key_proof_keys(start_secret, &client->proof_keys, err);
	if (r == 0)
		r = make_keys(client, err);
	if (r == 0)
		r = make_hello(client, hello, err);
	if (r < 0)
		return r;
	*ret_client = take_ptr(client);
	return 0;
}

/* Whether the host that minted the secret made @data in answer to this client's hello. */
static bool host_made(const struct key_client *client, const uint8_t *data, size_t size,
	const uint8_t proof[static KEY_PROOF_SIZE])
{
	uint8_t wanted[KEY_PROOF_SIZE];

	key_host_proof(&client->proof_keys, client->hello_hash, data, size, wanted);
	return sodium_memcmp(wanted, proof, KEY_PROOF_SIZE) == 0;
}

static int forged(struct caisson_error *err)
{
	return caisson_refuse(err, EBADMSG,
		"the answer to the key request does not come from the host that started this machine");
}

static int refused(uint8_t reason, bool proven, struct caisson_error *err)
{
	static const struct {
		const char *sentence, *hint;
	} reasons[] = {
		[KEY_REASON_MALFORMED] = {"it could not read the request",
			"make the initramfs again with the caisson that runs the machine"},
		[KEY_REASON_VERSION] = {"it speaks another version of the key protocol",
			"make the initramfs again with the caisson that runs the machine"},
		[KEY_REASON_SECRET] = {"the secret of this start is unknown, used up or expired",
			"start the machine again: every start gets a secret of its own"},
		[KEY_REASON_POLICY] = {"the request came on another machine's channel",
			"start the machine again with caisson run"},
		[KEY_REASON_UNAVAILABLE] = {"it cannot get at the keys of this machine's volumes",
			"the host's own message and its audit log say why"},
	};

	if (reason >= ARRAY_SIZE(reasons) || reasons[reason].sentence == NULL)
		return caisson_refuse(err, EBADMSG, "the host refused for no known reason");
	caisson_refuse(err, EACCES, "the host refused to give the keys: %s%s",
		reasons[reason].sentence,
		proven ? "" : " (unauthenticated: whoever holds the channel may have said it)");
	return caisson_hint(err, "%s", reasons[reason].hint);
}

/* reason, then a proof that is there or not */
static int open_refusal(const struct key_client *client, struct decoder *from, const uint8_t *reply,
	struct caisson_error *err)
{
	uint8_t reason = decode_u8(from), proof_size = decode_u8(from);
	size_t proven_size = (size_t)(from->data - reply);
	const uint8_t *proof = decode_span(from, proof_size);

	if (!decode_complete(from) || (proof_size != 0 && proof_size != KEY_PROOF_SIZE))
		return caisson_refuse(err, EBADMSG, "the host's refusal cannot be read");
	if (proof_size != 0 && !host_made(client, reply, proven_size, proof))
		return forged(err);
	return refused(reason, proof_size != 0, err);
}

static int open_grant(const struct key_client *client, struct decoder *from, const uint8_t *reply,
	struct key_grants *ret_grants, struct caisson_error *err)
{
	_cleanup_secret_ struct secret plaintext = SECRET_NONE;
	size_t box_size = decode_u16(from);
	const uint8_t *box = decode_span(from, box_size);
	size_t proven_size = (size_t)(from->data - reply);
	const uint8_t *proof = decode_span(from, KEY_PROOF_SIZE);
	int r;

	if (!decode_complete(from) || box_size <= crypto_box_SEALBYTES)
		return caisson_refuse(err, EBADMSG, "the host's grant cannot be read");
	if (!host_made(client, reply, proven_size, proof))
		return forged(err);
	r = secret_new(&plaintext, box_size - crypto_box_SEALBYTES, err);
	if (r < 0)
		return r;
	if (crypto_box_seal_open(plaintext.data, box, box_size, client->public_key,
		    client->secret_key.data) != 0)
		return caisson_refuse(
			err, EBADMSG, "the granted keys are not sealed to this start");
	return key_grant_decode(
		plaintext.data, plaintext.size, client->nonce, client->machine, ret_grants, err);
}

int key_client_open(struct key_client *client, const void *reply, size_t size,
	struct key_grants *ret_grants, struct caisson_error *err)
{
	struct decoder from = {.data = reply, .size = size};
	uint8_t kind;
	int r;

	if (size > KEY_MESSAGE_MOST)
		return caisson_refuse(err, EBADMSG, "the answer to the key request is too long");
	r = key_header_decode(&from, &kind, err);
	if (r < 0)
		return caisson_refuse(err, EBADMSG,
			"what came is not the answer to a key request of version %d",
			KEY_PROTOCOL_VERSION);
	switch (kind) {
	case KEY_MESSAGE_GRANT:
		return open_grant(client, &from, reply, ret_grants, err);
	case KEY_MESSAGE_REFUSAL:
		return open_refusal(client, &from, reply, err);
	default:
		return caisson_refuse(err, EBADMSG, "what came is not the answer to a key request");
	}
}
