/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The service's side of the exchange: functions of bytes and keys alone. */
#pragma once

#include "key/messages.h"

/* Reads @hello, which must outlive @ret_hello. -EBADMSG, or -EPROTONOSUPPORT for another version.
 */
int key_exchange_hello(
	const void *hello, size_t size, struct key_hello *ret_hello, struct caisson_error *err);
/* Whether the hello's maker knows the secret that @proof_keys come from. */
bool key_exchange_proven(const struct key_hello *hello, const struct secret *proof_keys);
/* Appends a grant sealed to the hello's public key. -EBADMSG when that is no usable key. */
int key_exchange_grant(const struct key_hello *hello, const struct secret *proof_keys,
	const struct key_grants *grants, struct strbuf *reply, struct caisson_error *err);
/* Appends a refusal; @hello and @proof_keys are NULL where nobody has proven anything. */
int key_exchange_refuse(const struct key_hello *hello, const struct secret *proof_keys,
	enum key_reason reason, struct strbuf *reply, struct caisson_error *err);
