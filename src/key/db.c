/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "key/db.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/path.h"
#include "base/strbuf.h"

#define BUSY_MS 5000

static int fail_full(const struct db *db, struct caisson_error *err)
{
	caisson_refuse(err, ENOSPC, "the disk that holds %s is full", db->path);
	return caisson_hint(err, "make room and try again: nothing was changed");
}

static int fail_damaged(const struct db *db, struct caisson_error *err)
{
	caisson_refuse(err, EUCLEAN, "%s is damaged, or no database", db->path);
	return caisson_hint(err, "%s", db->schema->damaged_hint);
}

static int fail_denied(const struct db *db, int system, struct caisson_error *err)
{
	caisson_refuse(err, system == EROFS ? EROFS : EACCES,
		"%s, or the folder that it is in, cannot be written", db->path);
	return caisson_hint(err, "look at its owner and mode, and whether its disk is mounted"
				 " read-only");
}

static int fail_io(const struct db *db, int system, struct caisson_error *err)
{
	if (system == ENOSPC || system == EDQUOT)
		return fail_full(db, err);
	if (system == EROFS || system == EACCES || system == EPERM)
		return fail_denied(db, system, err);
	return caisson_fail(err, system != 0 ? system : EIO, "read or write %s", db->path);
}

int db_fail(const struct db *db, struct caisson_error *err)
{
	int system = sqlite3_system_errno(db->handle);

	switch (sqlite3_errcode(db->handle) & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		caisson_refuse(err, EBUSY, "another caisson has been busy with %s for %d seconds",
			db->path, BUSY_MS / 1000);
		return caisson_hint(err, "wait for it to end and try again");
	case SQLITE_FULL:
		return fail_full(db, err);
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return fail_damaged(db, err);
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return fail_denied(db, system, err);
	case SQLITE_CANTOPEN:
		/* A journal that cannot be made beside the database says it this way. */
		return system == ENOENT ? caisson_fail(err, system, "open %s", db->path)
					: fail_io(db, system, err);
	case SQLITE_IOERR:
		return fail_io(db, system, err);
	case SQLITE_NOMEM:
		return caisson_fail(err, ENOMEM, "use %s", db->path);
	default:
		return caisson_refuse(err, EIO, "use %s: %s", db->path, sqlite3_errmsg(db->handle));
	}
}

int db_run(const struct db *db, const char *sql, struct caisson_error *err)
{
	if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
		return db_fail(db, err);
	return 0;
}

int db_prepare(const struct db *db, const char *sql, sqlite3_stmt **ret_statement,
	struct caisson_error *err)
{
	if (sqlite3_prepare_v2(db->handle, sql, -1, ret_statement, NULL) != SQLITE_OK)
		return db_fail(db, err);
	return 0;
}

int db_step(const struct db *db, sqlite3_stmt *statement, struct caisson_error *err)
{
	switch (sqlite3_step(statement)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return db_fail(db, err);
	}
}

int db_number(const struct db *db, const char *sql, int *ret_number, struct caisson_error *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r;

	r = db_prepare(db, sql, &statement, err);
	if (r == 0)
		r = db_step(db, statement, err);
	if (r < 0)
		return r;
	*ret_number = r == 1 ? sqlite3_column_int(statement, 0) : 0;
	return 0;
}

int db_begin(const struct db *db, const struct db **ret_transaction, struct caisson_error *err)
{
	int r = db_run(db, "BEGIN IMMEDIATE", err);

	if (r < 0)
		return r;
	*ret_transaction = db;
	return 0;
}

int db_commit(const struct db **transaction, struct caisson_error *err)
{
	int r = db_run(*transaction, "COMMIT", err);

	if (r < 0)
		return r;
	*transaction = NULL;
	return 0;
}

void db_rollbackp(const struct db **transaction)
{
	/* Some failures have rolled back already. */
	if (*transaction != NULL && sqlite3_get_autocommit((*transaction)->handle) == 0)
		(void)sqlite3_exec((*transaction)->handle, "ROLLBACK", NULL, NULL, NULL);
}

