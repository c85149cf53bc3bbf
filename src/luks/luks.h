/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LUKS2 containers through libcryptsetup (LUKS2 On-Disk Format Specification 1.1.x). */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/secret.h"

#define LUKS_FINGERPRINT_SIZE 32
#define LUKS_VOLUME_KEY_SIZE  64          /* AES-256-XTS */
#define LUKS_MACHINE_KEY_SIZE 32          /* what opens the keyslot */
#define LUKS_DATA_OFFSET      (16u << 20) /* where luks_format() lets the payload begin, bytes */

/*
 * What a container was made as. The key service records these facts at creation and the guest
 * refuses a header that says otherwise: the host's disk is not trusted to describe its own
 * encryption (a null cipher must not pass).
 */
struct luks_facts {
	char uuid[40];
	char cipher[64];      /* "aes-xts-plain64" */
	uint32_t key_size;    /* of the volume key, bytes */
	uint32_t sector_size; /* bytes */
	uint64_t data_offset; /* of the payload, bytes */
	/* BLAKE2b-256 of the volume key, keyed with the machine key: a header whose keyslot yields
	   any other key is refused even where all that it says looks right. */
	uint8_t fingerprint[LUKS_FINGERPRINT_SIZE];
};

/*
 * Writes a LUKS2 header into the file or device at @path (which is as large as the volume shall
 * be): random volume key, one keyslot opened by @machine_key (PBKDF2-SHA256, 1000 iterations: the
 * key has full entropy), 4096-byte sectors, metadata locking off. Needs neither root nor
 * device-mapper. The caller syncs.
 */
int luks_format(const char *path, const struct secret *machine_key, struct luks_facts *ret_facts,
	struct secret *ret_volume_key, struct caisson_error *err);
/* Loads the header at @path and refuses (-EPERM, naming what differs) unless it is what @expected
   says; opens the keyslot and checks the volume key's fingerprint. -ENOKEY when the key does not
   fit, -EBADMSG when there is no usable header. */
int luks_unlock(const char *path, const struct luks_facts *expected,
	const struct secret *machine_key, struct secret *ret_volume_key, struct caisson_error *err);
enum luks_flags {
	LUKS_READ_ONLY = 1 << 0,
	LUKS_DISCARD = 1 << 1, /* pass discards on: shows which blocks are in use */
};

/* luks_unlock(), then activates /dev/mapper/@name through dm-crypt. One loaded header serves both:
   the host cannot change it in between. Works without udev. */
int luks_activate(const char *device, const char *name, const struct luks_facts *expected,
	const struct secret *machine_key, unsigned int flags, struct caisson_error *err);
/* What a guess at a passphrase shall cost: Argon2id. */
struct luks_cost {
	unsigned int memory_kib, iterations, threads;
};
/* Writes a LUKS2 header with a random volume key and one keyslot, which @passphrase opens, onto the
   device at @path; 4096-byte sectors. What is there already is not looked at. */
int luks_format_passphrase(const char *path, const struct secret *passphrase,
	const struct luks_cost *cost, struct caisson_error *err);
/* Opens it as /dev/mapper/@name; -ENOKEY when the passphrase is another one. */
int luks_activate_passphrase(const char *path, const char *name, const struct secret *passphrase,
	struct caisson_error *err);
int luks_deactivate(const char *name, struct caisson_error *err);
/* What the header itself says, for people; nothing in it is trusted. */
struct luks_header {
	struct luks_facts facts; /* fingerprint zero */
	unsigned int keyslots;   /* in use */
	unsigned int tokens;
	uint64_t metadata_size, keyslots_size; /* bytes */
};
int luks_inspect(const char *path, struct luks_header *ret_header, struct caisson_error *err);
/* Overwrites both headers and every keyslot area, also where the header is damaged, and syncs: no
   key opens this container again. A link at @path is followed: who has the container open passes
   /proc/self/fd/N, and overwrites that and nothing else. */
int luks_erase(const char *path, struct caisson_error *err);
