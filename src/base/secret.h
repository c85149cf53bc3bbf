/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one type that key material lives in: whole pages of their own, locked (never swapped), left
 * out of core dumps, not inherited by fork(), and wiped before they are given back.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct secret {
	uint8_t *data;
	size_t size;     /* bytes in use */
	size_t capacity; /* bytes mapped */
};

#define SECRET_NONE ((struct secret){NULL, 0, 0})

/* Allocates @size zero bytes. -ENOMEM when memory, or the right to lock it, runs out. */
int secret_new(struct secret *ret_secret, size_t size, struct caisson_error *err);
/* Fills a new secret from the kernel's random generator. */
int secret_random(struct secret *ret_secret, size_t size, struct caisson_error *err);
/* Copies @size bytes of @data into a new secret; the caller wipes its own copy. */
int secret_copy(
	struct secret *ret_secret, const void *data, size_t size, struct caisson_error *err);
/* Reads @fd to its end, at most @most bytes (-EFBIG beyond). */
int secret_read_fd(struct secret *ret_secret, int fd, size_t most, struct caisson_error *err);
/* Constant time in the contents. */
bool secret_equal(const struct secret *a, const struct secret *b);
/* Wipes and unmaps; harmless on an empty or done secret. */
void secret_done(struct secret *secret);

static inline struct secret take_secret(struct secret *secret)
{
	struct secret taken = *secret;

	*secret = SECRET_NONE;
	return taken;
}

#define _cleanup_secret_ _cleanup_(secret_done)
