/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SHA-256 (FIPS 180-4), by OpenSSL. Host only: the guest does not link it. */
#pragma once

#include <caisson/error.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

#define DIGEST_SIZE     32
#define DIGEST_HEX_SIZE (2 * DIGEST_SIZE + 1)

struct digest; /* one computation under way */

int digest_new(struct digest **ret_digest, struct caisson_error *err);
int digest_add(struct digest *digest, const void *data, size_t size, struct caisson_error *err);
/* Ends the computation; lower-case hexadecimal. */
int digest_hex(
	struct digest *digest, char ret_hex[static DIGEST_HEX_SIZE], struct caisson_error *err);
void digest_free(struct digest *digest);
DEFINE_CLEANUP(struct digest *, digest_free);

int digest_of(const void *data, size_t size, char ret_hex[static DIGEST_HEX_SIZE],
	struct caisson_error *err);
int digest_of_fd(
	int fd, const char *what, char ret_hex[static DIGEST_HEX_SIZE], struct caisson_error *err);
