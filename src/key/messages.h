/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What both sides of the exchange share: the messages of docs/key-protocol.md and their proofs. */
#pragma once

#include "key/codec.h"
#include "key/protocol.h"

#define KEY_PROTOCOL_VERSION 1

#define KEY_HEADER_SIZE      6 /* magic, version, kind */
#define KEY_PUBLIC_SIZE      32
#define KEY_NONCE_SIZE       32
#define KEY_PROOF_SIZE       32
#define KEY_HASH_SIZE        32
#define KEY_NAME_SIZE        64 /* of a machine or a volume, with its NUL */

#define KEY_HELLO_MOST \
	(KEY_HEADER_SIZE + KEY_NAME_SIZE + KEY_PUBLIC_SIZE + KEY_NONCE_SIZE + KEY_PROOF_SIZE)

enum key_message {
	KEY_MESSAGE_HELLO = 1,
	KEY_MESSAGE_GRANT = 2,
	KEY_MESSAGE_REFUSAL = 3,
};

enum key_reason {
	KEY_REASON_MALFORMED = 1, /* the hello cannot be read */
	KEY_REASON_VERSION = 2,   /* it is of another version */
	KEY_REASON_SECRET = 3, /* unknown, used, expired or revoked: the guest is not told which */
	KEY_REASON_POLICY = 4, /* the channel belongs to another machine */
	KEY_REASON_UNAVAILABLE = 5, /* the host has not got the keys */
};

struct key_hello {
	char machine[KEY_NAME_SIZE];
	uint8_t public_key[KEY_PUBLIC_SIZE];
	uint8_t nonce[KEY_NONCE_SIZE];
	uint8_t proof[KEY_PROOF_SIZE];
	const uint8_t *bytes; /* the message itself, borrowed */
	size_t size;
};

/* The guest's and the host's proof key, 32 bytes each, one behind the other. */
#define KEY_PROOF_KEYS_SIZE 64

int key_crypto_init(struct caisson_error *err);
/* Derives both proof keys from a start's secret; -EINVAL when that is not 32 bytes. */
int key_proof_keys(
	const struct secret *start_secret, struct secret *ret_keys, struct caisson_error *err);
/* MAC(guest's key, @data). */
void key_guest_proof(const struct secret *proof_keys, const void *data, size_t size,
	uint8_t ret_proof[static KEY_PROOF_SIZE]);
/* MAC(host's key, @hello_hash || @data). */
void key_host_proof(const struct secret *proof_keys, const uint8_t hello_hash[static KEY_HASH_SIZE],
	const void *data, size_t size, uint8_t ret_proof[static KEY_PROOF_SIZE]);
void key_hash(const void *data, size_t size, uint8_t ret_hash[static KEY_HASH_SIZE]);

void key_header_encode(struct encoder *to, enum key_message kind);
/* -EBADMSG for what is no message, -EPROTONOSUPPORT for another version. */
int key_header_decode(struct decoder *from, uint8_t *ret_kind, struct caisson_error *err);

void luks_facts_encode(struct encoder *to, const struct luks_facts *facts);
void luks_facts_decode(struct decoder *from, struct luks_facts *ret_facts);

/* What the sealed box of a grant holds. */
int key_grant_encode(const uint8_t nonce[static KEY_NONCE_SIZE], const char *machine,
	const struct key_grants *grants, struct secret *ret_plaintext, struct caisson_error *err);
/* -EBADMSG unless it is whole and says this nonce and this machine. */
int key_grant_decode(const void *plaintext, size_t size, const uint8_t nonce[static KEY_NONCE_SIZE],
	const char *machine, struct key_grants *ret_grants, struct caisson_error *err);
/* Zeroed items for @count volumes. */
int key_grants_new(struct key_grants *ret_grants, size_t count, struct caisson_error *err);
