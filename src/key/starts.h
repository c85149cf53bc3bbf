/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * starts.db: what is needed to check a start's secret, once, and the audit of what gives nothing
 * away (mint, expire, revoke).
 *
 * No commit waits for the disk: after a power cut the guests are gone too, and whatever was minted
 * before this boot of the host is void. Lifetimes are counted by CLOCK_BOOTTIME, which nobody sets.
 */
#pragma once

#include "key/db.h"
#include "key/exchange.h"
#include "key/kek.h"

#define START_BOOT_SIZE 40

struct starts {
	struct db db;
	char boot[START_BOOT_SIZE]; /* this boot's ID */
};

#define STARTS_NONE ((struct starts){DB_NONE, ""})

int starts_open(struct starts *ret_starts, const char *folder, struct caisson_error *err);
void starts_done(struct starts *starts);

int starts_mint(const struct starts *starts, const struct kek *kek, const char *machine,
	const struct strv *volumes, unsigned int lifetime_s, const struct secret *start_secret,
	struct caisson_error *err);
int starts_revoke(const struct starts *starts, const char *machine, struct caisson_error *err);

struct start {
	int64_t id;
	struct strv volumes;
	struct secret proof_keys;
	const char *void_why; /* NULL while it is good */
};

/* The start whose secret made @hello: 1 and the start, or 0 when there is none. */
int starts_find(const struct starts *starts, const struct kek *kek, const struct key_hello *hello,
	struct start *ret_start, struct caisson_error *err);
/* Uses it up: 1 for the one caller that did, 0 for every other. */
int starts_use(const struct starts *starts, const struct start *start, struct caisson_error *err);
void start_done(struct start *start);

#define _cleanup_starts_ _cleanup_(starts_done)
#define _cleanup_start_  _cleanup_(start_done)
