/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The service's side: a hello from a guest that may do anything. The first byte chooses whether the
 * rest is the hello as it is, or gets the proof that a guest with the secret would give it.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "key/exchange.h"

static struct secret proof_keys;
static struct key_grants grants;

static void prepare(void)
{
	static const uint8_t secret_bytes[32] = "not a secret, but of its length";
	_cleanup_secret_ struct secret start_secret = SECRET_NONE;
	struct key_grant *grant;

	if (key_crypto_init(NULL) < 0 || secret_copy(&start_secret, secret_bytes, 32, NULL) < 0 ||
		key_proof_keys(&start_secret, &proof_keys, NULL) < 0 ||
		key_grants_new(&grants, 1, NULL) < 0)
		abort();
	grant = &grants.items[0];
	strcpy(grant->volume, "data");
	strcpy(grant->filesystem, "ext4");
	strcpy(grant->facts.uuid, "01234567-89ab-cdef-0123-456789abcdef");
	strcpy(grant->facts.cipher, "aes-xts-plain64");
	if (secret_new(&grant->machine_key, LUKS_MACHINE_KEY_SIZE, NULL) < 0)
		abort();
}

static void answer(const uint8_t *data, size_t size, bool proven)
{
	_cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;
	struct caisson_error err = {0};
	struct key_hello hello;

	if (key_exchange_hello(data, size, &hello, &err) < 0)
		return;
	if (key_exchange_proven(&hello, &proof_keys) != proven)
		abort();
	/* A hello without a proof never comes this far. */
	if (!proven)
		return;
	(void)key_exchange_grant(&hello, &proof_keys, &grants, &reply, &err);
	if (key_exchange_refuse(&hello, &proof_keys, KEY_REASON_SECRET, &reply, &err) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *signed_hello = NULL;

	if (proof_keys.data == NULL)
		prepare();
	if (size == 0)
		return 0;
	if ((data[0] & 1) == 0) {
		answer(data + 1, size - 1, false);
		return 0;
	}
	signed_hello = malloc(size - 1 + KEY_PROOF_SIZE);
	if (signed_hello == NULL)
		return 0;
	memcpy(signed_hello, data + 1, size - 1);
	key_guest_proof(&proof_keys, signed_hello, size - 1, signed_hello + size - 1);
	answer(signed_hello, size - 1 + KEY_PROOF_SIZE, true);
	return 0;
}
