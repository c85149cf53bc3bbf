/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The key exchange, version 1; docs/key-protocol.md has the bytes and the reasons.
 *
 *   guest -> host  hello: machine name, fresh X25519 public key, nonce, proof
 *   host -> guest  grant: sealed box to that public key {nonce, volumes with facts and keys}, proof
 *                  or refusal: reason code
 *
 * Both proofs are keyed BLAKE2b under keys derived from the start's secret, over everything that
 * went before: the guest proves that it is the machine that was started, the host that it minted
 * the secret. Pure functions of bytes: no I/O, so that the same code is tested, fuzzed and run.
 */
#pragma once

#include <caisson/error.h>
#include <stddef.h>
#include <stdint.h>

#include "base/secret.h"
#include "base/strbuf.h"
#include "luks/luks.h"

#define KEY_MESSAGE_MOST 16384
#define KEY_VOLUMES_MOST 16

/* Frame types on the key channel (wire/frame.h). */
enum key_frame {
	KEY_FRAME_HELLO = 1,
	KEY_FRAME_REPLY = 2,
};

struct key_grant {
	char volume[64];
	char filesystem[16];
	struct luks_facts facts;
	struct secret machine_key;
};

struct key_grants {
	struct key_grant *items;
	size_t count;
};

void key_grants_done(struct key_grants *grants);
#define _cleanup_key_grants_ _cleanup_(key_grants_done)

/* The guest's side: one exchange. */
struct key_client;

/* Makes a fresh key pair and nonce; appends the hello to @hello. */
int key_client_new(const char *machine, const struct secret *start_secret,
	struct key_client **ret_client, struct strbuf *hello, struct caisson_error *err);
/* Checks and opens the reply. -EACCES for a refusal (with its reason), -EBADMSG for anything that
   the host that minted the secret did not make for this hello. */
int key_client_open(struct key_client *client, const void *reply, size_t size,
	struct key_grants *ret_grants, struct caisson_error *err);
void key_client_free(struct key_client *client);
DEFINE_CLEANUP(struct key_client *, key_client_free);
