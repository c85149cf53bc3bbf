/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The key-encryption key: 32 random bytes in CONFIG/kek, apart from the database whose keys it
 * wraps. What is wrapped is bound to public bytes beside it, so that neither can be changed alone.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/secret.h"
#include "base/strbuf.h"

#define KEK_SIZE    32
#define KEK_ID_SIZE 16
/* A wrapped key is nonce, ciphertext and tag. */
#define KEK_OVERHEAD (24 + 16)

/* What a wrapping key is for; each has its own, derived from the key-encryption key. */
enum kek_use {
	KEK_USE_VOLUME,
	KEK_USE_START,
	KEK_USES,
};

struct kek {
	struct secret keys[KEK_USES];
	uint8_t id[KEK_ID_SIZE]; /* tells one key-encryption key from another, and no more */
};

/* Loads @config/kek; makes it first when it is missing and @may_create, else -ENOKEY. */
int kek_open(struct kek *ret_kek, const char *config, bool may_create, struct caisson_error *err);
void kek_done(struct kek *kek);

/* Appends the wrapped form of @key, bound to @record, to @wrapped. */
int kek_wrap(const struct kek *kek, enum kek_use use, const void *record, size_t record_size,
	const struct secret *key, struct strbuf *wrapped, struct caisson_error *err);
/* -EBADMSG unless this very pair was made by kek_wrap() with this key-encryption key. */
int kek_unwrap(const struct kek *kek, enum kek_use use, const void *record, size_t record_size,
	const void *wrapped, size_t wrapped_size, struct secret *ret_key,
	struct caisson_error *err);
