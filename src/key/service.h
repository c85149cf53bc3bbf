/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The key service: holds every volume's machine key, wrapped by a key-encryption key that lives
 * apart, and gives it to a guest that proves itself, once, on the record.
 */
#pragma once

#include <caisson/error.h>
#include <caisson/log.h>

#include "base/secret.h"
#include "base/state.h"
#include "base/strbuf.h"
#include "luks/luks.h"

struct key_service;

/* Opens (or makes) the databases keys/keys.db and keys/starts.db (mode 0600) and the key-encryption
   key CONFIG/kek. A database whose keys were wrapped by another key-encryption key is refused
   (-ENOKEY), and so is a missing kek for a database that has keys. */
int key_service_open(
	const struct state *state, struct key_service **ret_service, struct caisson_error *err);
/* For what shall be forgotten, whatever is there of all that: without the key-encryption key
   nothing but key_service_remove() works, without the database nothing; they say why. -ENOMEM
   alone. */
int key_service_open_to_forget(
	const struct state *state, struct key_service **ret_service, struct caisson_error *err);
void key_service_close(struct key_service *service);
DEFINE_CLEANUP(struct key_service *, key_service_close);

/* Everything about one volume but its key. */
struct key_record {
	char volume[64];
	struct luks_facts facts;
	char filesystem[16]; /* "ext4" */
	uint64_t created;    /* seconds since the epoch */
};

/* -EEXIST when the volume has a key already. Durable when it returns. */
int key_service_put(struct key_service *service, const struct key_record *record,
	const struct secret *machine_key, struct caisson_error *err);
/* The same in place of the key that the volume has, if it has one. */
int key_service_replace(struct key_service *service, const struct key_record *record,
	const struct secret *machine_key, struct caisson_error *err);
/* -ENOENT when there is none. */
int key_service_find(struct key_service *service, const char *volume, struct key_record *ret_record,
	struct caisson_error *err);
/* The key itself, for operations on the host. Audited. */
int key_service_unwrap(struct key_service *service, const char *volume, struct secret *ret_key,
	struct caisson_error *err);
/* Forgets the key, overwriting it in the database; what is gone already is fine (returns 0),
   else 1. Audited. */
int key_service_remove(struct key_service *service, const char *volume, struct caisson_error *err);
/* Names of the volumes that have a key, sorted. */
int key_service_list(struct key_service *service, struct strv *volumes, struct caisson_error *err);

#define KEY_START_SECRET_SIZE 32

/*
 * Mints a secret for one start of @machine, good for one exchange within @lifetime_s seconds and
 * for
 * @volumes alone: 1 to KEY_VOLUMES_MOST of them, each with a key (-ENOENT). The database keeps only
 * what it needs to check it with. Does not wait for the disk: a start does not outlive the host's
 * boot.
 */
int key_service_mint(struct key_service *service, const char *machine, const struct strv *volumes,
	unsigned int lifetime_s, struct secret *ret_secret, struct caisson_error *err);
/* Voids what was minted for @machine and not used. */
int key_service_revoke(struct key_service *service, const char *machine, struct caisson_error *err);
/*
 * Answers a guest's hello (see key/protocol.h): checks the proof against the minted secret, uses it
 * up, records the outcome, and appends the reply to @reply (the granted keys sealed to the guest's
 * public key, or a refusal). @machine is the machine that the channel belongs to: a hello that
 * names another is refused. A refused hello is -EACCES, with the reply (a refusal that tells the
 * guest no more than a reason code) there all the same; so it is when the host itself fails, with
 * that failure's code.
 */
int key_service_answer(struct key_service *service, const char *machine, const void *hello,
	size_t size, struct strbuf *reply, struct caisson_error *err);

/* The audit log, oldest first. */
struct key_audit {
	uint64_t time;                                   /* seconds since the epoch */
	const char *machine, *volume, *action, *outcome; /* never NULL */
};
int key_service_audit(struct key_service *service,
	int (*entry)(const struct key_audit *entry, void *userdata), void *userdata,
	struct caisson_error *err);
