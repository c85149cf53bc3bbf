/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CAISSON_VOLUME_H
#define CAISSON_VOLUME_H

#include <caisson/caisson.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** struct caisson_volume - what is known of a volume. Plain data: copy it freely. */
struct caisson_volume {
	char name[64];
	char path[4096];     /* of the LUKS2 container */
	uint64_t size;       /* apparent size of the container, bytes */
	uint64_t allocated;  /* what it takes of the host's disk, bytes */
	uint64_t created;    /* seconds since the epoch; 0 when unknown */
	bool has_key;        /* the key service holds its key */
	bool in_use;         /* a machine has it open */
	char holder[64];     /* that machine; "" when free */
	char filesystem[16]; /* "" when unknown */
	/* From the header, which is not authenticated; empty and 0 when it cannot be read. */
	char uuid[40];
	char cipher[64];
	uint32_t key_bits;
	uint32_t sector_size; /* bytes */
	uint64_t data_offset; /* bytes */
	uint32_t keyslots, tokens;
	char header_error[256]; /* why the header cannot be read; "" when it can */
};

/**
 * caisson_volume_create() - make a LUKS2 container with an empty ext4 filesystem and a key of its
 * own.
 * @size: of the whole container in bytes, at least 32 MiB.
 *
 * Needs neither root nor device-mapper. Yields a complete volume or leaves nothing.
 * Returns: 0; -EEXIST when the name is taken; another negative errno. Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_create(
	struct caisson *caisson, const char *name, uint64_t size, struct caisson_error *err);

/**
 * caisson_volume_list() - call @each for every volume, sorted by name.
 *
 * @each returns 0 to go on; anything else ends the list and is returned. Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_list(struct caisson *caisson,
	int (*each)(const struct caisson_volume *volume, void *userdata), void *userdata,
	struct caisson_error *err);

/** caisson_volume_inspect() - 0, or -ENOENT when there is none of that name. Since: 0.1. */
CAISSON_EXPORT int caisson_volume_inspect(struct caisson *caisson, const char *name,
	struct caisson_volume *ret_volume, struct caisson_error *err);

/**
 * caisson_volume_destroy() - forget the key, overwrite the header, delete the container.
 *
 * Idempotent: what is gone already is fine, and every step is tried even when one before it failed.
 * Returns: 1 when there was something to destroy, 0 when there was nothing, -EBUSY while a machine
 * has it open, another negative errno. Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_destroy(
	struct caisson *caisson, const char *name, struct caisson_error *err);

/**
 * caisson_parse_size() - "512M" in bytes: a whole number with an optional K, M, G or T (powers of
 * 1024).
 *
 * Returns: 0, -EINVAL, or -ERANGE when it is too large. Since: 0.1.
 */
CAISSON_EXPORT int caisson_parse_size(
	const char *text, uint64_t *ret_size, struct caisson_error *err);

#ifdef __cplusplus
}
#endif

#endif
