/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The audit log: a table of the same form in each of the service's databases, read as one. */
#pragma once

#include "key/db.h"
#include "key/service.h"

#define AUDIT_SCHEMA \
	"CREATE TABLE audit (id INTEGER PRIMARY KEY, time INTEGER NOT NULL," \
	" machine TEXT NOT NULL, volume TEXT NOT NULL, action TEXT NOT NULL," \
	" outcome TEXT NOT NULL) STRICT;"

/* Adds one entry, in whatever transaction @db is in; never key material. */
int audit_add(const struct db *db, const char *machine, const char *volume, const char *action,
	const char *outcome, struct caisson_error *err);
/* Every entry of both, merged by time. */
int audit_read(const struct db *a, const struct db *b,
	int (*entry)(const struct key_audit *entry, void *userdata), void *userdata,
	struct caisson_error *err);
/* Wall clock in microseconds, which is what the tables hold. */
int64_t audit_now(void);
