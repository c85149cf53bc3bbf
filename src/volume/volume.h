/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Volumes: volumes/NAME/container in the state directory (or a block device that is named there) is
 * a LUKS2 container with a filesystem in it; its key is the key service's, or whoever made it has
 * it. What is on disk is the truth: a volume is there when its folder is (it comes by one rename),
 * and it is in use when its container is locked (flock, which goes with its holder).
 */
#pragma once

#include <caisson/error.h>
#include <caisson/log.h>
#include <caisson/volume.h>
#include <stdint.h>

#include "base/blocks.h"
#include "base/state.h"
#include "base/strbuf.h"
#include "key/service.h"
#include "luks/luks.h"
#include "luks/transfer.h"

#define VOLUME_SIZE_LEAST (32ull << 20)
#define VOLUME_SIZE_STEP  4096u

/* "256M", "1G": a whole number of bytes, or of K, M, G, T (powers of 1024; KiB and so on too). */
int volume_parse_size(const char *text, uint64_t *ret_size, struct caisson_error *err);
/* A container's size, rounded up; one that no volume can have is refused (-EINVAL, -ERANGE). */
int volume_round_size(uint64_t size, uint64_t *ret_size, struct caisson_error *err);
/* Seconds since the epoch. */
uint64_t volume_now(void);

/* What opens a volume. */
struct volume_key {
	const struct luks_key *key; /* NULL: the key service's */
	struct luks_limits limits;
};

struct volume_create_options {
	uint64_t size;          /* container and header together, bytes; 0: as @from or @device */
	const char *filesystem; /* "ext4", "xfs", "btrfs", "none" */
	const char *from;       /* a folder, a tar archive, an image; NULL: empty */
	const char *device;     /* NULL: a file */
	bool overwrite;         /* @device may hold something */
	bool preallocate;
	const char *integrity;           /* NULL: none */
	struct luks_format_options luks; /* its key: NULL: the key service's */
	const struct transfer_progress *progress;
};

/* Creates a volume, or leaves nothing. -EEXIST when the name is taken. */
int volume_create(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_create_options *options, const struct caisson_log *log,
	struct caisson_error *err);
/* A second one with the same content, under keys of its own. */
int volume_copy(const struct state *state, struct key_service *keys, const char *name,
	const char *copy, const struct volume_key *key, const struct luks_key *new_key,
	const struct transfer_progress *progress, const struct caisson_log *log,
	struct caisson_error *err);

struct volume_info {
	char name[64];
	char *path;          /* of the container */
	uint64_t size;       /* apparent, bytes */
	uint64_t allocated;  /* on this machine's disk, bytes */
	bool has_key;        /* the key service holds its key */
	char filesystem[16]; /* as the key service recorded it; "" without a key */
	char holder[128];    /* who has it open; "" when free */
	bool machine;        /* that is a machine's name */
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

/* As their public namesakes (caisson/volume.h) say; @added NULL: the key service's. */
int volume_key_add(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key, const struct luks_key *added, unsigned int *ret_keyslot,
	struct caisson_error *err);
int volume_key_change(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key, const struct luks_key *changed, unsigned int *ret_keyslot,
	struct caisson_error *err);
int volume_key_remove(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key, unsigned int keyslot, struct caisson_error *err);
int volume_keyslots(const struct state *state, struct key_service *keys, const char *name,
	int (*each)(const struct caisson_volume_keyslot *keyslot, void *userdata), void *userdata,
	struct caisson_error *err);
int volume_backup(const struct state *state, struct key_service *keys, const char *name,
	const char *path, struct caisson_error *err);
int volume_restore(const struct state *state, struct key_service *keys, const char *name,
	const char *path, bool force, struct caisson_error *err);
int volume_check(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key,
	int (*each)(const struct caisson_volume_finding *finding, void *userdata), void *userdata,
	struct caisson_error *err);
int volume_resize(const struct state *state, struct key_service *keys, const char *name,
	uint64_t size, const struct volume_key *key, struct caisson_error *err);

struct volume_export_options {
	struct volume_key key;
	bool qcow2, encrypted, overwrite;
	const struct luks_key *new_key; /* of an encrypted one */
	const struct transfer_progress *progress;
};
int volume_export(const struct state *state, struct key_service *keys, const char *name,
	const char *path, const struct volume_export_options *options, struct caisson_error *err);

/* As their public namesakes say; @key is what options->key says. */
int volume_open(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key, const struct caisson_volume_open_options *options,
	struct caisson_volume_opened *ret_opened, struct caisson_error *err);
int volume_close(const struct state *state, const char *name, struct caisson_error *err);
int volume_mount(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key, const struct caisson_volume_open_options *options,
	struct caisson_volume_opened *ret_opened, struct caisson_error *err);
int volume_unmount(
	const struct state *state, const char *name, bool lazy, struct caisson_error *err);
int volume_opened(const struct state *state, const char *name,
	struct caisson_volume_opened *ret_opened, struct caisson_error *err);

/* What the filesystem inside says, when the volume is free and the key service has its key. */
struct volume_usage {
	char filesystem[16];
	uint64_t size, used; /* bytes */
};
int volume_usage(const struct state *state, struct key_service *keys, const char *name,
	struct volume_usage *ret_usage);
/* The same of a payload that is open. */
int volume_usage_of(
	struct blocks *payload, struct volume_usage *ret_usage, struct caisson_error *err);

/* Idempotent: what is gone already is fine. -EBUSY while a machine has it open. The error is the
   first step's that failed; @done tells what was done also then. */
int volume_destroy(const struct state *state, struct key_service *keys, const char *name,
	struct caisson_volume_destroyed *done, struct caisson_error *err);
