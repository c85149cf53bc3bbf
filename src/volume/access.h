/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A volume in this process's hands: locked, what was interrupted finished, and opened with a key.
 */
#pragma once

#include "base/blocks.h"
#include "luks/cipher.h"
#include "luks/luks.h"
#include "volume/layout.h"
#include "volume/volume.h"

struct volume_access {
	const struct state *state;
	struct key_service *keys;
	struct volume_layout layout;
	char name[64];
	char path[32]; /* /proc/self/fd/N of @container */
	int container; /* locked */
	bool read_only;
	struct blocks *blocks; /* the container's bytes */
	bool has_record;       /* the key service has its key */
	struct key_record record;
	/* After volume_access_unlock(): */
	struct luks_opened luks;
	struct luks_cipher *cipher; /* NULL when only the kernel can decrypt it */
};

#define VOLUME_ACCESS_NONE ((struct volume_access){.container = -1})

/*
 * Locks the volume for @action ("copy": the command's name, for those who are kept out), and
 * finishes or undoes what a killed command left half-done. With @read_only nothing can be changed;
 * what was interrupted is then refused (-EROFS).
 */
int volume_access_lock(const struct state *state, struct key_service *keys, const char *name,
	const char *action, bool read_only, struct volume_access *ret_access,
	struct caisson_error *err);
/* The same for what is only read: read-only where it cannot be had for writing. */
int volume_access_lock_read(const struct state *state, struct key_service *keys, const char *name,
	const char *action, struct volume_access *ret_access, struct caisson_error *err);
/* Opens it with @key, or with the key service's (NULL). Where the key service has a record of the
   volume, its header must be as recorded, whatever the key. */
int volume_access_unlock(struct volume_access *access, const struct luks_key *key,
	const struct luks_limits *limits, struct caisson_error *err);
/* How many bytes of payload a container of @size holds. */
uint64_t volume_payload_size(const struct volume_access *access, uint64_t size);
/* The plain side of @container (access->blocks, or changes over it). */
int volume_access_payload(struct volume_access *access, struct blocks *container,
	struct blocks **ret_payload, struct caisson_error *err);
void volume_access_done(struct volume_access *access);

#define _cleanup_volume_access_ _cleanup_(volume_access_done)

/* What a key change was doing when it was interrupted, finished or undone (volume/keys.c). */
int volume_recover_keys(struct volume_access *access, struct caisson_error *err);

/* Only looks: no lock is taken, nothing is finished, nothing can be written; what is read may be
   changing. */
int volume_access_peek(const struct state *state, struct key_service *keys, const char *name,
	struct volume_access *ret_access, struct caisson_error *err);
