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
	/* "aes-xts-plain64"; with integrity tags "aes-xts-plain64;hmac(sha256)" */
	char cipher[64];
	uint32_t key_size;    /* of the volume key, bytes */
	uint32_t sector_size; /* bytes */
	uint64_t data_offset; /* of the payload, bytes */
	/* BLAKE2b-256 of the volume key, keyed with the machine key: a header whose keyslot yields
	   any other key is refused even where all that it says looks right. */
	uint8_t fingerprint[LUKS_FINGERPRINT_SIZE];
};

/* What a key is decides what its keyslot costs to open. */
enum luks_key_kind {
	LUKS_KEY_MACHINE,    /* LUKS_MACHINE_KEY_SIZE random bytes, the key service's */
	LUKS_KEY_RANDOM,     /* somebody's random bytes: as cheap (PBKDF2, 1000 iterations) */
	LUKS_KEY_RECOVERY,   /* random, too, in letters, to be written down; marked by a token */
	LUKS_KEY_PASSPHRASE, /* chosen by a person: Argon2id */
};

struct luks_key {
	enum luks_key_kind kind;
	struct secret secret;
};

#define LUKS_KEY_NONE ((struct luks_key){.secret = SECRET_NONE})

/* What a key file's bytes are taken for: random when there are 32 and more, and not only text. */
enum luks_key_kind luks_key_kind_of(const struct secret *bytes);

struct luks_format_options {
	const char *cipher;   /* "aes-xts-plain64" */
	uint32_t key_size;    /* of the volume key, bytes */
	uint32_t sector_size; /* bytes */
	const char *label;    /* NULL: none */
	const char *uuid;     /* NULL: a new one */
	const struct luks_key *key;
};

#define LUKS_FORMAT_DEFAULT \
	((struct luks_format_options){.cipher = "aes-xts-plain64", \
		.key_size = LUKS_VOLUME_KEY_SIZE, \
		.sector_size = 4096})

/*
 * Writes a LUKS2 header into the file or device at @path (which is as large as the volume shall
 * be): random volume key, one keyslot, metadata locking off. Needs neither root nor device-mapper.
 * The caller syncs.
 */
/* A random UUID (RFC 9562, version 4). */
void luks_new_uuid(char ret_uuid[static 40]);
int luks_format(const char *path, const struct luks_format_options *options,
	struct luks_facts *ret_facts, struct secret *ret_volume_key, struct caisson_error *err);

/* See struct luks_facts. */
int luks_fingerprint(const struct secret *volume_key, const struct secret *machine_key,
	uint8_t ret_fingerprint[static LUKS_FINGERPRINT_SIZE], struct caisson_error *err);

/*
 * The same with dm-integrity under it, on a block device and by the kernel alone: @integrity is
 * "hmac(sha256)" or "hmac(sha512)", whose key is part of the volume key. All of the payload gets
 * its tags, which takes as long as writing it: through /dev/mapper/@mapping LUKS_WIPE_SUFFIX.
 */
#define LUKS_WIPE_SUFFIX ":wipe" /* no volume's name can end so */
int luks_format_integrity(const char *device, const struct luks_format_options *options,
	const char *integrity, const char *mapping, struct luks_facts *ret_facts,
	struct secret *ret_volume_key, struct caisson_error *err);

/* How far a header is obeyed. */
struct luks_limits {
	uint64_t
		memory; /* for opening a keyslot, bytes; 0: 1 GiB. Time is bounded along with it. */
};

#define LUKS_OPEN_KEY_MOST 128 /* bytes of a volume key of any container that is opened */

struct luks_opened {
	struct luks_facts facts; /* as the header says; fingerprint zero */
	unsigned int keyslot;    /* that the key opened */
	uint64_t payload_size;   /* bytes; 0: to the end of the file or device */
	bool integrity;          /* dm-integrity is under it: the kernel alone can read it */
	struct secret volume_key;
};

/*
 * Opens any keyslot that @key fits, of a container that need not be ours. -ENOKEY when it fits
 * none; -E2BIG when a keyslot was left out because it is above the limits; -ENOTSUP; -EBADMSG.
 */
int luks_open(const char *path, const struct luks_key *key, const struct luks_limits *limits,
	struct luks_opened *ret_opened, struct caisson_error *err);

/* Both work on the header at @path alone; see luks/header.h for doing so in memory. */
int luks_key_add(const char *path, const struct secret *volume_key, const struct luks_key *key,
	unsigned int *ret_keyslot, struct caisson_error *err);
/* Overwrites its area. -ENOENT; -EPERM for the last one. */
int luks_key_remove(const char *path, unsigned int keyslot, struct caisson_error *err);

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

#define LUKS_KEYSLOTS_MOST 32 /* the specification's bound */

/* One keyslot, for people. */
struct luks_keyslot_info {
	unsigned int number;
	bool recovery; /* a token says so */
	char kdf[16];
	uint64_t memory, iterations; /* bytes */
};
/* What the header itself says, for people; nothing in it is trusted. */
struct luks_header {
	struct luks_facts facts; /* fingerprint zero */
	unsigned int keyslots;   /* in use */
	unsigned int tokens;
	uint64_t metadata_size, keyslots_size; /* bytes */
	char label[48];
	bool integrity;
	struct luks_keyslot_info slots[LUKS_KEYSLOTS_MOST]; /* the first @keyslots of them */
};
int luks_inspect(const char *path, struct luks_header *ret_header, struct caisson_error *err);
/* Overwrites both headers and every keyslot area, also where the header is damaged, and syncs: no
   key opens this container again. A link at @path is followed: who has the container open passes
   /proc/self/fd/N, and overwrites that and nothing else. */
int luks_erase(const char *path, struct caisson_error *err);
