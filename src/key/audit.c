/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "key/audit.h"

#include <time.h>

int64_t audit_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int audit_add(const struct db *db, const char *machine, const char *volume, const char *action,
	const char *outcome, struct caisson_error *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r;

	r = db_prepare(db,
		"INSERT INTO audit (time, machine, volume, action, outcome)"
		" VALUES (?1, ?2, ?3, ?4, ?5)",
		&statement, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, audit_now());
	db_bind_text(statement, 2, machine);
	db_bind_text(statement, 3, volume);
	db_bind_text(statement, 4, action);
	db_bind_text(statement, 5, outcome);
	return db_step(db, statement, err);
}

struct reader {
	const struct db *db;
	sqlite3_stmt *statement;
	int64_t time; /* of the row that it stands on */
	bool more;
};

static int advance(struct reader *reader, struct caisson_error *err)
{
	int r = db_step(reader->db, reader->statement, err);

	if (r < 0)
		return r;
	reader->more = r == 1;
	reader->time = reader->more ? sqlite3_column_int64(reader->statement, 0) : 0;
	return 0;
}

static int start(struct reader *reader, const struct db *db, struct caisson_error *err)
{
	int r;

	reader->db = db;
	r = db_prepare(db,
		"SELECT time, machine, volume, action, outcome FROM audit ORDER BY time, id",
		&reader->statement, err);
	return r < 0 ? r : advance(reader, err);
}

static const char *text(const struct reader *reader, int column)
{
	const char *value = (const char *)sqlite3_column_text(reader->statement, column);

	return value != NULL ? value : "";
}

static void reader_done(struct reader *reader)
{
	sqlite3_finalize(reader->statement);
}

int audit_read(const struct db *a, const struct db *b,
	int (*entry)(const struct key_audit *entry, void *userdata), void *userdata,
	struct caisson_error *err)
{
	_cleanup_(reader_done) struct reader first = {0};
	_cleanup_(reader_done) struct reader second = {0};
	int r;

	r = start(&first, a, err);
	if (r == 0)
		r = start(&second, b, err);
	while (r == 0 && (first.more || second.more)) {
		bool from_first = first.more && (!second.more || first.time <= second.time);
		struct reader *from = from_first ? &first : &second;
		struct key_audit row = {
			.time = from->time > 0 ? (uint64_t)from->time / 1000000 : 0,
			.machine = text(from, 1),
			.volume = text(from, 2),
			.action = text(from, 3),
			.outcome = text(from, 4),
		};

		r = entry(&row, userdata);
		if (r == 0)
			r = advance(from, err);
	}
	return r;
}
