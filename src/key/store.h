/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* keys.db: every volume's record and wrapped key, and the audit of what was done with it. Durable.
 */
#pragma once

#include "key/db.h"
#include "key/kek.h"
#include "key/service.h"

int store_open(struct db *ret_db, const char *folder, struct caisson_error *err);
/* -ENOKEY when keys were wrapped by another key-encryption key than @kek. */
int store_check_kek(const struct db *db, const struct kek *kek, struct caisson_error *err);
int store_count(const struct db *db, int *ret_count, struct caisson_error *err);
/* -EEXIST when the volume has a key. In the caller's transaction, as store_remove(). */
int store_put(const struct db *db, const struct kek *kek, const struct key_record *record,
	const struct secret *machine_key, struct caisson_error *err);
/* -ENOENT; -EBADMSG when the record, or the key, was changed by anybody else. */
int store_load(const struct db *db, const struct kek *kek, const char *volume,
	struct key_record *ret_record, struct secret *ret_key, struct caisson_error *err);
/* 1 when it was there, 0 when not. */
int store_remove(const struct db *db, const char *volume, struct caisson_error *err);
int store_list(const struct db *db, struct strv *volumes, struct caisson_error *err);
