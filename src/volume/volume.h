/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Volumes: volumes/NAME/container in the state directory is a LUKS2 container with a filesystem in
 * it; its key is the key service's. What is on disk is the truth: a volume is there when its folder
 * is (it comes by one rename), and it is in use when its container is locked (flock, which goes
 * with its holder).
 */
#pragma once

#include <caisson/error.h>
#include <caisson/log.h>
#include <stdint.h>

#include "base/state.h"
#include "base/strbuf.h"
#include "key/service.h"
#include "luks/luks.h"

#define VOLUME_SIZE_LEAST (32ull << 20)

/* "256M", "1G": a whole number of bytes, or of K, M, G, T (powers of 1024; KiB and so on too). */
int volume_parse_size(const char *text, uint64_t *ret_size, struct caisson_error *err);

/* Creates a volume of @size bytes (container and header together; rounded up to whole sectors of
   4096) with an ext4 filesystem in it, or leaves nothing. -EEXIST when the name is taken. */
int volume_create(const struct state *state, struct key_service *keys, const char *name,
	uint64_t size, const struct caisson_log *log, struct caisson_error *err);

struct volume_info {
	char name[64];
	char *path;          /* of the container */
	uint64_t size;       /* apparent, bytes */
	uint64_t allocated;  /* on this machine's disk, bytes */
	bool has_key;        /* the key service holds its key */
	char filesystem[16]; /* as the key service recorded it; "" without a key */
	char holder[64];     /* machine that has it open; "" when free */
	bool in_use;
	struct luks_header header;
	char header_error[256]; /* why the header could not be read; "" when it could */
	uint64_t created;       /* seconds since the epoch; 0 when unknown */
};

int volume_list(const struct state *state, struct strv *names, struct caisson_error *err);
/* -ENOENT when there is none. */
int volume_inspect(const struct state *state, struct key_service *keys, const char *name,
	struct volume_info *ret_info, struct caisson_error *err);
void volume_info_done(struct volume_info *info);

/*
 * Locks the container for @holder (a machine's name) and opens it read-write; the descriptor is the
 * lock, also in processes that inherit it. -EBUSY names the holder; -ENOENT; -ENOKEY when the key
 * service has no key for it.
 */
int volume_lock(const struct state *state, struct key_service *keys, const char *name,
	const char *holder, int *ret_fd, struct caisson_error *err);

/* What was done to destroy a volume; every step is attempted even when the one before failed. */
struct volume_destroyed {
	bool key_removed, header_erased, files_removed;
};
/* Idempotent: what is gone already is fine. -EBUSY while a machine has it open. The error is the
   first step's that failed; @done tells what was done also then. */
int volume_destroy(const struct state *state, struct key_service *keys, const char *name,
	struct volume_destroyed *done, struct caisson_error *err);
