/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The JSON area of a LUKS2 header (LUKS2 On-Disk Format Specification 1.1, section 3), read into
 * plain structs, and what of it is accepted before a key goes anywhere near it. Pure functions of
 * text.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "luks/luks.h"

#define LUKS_OBJECTS_MOST 32 /* keyslots, and tokens; the specification's bound */

#define LUKS_HEADER_LEAST (2 * 16384) /* bytes: both copies, as small as they may be */

/* The header's cipher and keyslot encryption, as caisson makes them. */
#define LUKS_CIPHER         "aes-xts-plain64"
#define LUKS_SECTOR_SIZE    4096u
#define LUKS_KDF_ITERATIONS 1000u
/* What a header may ask of us before its key has proved anything: ten times what we write. */
#define LUKS_ITERATIONS_MOST 10000u

struct luks_kdf {
	char type[16]; /* "pbkdf2", "argon2i", "argon2id" */
	char hash[32]; /* of pbkdf2 */
	uint64_t iterations, memory_kib, threads;
};

struct luks_keyslot {
	unsigned int number;
	char type[16]; /* "luks2", or "reencrypt", of which nothing below is set */
	uint64_t key_size;
	struct luks_kdf kdf;
	char area_type[16];
	char area_cipher[64];
	uint64_t area_key_size, area_offset, area_size;
};

struct luks_segment {
	unsigned int number;
	char type[16];
	char cipher[64];
	uint64_t offset, size, iv_tweak, sector_size;
	bool dynamic;       /* reaches to the end of the device; size is 0 */
	char integrity[32]; /* "hmac(sha256)": a dm-integrity device is under it; "" */
	bool flagged;       /* part of a reencryption */
};

struct luks_digest {
	char type[16];
	uint64_t iterations;
	uint32_t keyslots; /* one bit a number */
	bool of_data;      /* bound to segment 0 */
};

struct luks_token {
	char type[32];     /* "" when it is longer */
	uint32_t keyslots; /* one bit a number */
};

struct luks_metadata {
	struct luks_keyslot keyslots[LUKS_OBJECTS_MOST];
	size_t keyslot_count;
	struct luks_digest digests[LUKS_OBJECTS_MOST];
	size_t digest_count;
	struct luks_segment segment; /* the one with the lowest number */
	size_t segment_count;
	struct luks_token tokens[LUKS_OBJECTS_MOST];
	size_t token_count;
	char requirement[64]; /* the first mandatory one; "" when there is none */
	uint64_t json_size, keyslots_size;
};

/* -EBADMSG, naming the field. */
int luks_metadata_parse(const char *json, size_t size, struct luks_metadata *ret_metadata,
	struct caisson_error *err);
/*
 * -EPERM, naming the difference, unless the payload is laid out and encrypted as @facts says, every
 * keyslot is encrypted, and opening one costs next to nothing. *ret_keyslots: those that a machine
 * key may open, one bit a number.
 */
int luks_metadata_check(const struct luks_metadata *metadata, const struct luks_facts *facts,
	uint32_t *ret_keyslots, struct caisson_error *err);
/* Cipher, and the kind of integrity tags behind a semicolon, in the words of struct luks_facts. */
void luks_segment_cipher(const struct luks_segment *segment, char *ret_text, size_t size);
