/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "key/starts.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/io.h"
#include "base/path.h"
#include "key/audit.h"

#define RECORD_MOST (64 + KEY_NAME_SIZE + START_BOOT_SIZE + KEY_VOLUMES_MOST * KEY_NAME_SIZE)
/* Of one machine, used up ones included: older ones are forgotten. */
#define STARTS_KEPT "16"

static const uint8_t record_tag[8] = {'c', 'a', 'i', 's', 'r', 'u', 'n', 1};

/* AUTOINCREMENT: a forgotten start's id never comes back as another's. */
static const struct db_schema schema = {
	.version = 1,
	.pragmas = "PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=OFF;",
	.damaged_hint = "remove it: it holds no volume's key, only what machines that are just"
			" being started need",
	.sql = "CREATE TABLE boot (id TEXT NOT NULL) STRICT;"
	       "CREATE TABLE starts (id INTEGER PRIMARY KEY AUTOINCREMENT, machine TEXT NOT NULL,"
	       " deadline INTEGER NOT NULL, spent TEXT, record BLOB NOT NULL,"
	       " wrapped BLOB NOT NULL) STRICT;"
	       "CREATE INDEX starts_by_machine ON starts (machine);" AUDIT_SCHEMA,
};

static int64_t boot_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int read_boot(char ret_boot[static START_BOOT_SIZE], struct caisson_error *err)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	int r;

	r = read_file(path, START_BOOT_SIZE, &text, err);
	if (r < 0)
		return r;
	if (text.size != 37 || text.data[36] != '\n')
		return caisson_refuse(err, EINVAL, "%s holds no boot ID", path);
	memcpy(ret_boot, text.data, 36);
	memset(ret_boot + 36, 0, START_BOOT_SIZE - 36);
	return 0;
}

static int boot_is_recorded(const struct starts *starts, struct caisson_error *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r;

	r = db_prepare(&starts->db, "SELECT 1 FROM boot WHERE id = ?1", &statement, err);
	if (r < 0)
		return r;
	db_bind_text(statement, 1, starts->boot);
	return db_step(&starts->db, statement, err);
}

/* A statement without rows, whose parameters are: ?1 wall clock, ?2 boot clock, ?3 machine, ?4
 * text. */
static int run(const struct starts *starts, const char *sql, const char *machine, const char *text,
	struct caisson_error *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r;

	r = db_prepare(&starts->db, sql, &statement, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, audit_now());
	sqlite3_bind_int64(statement, 2, boot_now());
	db_bind_text(statement, 3, machine);
	db_bind_text(statement, 4, text);
	return db_step(&starts->db, statement, err);
}

/* The first to come after a boot voids what was minted before it. */
static int enter_boot(const struct starts *starts, struct caisson_error *err)
{
	_cleanup_transaction_ const struct db *transaction = NULL;
	int faults, r;

	r = boot_is_recorded(starts, err);
	if (r != 0)
		return r < 0 ? r : 0;
	/* What a power cut did to a file that nothing was synced in. */
	r = db_number(&starts->db,
		"SELECT count(*) FROM pragma_quick_check WHERE quick_check <> 'ok'", &faults, err);
	if (r == 0 && faults != 0)
		return caisson_refuse(err, EUCLEAN, "%s is damaged", starts->db.path);
	if (r == 0)
		r = db_begin(&starts->db, &transaction, err);
	if (r == 0)
		r = boot_is_recorded(starts, err);
	if (r != 0)
		return r < 0 ? r : 0;
	r = run(starts,
		"INSERT INTO audit (time, machine, volume, action, outcome) SELECT ?1, machine, '',"
		" 'expire', 'the host was started anew' FROM starts WHERE spent IS NULL",
		NULL, NULL, err);
	if (r == 0)
		r = run(starts, "DELETE FROM starts", NULL, NULL, err);
	if (r == 0)
		r = run(starts, "DELETE FROM boot", NULL, NULL, err);
	if (r == 0)
		r = run(starts, "INSERT INTO boot (id) VALUES (?4)", NULL, starts->boot, err);
	return r < 0 ? r : db_commit(&transaction, err);
}

static int open_once(struct starts *ret_starts, const char *folder, struct caisson_error *err)
{
	_cleanup_starts_ struct starts starts = STARTS_NONE;
	int r;

	r = read_boot(starts.boot, err);
	if (r == 0)
		r = db_open(&starts.db, folder, "starts.db", &schema, err);
	if (r == 0)
		r = enter_boot(&starts, err);
	if (r < 0)
		return r;
	*ret_starts = starts;
	starts = STARTS_NONE;
	return 0;
}

/* Sets a damaged file aside for whoever looks into it. Nothing in it is worth a refusal: a start
   that is forgotten is a start that is void. */
