/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "key/store.h"

#include <string.h>

#include "base/path.h"
#include "key/audit.h"
#include "key/messages.h"

#define RECORD_MOST 512

static const uint8_t record_tag[8] = {'c', 'a', 'i', 's', 'v', 'o', 'l', 1};

/* TRUNCATE: the journal's folder entry stays, so that a commit syncs no folder. */
static const struct db_schema schema = {
	.version = 1,
	.pragmas = "PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=EXTRA;",
	.damaged_hint = "restore it from a backup: it holds every volume's wrapped key",
	.sql = "CREATE TABLE volumes (name TEXT PRIMARY KEY, record BLOB NOT NULL,"
	       " wrapped BLOB NOT NULL, kek BLOB NOT NULL) STRICT;"
	       "CREATE INDEX volumes_by_kek ON volumes (kek);" AUDIT_SCHEMA,
};

int store_open(struct db *ret_db, const char *folder, struct caisson_error *err)
{
	return db_open(ret_db, folder, "keys.db", &schema, err);
}

int store_count(const struct db *db, int *ret_count, struct caisson_error *err)
{
	return db_number(db, "SELECT count(*) FROM volumes", ret_count, err);
}

int store_check_kek(const struct db *db, const struct kek *kek, struct caisson_error *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r;

	r = db_prepare(
		db, "SELECT 1 FROM volumes WHERE kek < ?1 OR kek > ?1 LIMIT 1", &statement, err);
	if (r < 0)
		return r;
	db_bind_blob(statement, 1, kek->id, sizeof(kek->id));
	r = db_step(db, statement, err);
	if (r <= 0)
		return r;
	caisson_refuse(err, ENOKEY,
		"the keys in %s were wrapped by another key-encryption key than the one that is here",
		db->path);
	return caisson_hint(err, "restore the file kek that belongs to this state directory");
}

static int encode_record(
	const struct key_record *record, struct encoder *to, struct caisson_error *err)
{
	encode_bytes(to, record_tag, sizeof(record_tag));
	encode_text(to, record->volume, sizeof(record->volume));
	encode_text(to, record->filesystem, sizeof(record->filesystem));
	encode_u64(to, record->created);
	luks_facts_encode(to, &record->facts);
	if (to->failed)
		return caisson_refuse(err, EINVAL,
			"the key record of a volume has an empty, too long or odd field");
	return name_check("volume", record->volume, err);
}

static int decode_record(const void *data, size_t size, const char *volume,
	struct key_record *ret_record, struct caisson_error *err)
{
	struct decoder from = {.data = data, .size = size};
	struct key_record record = {0};
	uint8_t tag[sizeof(record_tag)];

	decode_bytes(&from, tag, sizeof(tag));
	decode_text(&from, record.volume, sizeof(record.volume));
	decode_text(&from, record.filesystem, sizeof(record.filesystem));
	record.created = decode_u64(&from);
	luks_facts_decode(&from, &record.facts);
	if (!decode_complete(&from) || memcmp(tag, record_tag, sizeof(tag)) != 0 ||
		strcmp(record.volume, volume) != 0)
		return caisson_refuse(err, EBADMSG, "the record is not this volume's");
	*ret_record = record;
	return 0;
}

int store_put(const struct db *db, const struct kek *kek, const struct key_record *record,
	const struct secret *machine_key, struct caisson_error *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	_cleanup_strbuf_ struct strbuf wrapped = STRBUF_INIT;
	uint8_t bytes[RECORD_MOST];
	struct encoder to = {.data = bytes, .capacity = sizeof(bytes)};
	int r;

	if (machine_key->size != LUKS_MACHINE_KEY_SIZE)
		return caisson_refuse(err, EINVAL, "a machine key has %d bytes, not %zu",
			LUKS_MACHINE_KEY_SIZE, machine_key->size);
	r = encode_record(record, &to, err);
	if (r == 0)
		r = kek_wrap(kek, KEK_USE_VOLUME, to.data, to.size, machine_key, &wrapped, err);
	if (r == 0)
		r = db_prepare(db,
			"INSERT INTO volumes (name, record, wrapped, kek) VALUES (?1, ?2, ?3, ?4)"
			" ON CONFLICT DO NOTHING",
			&statement, err);
	if (r < 0)
		return r;
	db_bind_text(statement, 1, record->volume);
	db_bind_blob(statement, 2, to.data, to.size);
	db_bind_blob(statement, 3, wrapped.data, wrapped.size);
	db_bind_blob(statement, 4, kek->id, sizeof(kek->id));
	r = db_step(db, statement, err);
	if (r < 0)
		return r;
	if (sqlite3_changes(db->handle) != 1)
		return caisson_refuse(
			err, EEXIST, "the volume %s has a key already", record->volume);
	return 0;
}

int store_load(const struct db *db, const struct kek *kek, const char *volume,
	struct key_record *ret_record, struct secret *ret_key, struct caisson_error *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	_cleanup_secret_ struct secret key = SECRET_NONE;
	struct key_record record;
	int r;

	r = db_prepare(db, "SELECT record, wrapped FROM volumes WHERE name = ?1", &statement, err);
	if (r < 0)
		return r;
	db_bind_text(statement, 1, volume);
	r = db_step(db, statement, err);
	if (r < 0)
		return r;
	if (r == 0)
		return caisson_refuse(
			err, ENOENT, "the key service has no key for the volume %s", volume);
	r = kek_unwrap(kek, KEK_USE_VOLUME, sqlite3_column_blob(statement, 0),
		(size_t)sqlite3_column_bytes(statement, 0), sqlite3_column_blob(statement, 1),
		(size_t)sqlite3_column_bytes(statement, 1), &key, err);
	if (r == 0)
		r = decode_record(sqlite3_column_blob(statement, 0),
			(size_t)sqlite3_column_bytes(statement, 0), volume, &record, err);
	if (r == -EBADMSG) {
		caisson_wrap(err, "the key of the volume %s in %s", volume, db->path);
		return caisson_hint(err, "somebody changed the database: restore it from a backup");
	}
	if (r < 0)
		return r;
	*ret_record = record;
	if (ret_key != NULL)
		*ret_key = take_secret(&key);
	return 0;
}

int store_remove(const struct db *db, const char *volume, struct caisson_error *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r;

	r = db_prepare(db, "DELETE FROM volumes WHERE name = ?1", &statement, err);
	if (r < 0)
		return r;
	db_bind_text(statement, 1, volume);
	r = db_step(db, statement, err);
	return r < 0 ? r : sqlite3_changes(db->handle) > 0;
}

int store_list(const struct db *db, struct strv *volumes, struct caisson_error *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r;

	r = db_prepare(db, "SELECT name FROM volumes ORDER BY name", &statement, err);
	if (r < 0)
		return r;
	while ((r = db_step(db, statement, err)) == 1) {
		const char *name = (const char *)sqlite3_column_text(statement, 0);

		/* Names become paths in the caller's hands. */
		if (name == NULL || !name_valid(name))
			return caisson_refuse(err, EUCLEAN,
				"%s holds a volume with an impossible name", db->path);
		strv_add(volumes, name);
	}
	if (r == 0 && !strv_ok(volumes))
		return caisson_fail(err, ENOMEM, "list the volumes");
	return r;
}
