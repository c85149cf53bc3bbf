/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SQLite as the key service wants it: private files, hardened connections, errors that say what to
 * do. */
#pragma once

#include <caisson/error.h>
#include <sqlite3.h>
#include <stdbool.h>

#include "base/macros.h"

struct db_schema {
	int version;     /* user_version */
	const char *sql; /* makes the tables of an empty database */
	const char *pragmas;
	const char *damaged_hint; /* what to do when the file is damaged */
};

struct db {
	sqlite3 *handle;
	char *path;
	const struct db_schema *schema;
};

#define DB_NONE ((struct db){NULL, NULL, NULL})

/* Opens (or makes, mode 0600) the database @folder/@name. -EUCLEAN when it is damaged. */
int db_open(struct db *ret_db, const char *folder, const char *name, const struct db_schema *schema,
	struct caisson_error *err);
void db_done(struct db *db);
/* Records why the last call on @db failed. */
int db_fail(const struct db *db, struct caisson_error *err);
int db_run(const struct db *db, const char *sql, struct caisson_error *err);
int db_prepare(const struct db *db, const char *sql, sqlite3_stmt **ret_statement,
	struct caisson_error *err);
/* 1 for a row, 0 at the end. */
int db_step(const struct db *db, sqlite3_stmt *statement, struct caisson_error *err);
/* One integer of the first row; 0 without a row. */
int db_number(const struct db *db, const char *sql, int *ret_number, struct caisson_error *err);

/* A write transaction; rolled back by db_rollbackp() unless it was committed. */
int db_begin(const struct db *db, const struct db **ret_transaction, struct caisson_error *err);
int db_commit(const struct db **transaction, struct caisson_error *err);
void db_rollbackp(const struct db **transaction);

DEFINE_CLEANUP(sqlite3_stmt *, sqlite3_finalize);

#define _cleanup_db_          _cleanup_(db_done)
#define _cleanup_statement_   _cleanup_(sqlite3_finalizep)
#define _cleanup_transaction_ _cleanup_(db_rollbackp)

/* Binds that cannot fail but for memory, which the step then says; the data must outlive the step.
 */
static inline void db_bind_text(sqlite3_stmt *statement, int at, const char *text)
{
	(void)sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

static inline void db_bind_blob(sqlite3_stmt *statement, int at, const void *data, size_t size)
{
	(void)sqlite3_bind_blob64(statement, at, data, size, SQLITE_STATIC);
}