static int set_aside(const char *folder, struct caisson_error *err)
{
	static const char *const names[][2] = {
		{"starts.db-journal", "starts.db-journal.damaged"},
		{"starts.db", "starts.db.damaged"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *from = path_join(folder, names[i][0]);
		_cleanup_free_ char *to = path_join(folder, names[i][1]);

		if (from == NULL || to == NULL)
			return caisson_fail(err, ENOMEM, "set %s aside", names[i][0]);
		if (rename(from, to) < 0 && errno != ENOENT)
			return caisson_fail(err, errno, "rename %s to %s", from, to);
	}
	return 0;
}

int starts_open(struct starts *ret_starts, const char *folder, struct caisson_error *err)
{
	int r = open_once(ret_starts, folder, err);

	if (r != -EUCLEAN)
		return r;
	r = set_aside(folder, err);
	if (r == 0)
		r = open_once(ret_starts, folder, err);
	if (r == 0)
		r = audit_add(&ret_starts->db, "", "", "expire",
			"every start was forgotten: starts.db was damaged, and is set aside", err);
	return r;
}

void starts_done(struct starts *starts)
{
	db_done(&starts->db);
}

static void encode_record(const struct starts *starts, const char *machine,
	const struct strv *volumes, int64_t deadline, struct encoder *to)
{
	encode_bytes(to, record_tag, sizeof(record_tag));
	encode_text(to, machine, KEY_NAME_SIZE);
	encode_text(to, starts->boot, sizeof(starts->boot));
	encode_u64(to, (uint64_t)deadline);
	encode_u8(to, (uint8_t)volumes->count);
	for (size_t i = 0; i < volumes->count; i++)
		encode_text(to, volumes->items[i], KEY_NAME_SIZE);
}

/* Forgets what is past its time, and what is beyond the number kept for one machine. */
static int sweep(const struct starts *starts, const char *machine, struct caisson_error *err)
{
#define FORGOTTEN \
	"deadline <= ?2 OR machine = ?3 AND id <= (SELECT id FROM starts WHERE machine = ?3" \
	" ORDER BY id DESC LIMIT 1 OFFSET " STARTS_KEPT " - 1)"
	int r = run(starts,
		"INSERT INTO audit (time, machine, volume, action, outcome) SELECT ?1, machine, '',"
		" 'expire', 'never used' FROM starts WHERE spent IS NULL AND (" FORGOTTEN ")",
		machine, NULL, err);

	return r < 0 ? r : run(starts, "DELETE FROM starts WHERE " FORGOTTEN, machine, NULL, err);
#undef FORGOTTEN
}

static int insert(const struct starts *starts, const char *machine, int64_t deadline,
	const struct encoder *record, const struct strbuf *wrapped, struct caisson_error *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r;

	r = db_prepare(&starts->db,
		"INSERT INTO starts (machine, deadline, record, wrapped) VALUES (?1, ?2, ?3, ?4)",
		&statement, err);
	if (r < 0)
		return r;
	db_bind_text(statement, 1, machine);
	sqlite3_bind_int64(statement, 2, deadline);
	db_bind_blob(statement, 3, record->data, record->size);
	db_bind_blob(statement, 4, wrapped->data, wrapped->size);
	return db_step(&starts->db, statement, err);
}

int starts_mint(const struct starts *starts, const struct kek *kek, const char *machine,
	const struct strv *volumes, unsigned int lifetime_s, const struct secret *start_secret,
	struct caisson_error *err)
{
	_cleanup_transaction_ const struct db *transaction = NULL;
	_cleanup_secret_ struct secret proof_keys = SECRET_NONE;
	_cleanup_strbuf_ struct strbuf wrapped = STRBUF_INIT;
	int64_t deadline = boot_now() + (int64_t)lifetime_s * 1000000;
	uint8_t bytes[RECORD_MOST];
	struct encoder record = {.data = bytes, .capacity = sizeof(bytes)};
	int r;

	encode_record(starts, machine, volumes, deadline, &record);
	if (record.failed)
		return caisson_refuse(err, EINVAL, "the names of the volumes are too long");
	r = key_proof_keys(start_secret, &proof_keys, err);
	if (r == 0)
		r = kek_wrap(
			kek, KEK_USE_START, record.data, record.size, &proof_keys, &wrapped, err);
	if (r == 0)
		r = db_begin(&starts->db, &transaction, err);
	if (r == 0)
		r = sweep(starts, machine, err);
	if (r == 0)
		r = insert(starts, machine, deadline, &record, &wrapped, err);
	for (size_t i = 0; i < volumes->count && r == 0; i++)
		r = audit_add(&starts->db, machine, volumes->items[i], "mint", "done", err);
	return r < 0 ? r : db_commit(&transaction, err);
}

int starts_revoke(const struct starts *starts, const char *machine, struct caisson_error *err)
{
	_cleanup_transaction_ const struct db *transaction = NULL;
	int r;

	r = db_begin(&starts->db, &transaction, err);
	if (r == 0)
		r = run(starts,
			"INSERT INTO audit (time, machine, volume, action, outcome) SELECT ?1,"
			" machine, '', 'revoke', 'done' FROM starts"
			" WHERE spent IS NULL AND machine = ?3",
			machine, NULL, err);
	if (r == 0)
		r = run(starts,
			"UPDATE starts SET spent = 'revoked' WHERE spent IS NULL AND machine = ?3",
			machine, NULL, err);
	return r < 0 ? r : db_commit(&transaction, err);
}

/* Fills an empty @start from the columns of starts_find(): id, spent, record, wrapped. */
static int read_start(const struct starts *starts, const struct kek *kek, const char *machine,
	sqlite3_stmt *row, struct start *start, struct caisson_error *err)
{
	struct decoder from = {
		.data = sqlite3_column_blob(row, 2), .size = (size_t)sqlite3_column_bytes(row, 2)};
	char name[KEY_NAME_SIZE], boot[START_BOOT_SIZE];
	uint64_t deadline;
	uint8_t count;
	int r;

	r = kek_unwrap(kek, KEK_USE_START, from.data, from.size, sqlite3_column_blob(row, 3),
		(size_t)sqlite3_column_bytes(row, 3), &start->proof_keys, err);
	if (r < 0)
		return r;
	(void)decode_span(&from, sizeof(record_tag));
	decode_text(&from, name, sizeof(name));
	decode_text(&from, boot, sizeof(boot));
	deadline = decode_u64(&from);
	count = decode_u8(&from);
	for (size_t i = 0; i < count && !from.failed; i++) {
		char volume[KEY_NAME_SIZE];

		decode_text(&from, volume, sizeof(volume));
		strv_add(&start->volumes, volume);
	}
	if (!decode_complete(&from) || strcmp(name, machine) != 0 ||
		start->proof_keys.size != KEY_PROOF_KEYS_SIZE)
		return caisson_refuse(err, EBADMSG, "a start is recorded wrongly");
	if (!strv_ok(&start->volumes))
		return caisson_fail(err, ENOMEM, "read a start");
	start->id = sqlite3_column_int64(row, 0);
	if (sqlite3_column_type(row, 1) != SQLITE_NULL)
		start->void_why = strcmp((const char *)sqlite3_column_text(row, 1), "used") == 0
					  ? "was used already"
					  : "was revoked";
	else if (strcmp(boot, starts->boot) != 0 || deadline <= (uint64_t)boot_now())
		start->void_why = "has expired";
	return 0;
}

int starts_find(const struct starts *starts, const struct kek *kek, const struct key_hello *hello,
	struct start *ret_start, struct caisson_error *err)
{
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int r;

	r = db_prepare(&starts->db,
		"SELECT id, spent, record, wrapped FROM starts WHERE machine = ?1"
		" ORDER BY id DESC LIMIT " STARTS_KEPT,
		&statement, err);
	if (r < 0)
		return r;
	db_bind_text(statement, 1, hello->machine);
	while ((r = db_step(&starts->db, statement, err)) == 1) {
		_cleanup_start_ struct start start = {0};

		r = read_start(starts, kek, hello->machine, statement, &start, err);
		/* One that somebody changed is as good as none. */
		if (r == -EBADMSG)
			continue;
		if (r < 0)
			return r;
		if (!key_exchange_proven(hello, &start.proof_keys))
			continue;
		*ret_start = start;
		start = (struct start){0};
		return 1;
	}
	return r;
}

int starts_use(const struct starts *starts, const struct start *start, struct caisson_error *err)
{
	_cleanup_transaction_ const struct db *transaction = NULL;
	_cleanup_statement_ sqlite3_stmt *statement = NULL;
	int changed, r;

	r = db_begin(&starts->db, &transaction, err);
	if (r == 0)
		r = db_prepare(&starts->db,
			"UPDATE starts SET spent = 'used' WHERE id = ?1 AND spent IS NULL",
			&statement, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, start->id);
	r = db_step(&starts->db, statement, err);
	if (r < 0)
		return r;
	changed = sqlite3_changes(starts->db.handle);
	r = db_commit(&transaction, err);
	return r < 0 ? r : changed == 1;
}

void start_done(struct start *start)
{
	strv_done(&start->volumes);
	secret_done(&start->proof_keys);
}