/* SQLite would make the file with the umask's mode, and its journals with the file's. An existing
   file is not opened here: closing it would drop the locks that this process has on it (POSIX). */
static int make_file(const char *path, struct caisson_error *err)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0 && errno != EEXIST)
		return caisson_fail(err, errno, "create %s", path);
	if (fd >= 0 && fchmod(fd, 0600) < 0)
		return caisson_fail(err, errno, "set the mode of %s", path);
	if (lstat(path, &st) < 0)
		return caisson_fail(err, errno, "stat %s", path);
	if (!S_ISREG(st.st_mode))
		return caisson_refuse(err, EBADMSG, "%s is not a regular file", path);
	if ((st.st_mode & 077) != 0) {
		caisson_refuse(err, EPERM, "%s is open to others (mode %04o)", path,
			(unsigned int)st.st_mode & 07777);
		return caisson_hint(err, "chmod 600 %s", path);
	}
	return 0;
}

static int configure(const struct db *db, struct caisson_error *err)
{
	int r;

	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	/* Nothing that stands in the file runs: it is data. */
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	r = db_run(db,
		"PRAGMA trusted_schema=OFF; PRAGMA secure_delete=ON; PRAGMA foreign_keys=ON;"
		"PRAGMA temp_store=MEMORY;",
		err);

	return r < 0 ? r : db_run(db, db->schema->pragmas, err);
}

/* Makes the tables of an empty database; two at once take turns. */
static int create_tables(const struct db *db, struct caisson_error *err)
{
	_cleanup_transaction_ const struct db *transaction = NULL;
	char pragma[48];
	int version, tables, r;

	r = db_begin(db, &transaction, err);
	if (r == 0)
		r = db_number(db, "PRAGMA user_version", &version, err);
	if (r < 0)
		return r;
	if (version != 0)
		return 0;
	r = db_number(db, "SELECT count(*) FROM sqlite_schema", &tables, err);
	if (r < 0)
		return r;
	if (tables != 0)
		return caisson_refuse(err, EUCLEAN, "%s is another program's database", db->path);
	snprintf(pragma, sizeof(pragma), "PRAGMA user_version=%d", db->schema->version);
	r = db_run(db, db->schema->sql, err);
	if (r == 0)
		r = db_run(db, pragma, err);
	return r < 0 ? r : db_commit(&transaction, err);
}

static int check_version(const struct db *db, struct caisson_error *err)
{
	int version, r;

	r = db_number(db, "PRAGMA user_version", &version, err);
	if (r == 0 && version == 0) {
		r = create_tables(db, err);
		if (r == 0)
			r = db_number(db, "PRAGMA user_version", &version, err);
	}
	if (r < 0)
		return r;
	if (version != db->schema->version) {
		caisson_refuse(err, EPROTONOSUPPORT,
			"%s was made by another caisson (its version is %d, this caisson's is %d)",
			db->path, version, db->schema->version);
		return caisson_hint(err, "use the caisson that made it, or a newer one");
	}
	return 0;
}

int db_open(struct db *ret_db, const char *folder, const char *name, const struct db_schema *schema,
	struct caisson_error *err)
{
	_cleanup_db_ struct db db = DB_NONE;
	int r;

	db.schema = schema;
	db.path = path_join(folder, name);
	if (db.path == NULL)
		return caisson_fail(err, ENOMEM, "open %s", name);
	r = make_file(db.path, err);
	if (r < 0)
		return r;
	if (sqlite3_open_v2(db.path, &db.handle, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return db.handle != NULL ? db_fail(&db, err)
					 : caisson_fail(err, ENOMEM, "open %s", db.path);
	r = configure(&db, err);
	if (r == 0)
		r = check_version(&db, err);
	if (r < 0)
		return r;
	*ret_db = db;
	db = DB_NONE;
	return 0;
}

void db_done(struct db *db)
{
	int saved = errno;

	if (db->handle != NULL)
		sqlite3_close_v2(db->handle);
	free(db->path);
	*db = DB_NONE;
	errno = saved;
}
