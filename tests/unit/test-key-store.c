/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The key service at rest: the databases, the key-encryption key, and their faults. */
#include "key-fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/io.h"
#include "key/kek.h"
#include "key/messages.h"

static int open_kek(struct fixture *f, int number, void *userdata)
{
	uint8_t(*ids)[KEK_ID_SIZE] = userdata;
	struct caisson_error err = {0};
	struct kek kek;
	int r;

	r = kek_open(&kek, f->state.config, true, &err);
	if (r == 0)
		memcpy(ids[number], kek.id, KEK_ID_SIZE);
	return -r;
}

static void test_kek_is_made_once(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *path = inside(f, "config/kek");
	uint8_t(*ids)[KEK_ID_SIZE];
	size_t size = RACERS * sizeof(*ids);
	int others;

	ids = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(ids != MAP_FAILED);
	for (int round = 0; round < 20; round++) {
		assert_int_equal(unlink(path), 0);
		assert_int_equal(race(f, open_kek, ids, &others), RACERS);
		for (size_t i = 1; i < RACERS; i++)
			assert_memory_equal(ids[0], ids[i], KEK_ID_SIZE);
	}
	munmap(ids, size);
}

static int open_and_put(struct fixture *f, int number, void *userdata _unused_)
{
	_cleanup_secret_ struct secret key = SECRET_NONE;
	struct caisson_error err = {0};
	char name[16];
	int r;

	snprintf(name, sizeof(name), "v%d", number);
	struct key_record record = record_of(name);
	r = key_service_open(&f->state, &f->service, &err);
	if (r == 0)
		r = secret_random(&key, LUKS_MACHINE_KEY_SIZE, &err);
	if (r == 0)
		r = key_service_put(f->service, &record, &key, &err);
	return -r;
}

static void test_first_opened_by_many(void **state)
{
	/* Databases and key-encryption key are made once, whoever comes first. */
	struct fixture *f = *state;
	_cleanup_free_ char *dir = inside(f, "new"), *config = inside(f, "new-config");
	_cleanup_strv_ struct strv volumes = STRV_INIT;
	struct fixture fresh = {.folder = f->folder};
	struct caisson_error err = {0};
	int others;

	assert_ok(state_open(&fresh.state, dir, config, &err), &err);
	assert_int_equal(race(&fresh, open_and_put, NULL, &others), RACERS);
	open_service(&fresh);
	assert_ok(key_service_list(fresh.service, &volumes, &err), &err);
	assert_int_equal(volumes.count, RACERS);
	for (size_t i = 0; i < volumes.count; i++) {
		_cleanup_secret_ struct secret key = SECRET_NONE;

		assert_ok(key_service_unwrap(fresh.service, volumes.items[i], &key, &err), &err);
	}
	close_service(&fresh);
	state_done(&fresh.state);
}

static void test_life_of_a_key(void **state)
{
	struct fixture *f = *state;
	_cleanup_secret_ struct secret key = SECRET_NONE, found = SECRET_NONE, none = SECRET_NONE;
	_cleanup_strv_ struct strv volumes = STRV_INIT, after = STRV_INIT;
	struct key_record wanted = record_of("data"), record;
	struct caisson_error err = {0};

	put(f, "data", &key);
	put(f, "a.b-c_d", NULL);
	assert_ok(key_service_find(f->service, "data", &record, &err), &err);
	assert_memory_equal(&record, &wanted, sizeof(record));
	assert_ok(key_service_unwrap(f->service, "data", &found, &err), &err);
	assert_true(secret_equal(&key, &found));
	assert_ok(key_service_list(f->service, &volumes, &err), &err);
	assert_int_equal(volumes.count, 2);
	assert_string_equal(volumes.items[0], "a.b-c_d");
	assert_refused(key_service_put(f->service, &wanted, &key, &err), &err, EEXIST);

	assert_int_equal(key_service_remove(f->service, "data", &err), 1);
	assert_int_equal(key_service_remove(f->service, "data", &err), 0);
	assert_refused(key_service_find(f->service, "data", &record, &err), &err, ENOENT);
	assert_refused(key_service_unwrap(f->service, "data", &none, &err), &err, ENOENT);
	assert_null(none.data);
	assert_ok(key_service_put(f->service, &wanted, &key, &err), &err);
	assert_ok(key_service_list(f->service, &after, &err), &err);
	assert_int_equal(after.count, 2);
	assert_audit(f, "|data|create|done\n"
			"|a.b-c_d|create|done\n"
			"|data|unwrap|done\n"
			"|data|destroy|done\n"
			"|data|create|done\n");
}

static void test_impossible_records(void **state)
{
	static const char *const names[] = {
		"", "..", "a/b", "a b", "UPPER", "\x01", "\xc3\xa9", "';--", "-x"};
	struct fixture *f = *state;
	_cleanup_secret_ struct secret key = SECRET_NONE, longer = SECRET_NONE;
	struct caisson_error err = {0};
	struct key_record record;

	assert_ok(secret_random(&key, LUKS_MACHINE_KEY_SIZE, &err), &err);
	assert_ok(secret_random(&longer, LUKS_MACHINE_KEY_SIZE + 1, &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		record = record_of(names[i]);
		assert_refused(key_service_put(f->service, &record, &key, &err), &err, EINVAL);
		assert_int_equal(key_service_find(f->service, names[i], &record, &err), -ENOENT);
		assert_int_equal(key_service_remove(f->service, names[i], &err), 0);
	}
	record = record_of("data");
	memset(record.volume, 'a', sizeof(record.volume));
	assert_refused(key_service_put(f->service, &record, &key, &err), &err, EINVAL);
	record = record_of("data");
	memset(record.facts.uuid, 'u', sizeof(record.facts.uuid));
	assert_refused(key_service_put(f->service, &record, &key, &err), &err, EINVAL);
	record = record_of("data");
	record.filesystem[0] = '\0';
	assert_refused(key_service_put(f->service, &record, &key, &err), &err, EINVAL);
	record = record_of("data");
	assert_refused(key_service_put(f->service, &record, &longer, &err), &err, EINVAL);
	assert_audit(f, "");
}

static void read_database(struct fixture *f, struct strbuf *bytes)
{
	_cleanup_free_ char *path = inside(f, "state/keys/keys.db");
	struct caisson_error err = {0};

	strbuf_clear(bytes);
	assert_ok(read_file(path, 16 << 20, bytes, &err), &err);
}

static void test_removed_keys_are_overwritten(void **state)
{
	enum { VOLUMES = 100, WRAPPED = 72 };
	struct fixture *f = *state;
	_cleanup_free_ char *path = inside(f, "state/keys/keys.db");
	_cleanup_strbuf_ struct strbuf wrapped = STRBUF_INIT, bytes = STRBUF_INIT;
	_cleanup_strbuf_ struct strbuf journal = STRBUF_INIT;
	struct caisson_error err = {0};
	sqlite3_stmt *statement;
	sqlite3 *handle;
	char name[16];

	for (int i = 0; i < VOLUMES; i++) {
		snprintf(name, sizeof(name), "v%d", i * 37 % VOLUMES);
		put(f, name, NULL);
	}
	assert_int_equal(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(handle, "SELECT wrapped FROM volumes ORDER BY name", -1,
				 &statement, NULL),
		SQLITE_OK);
	while (sqlite3_step(statement) == SQLITE_ROW) {
		assert_int_equal(sqlite3_column_bytes(statement, 0), WRAPPED);
		strbuf_add(&wrapped, sqlite3_column_blob(statement, 0), WRAPPED);
	}
	sqlite3_finalize(statement);
	sqlite3_close(handle);
	assert_int_equal(wrapped.size, VOLUMES * WRAPPED);
	read_database(f, &bytes);
	for (int i = 0; i < VOLUMES; i++)
		assert_non_null(
			memmem(bytes.data, bytes.size, wrapped.data + i * WRAPPED, WRAPPED));

	_cleanup_strv_ struct strv volumes = STRV_INIT;
	assert_ok(key_service_list(f->service, &volumes, &err), &err);
	for (int i = 0; i < VOLUMES; i++) {
		int at = i * 61 % VOLUMES;

		assert_int_equal(key_service_remove(f->service, volumes.items[at], &err), 1);
		read_database(f, &bytes);
		/* Neither whole nor the better part of its ciphertext. */
		assert_null(memmem(bytes.data, bytes.size, wrapped.data + at * WRAPPED + 24, 32));
	}
	_cleanup_free_ char *journal_path = inside(f, "state/keys/keys.db-journal");
	if (access(journal_path, F_OK) == 0) {
		assert_ok(read_file(journal_path, 16 << 20, &journal, &err), &err);
		assert_int_equal(journal.size, 0);
	}
}

static void test_no_key_in_the_clear(void **state)
{
	struct fixture *f = *state;
	_cleanup_secret_ struct secret key = SECRET_NONE, secret = SECRET_NONE, keys = SECRET_NONE;
	static const char *const files[] = {"state/keys/keys.db", "state/keys/starts.db"};
	struct caisson_error err = {0};

	put(f, "data", &key);
	mint(f, "web", "data", 60, &secret);
	assert_ok(key_proof_keys(&secret, &keys, &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *path = inside(f, files[i]);
		_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;
		struct stat st;

		assert_ok(read_file(path, 16 << 20, &bytes, &err), &err);
		assert_null(memmem(bytes.data, bytes.size, key.data, key.size));
		assert_null(memmem(bytes.data, bytes.size, secret.data, secret.size));
		assert_null(memmem(bytes.data, bytes.size, keys.data, 32));
		assert_null(memmem(bytes.data, bytes.size, keys.data + 32, 32));
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
}

static void test_changed_database(void **state)
{
	static const char *const changes[] = {
		/* the wrapped key; the record; another volume's record, or key, or both */
		"UPDATE volumes SET wrapped = zeroblob(72) WHERE name = 'data'",
		"UPDATE volumes SET wrapped = x'' WHERE name = 'data'",
		"UPDATE volumes SET record = x'' WHERE name = 'data'",
		"UPDATE volumes SET record = (SELECT record FROM volumes WHERE name = 'other')"
		" WHERE name = 'data'",
		"UPDATE volumes SET wrapped = (SELECT wrapped FROM volumes WHERE name = 'other')"
		" WHERE name = 'data'",
		"UPDATE volumes SET (record, wrapped) = (SELECT record, wrapped FROM volumes"
		" WHERE name = 'other') WHERE name = 'data'",
	};
	struct fixture *f = *state;
	struct caisson_error err = {0};
	struct key_record record;

	put(f, "other", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		_cleanup_secret_ struct secret key = SECRET_NONE, secret = SECRET_NONE;
		_cleanup_guest_ struct guest guest;
		struct key_grants grants;

		put(f, "data", NULL);
		mint(f, "web", "data", 60, &secret);
		guest_start(&guest, "web", &secret);
		tamper(f, "state/keys/keys.db", changes[i]);
		assert_refused(key_service_find(f->service, "data", &record, &err), &err, EBADMSG);
		assert_true(err.hint[0] != '\0');
		assert_refused(key_service_unwrap(f->service, "data", &key, &err), &err, EBADMSG);
		assert_refused(ask(f, &guest, "web", &err), &err, EBADMSG);
		assert_refused(open_reply(&guest, &grants, &err), &err, EACCES);
		assert_int_equal(key_service_remove(f->service, "data", &err), 1);
	}
}

/* Changes one byte of a volume's record or wrapped key; false beyond its end. */
static bool flip_byte(struct fixture *f, const char *column, int at)
{
	_cleanup_free_ char *path = inside(f, "state/keys/keys.db");
	sqlite3_blob *blob;
	sqlite3 *handle;
	uint8_t byte;
	bool there;

	assert_int_equal(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(
		sqlite3_blob_open(handle, "main", "volumes", column, 1, 1, &blob), SQLITE_OK);
	there = at < sqlite3_blob_bytes(blob);
	if (there) {
		assert_int_equal(sqlite3_blob_read(blob, &byte, 1, at), SQLITE_OK);
		byte ^= (uint8_t)(1 << (at % 8));
		assert_int_equal(sqlite3_blob_write(blob, &byte, 1, at), SQLITE_OK);
	}
	assert_int_equal(sqlite3_blob_close(blob), SQLITE_OK);
	assert_int_equal(sqlite3_close(handle), SQLITE_OK);
	return there;
}

static void test_changed_bytes(void **state)
{
	static const char *const columns[] = {"record", "wrapped"};
	struct fixture *f = *state;
	struct caisson_error err = {0};
	struct key_record record;

	put(f, "data", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		int at;

		for (at = 0; flip_byte(f, columns[i], at); at++) {
			assert_refused(
				key_service_find(f->service, "data", &record, &err), &err, EBADMSG);
			assert_true(flip_byte(f, columns[i], at));
		}
		assert_true(at >= 72);
	}
	assert_ok(key_service_find(f->service, "data", &record, &err), &err);
}

static void test_names_in_a_changed_database(void **state)
{
	struct fixture *f = *state;
	_cleanup_strv_ struct strv volumes = STRV_INIT;
	struct caisson_error err = {0};

	put(f, "data", NULL);
	tamper(f, "state/keys/keys.db", "UPDATE volumes SET name = '../../etc'");
	assert_refused(key_service_list(f->service, &volumes, &err), &err, EUCLEAN);
}

static void test_kek(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *path = inside(f, "config/kek"), *kept = inside(f, "kept");
	static const uint8_t other[33] = {1};
	struct caisson_error err = {0};
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 32);
	close_service(f);

	/* Nothing is wrapped yet: a new one will do. */
	assert_int_equal(unlink(path), 0);
	open_service(f);
	put(f, "data", NULL);
	close_service(f);

	for (mode_t mode = 0001; mode <= 0040; mode <<= 1) {
		assert_int_equal(chmod(path, 0600 | mode), 0);
		assert_refused(key_service_open(&f->state, &f->service, &err), &err, EPERM);
		assert_true(err.hint[0] != '\0');
	}
	assert_int_equal(chmod(path, 0600), 0);
	open_service(f);
	close_service(f);

	assert_int_equal(rename(path, kept), 0);
	assert_refused(key_service_open(&f->state, &f->service, &err), &err, ENOKEY);
	assert_true(err.hint[0] != '\0');
	assert_int_equal(access(path, F_OK), -1);
	assert_ok(write_file_atomic(path, other, 32, 0600, &err), &err);
	assert_refused(key_service_open(&f->state, &f->service, &err), &err, ENOKEY);
	assert_ok(write_file_atomic(path, other, 33, 0600, &err), &err);
	assert_refused(key_service_open(&f->state, &f->service, &err), &err, EBADMSG);
	assert_ok(write_file_atomic(path, other, 0, 0600, &err), &err);
	assert_refused(key_service_open(&f->state, &f->service, &err), &err, EBADMSG);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(kept, path), 0);
	assert_refused(key_service_open(&f->state, &f->service, &err), &err, ELOOP);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(key_service_open(&f->state, &f->service, &err), &err, EBADMSG);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rename(kept, path), 0);
	open_service(f);
	if (geteuid() == 0) {
		close_service(f);
		assert_int_equal(chown(path, 12345, 0), 0);
		assert_refused(key_service_open(&f->state, &f->service, &err), &err, EPERM);
		assert_non_null(strstr(err.message, "12345"));
	}
}

static void test_garbage_database(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *keys = inside(f, "state/keys/keys.db");
	_cleanup_free_ char *starts = inside(f, "state/keys/starts.db");
	char garbage[8192];
	struct caisson_error err = {0};

	memset(garbage, 'g', sizeof(garbage));
	put(f, "data", NULL);
	close_service(f);

	/* Starts are forgotten, and the service goes on. */
	assert_ok(write_file_atomic(starts, garbage, sizeof(garbage), 0600, &err), &err);
	open_service(f);
	assert_audit(f,
		"|data|create|done\n"
		"||expire|every start was forgotten: starts.db was damaged, and is set aside\n");
	close_service(f);

	/* Keys are not. */
	assert_ok(write_file_atomic(keys, garbage, sizeof(garbage), 0600, &err), &err);
	assert_refused(key_service_open(&f->state, &f->service, &err), &err, EUCLEAN);
	assert_true(err.hint[0] != '\0');
	assert_ok(write_file_atomic(keys, garbage, 0, 0644, &err), &err);
	assert_refused(key_service_open(&f->state, &f->service, &err), &err, EPERM);
	assert_int_equal(unlink(keys), 0);
	assert_int_equal(mkfifo(keys, 0600), 0);
	assert_refused(key_service_open(&f->state, &f->service, &err), &err, EBADMSG);
}

static void test_other_versions(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *keys = inside(f, "state/keys/keys.db");
	struct caisson_error err = {0};

	close_service(f);
	tamper(f, "state/keys/keys.db", "PRAGMA user_version = 2");
	assert_refused(key_service_open(&f->state, &f->service, &err), &err, EPROTONOSUPPORT);
	assert_true(err.hint[0] != '\0');
	assert_int_equal(truncate(keys, 0), 0);
	tamper(f, "state/keys/keys.db", "PRAGMA user_version = 0; CREATE TABLE foreign_table (a)");
	assert_refused(key_service_open(&f->state, &f->service, &err), &err, EUCLEAN);
}

static void test_busy_database(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *path = inside(f, "state/keys/keys.db");
	_cleanup_secret_ struct secret key = SECRET_NONE;
	struct key_record record = record_of("data");
	struct caisson_error err = {0};
	sqlite3 *handle;

	assert_ok(secret_random(&key, LUKS_MACHINE_KEY_SIZE, &err), &err);
	assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
	assert_int_equal(sqlite3_exec(handle, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	assert_refused(key_service_put(f->service, &record, &key, &err), &err, EBUSY);
	assert_true(err.hint[0] != '\0');
	sqlite3_close(handle);
	assert_ok(key_service_put(f->service, &record, &key, &err), &err);
}

/* Runs @act in a child; true when it could do its part, else why not is printed. */
static bool in_child(struct fixture *f, int (*act)(struct fixture *f))
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(act(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		return false;
	assert_int_equal(WEXITSTATUS(status), 0);
	return true;
}

static int put_in_read_only_folder(struct fixture *f)
{
	_cleanup_secret_ struct secret key = SECRET_NONE, found = SECRET_NONE;
	struct key_record record = record_of("more");
	struct caisson_error err = {0};

	if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		return 77;
	if (key_service_open(&f->state, &f->service, &err) < 0) {
		/* The starts could not be opened for writing. */
		return strstr(err.message, "cannot be written") != NULL ? 0 : 1;
	}
	if (secret_random(&key, LUKS_MACHINE_KEY_SIZE, &err) < 0)
		return 2;
	if (key_service_put(f->service, &record, &key, &err) != -EACCES ||
		strstr(err.message, "cannot be written") == NULL || err.hint[0] == '\0')
		return 3;
	/* A key that cannot be recorded as given is not given. */
	return key_service_unwrap(f->service, "data", &found, &err) == -EACCES ? 0 : 4;
}

static void test_read_only_folder(void **state)
{
	struct fixture *f = *state;
	static const char *const owned[] = {"", "state", "config", "config/kek", "state/keys",
		"state/keys/keys.db", "state/keys/starts.db"};
	_cleanup_free_ char *keys = inside(f, "state/keys");
	bool done;

	put(f, "data", NULL);
	close_service(f);
	for (size_t i = 0; geteuid() == 0 && i < ARRAY_SIZE(owned); i++) {
		_cleanup_free_ char *path = inside(f, owned[i]);

		assert_int_equal(chown(path, 65534, 65534), 0);
	}
	/* No journal is left from before; none can be made. */
	for (size_t i = 0; i < 2; i++) {
		_cleanup_free_ char *journal = inside(
			f, i == 0 ? "state/keys/keys.db-journal" : "state/keys/starts.db-journal");

		(void)unlink(journal);
	}
	assert_int_equal(chmod(keys, 0500), 0);
	done = in_child(f, put_in_read_only_folder);
	assert_int_equal(chmod(keys, 0700), 0);
	if (!done)
		leave_out("cannot become an ordinary user here");
}

static bool write_proc(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Into a mount namespace of our own; one who is not root becomes root of a user namespace. */
static bool enter_namespace(void)
{
	_cleanup_free_ char *user = format_string("0 %u 1", (unsigned int)geteuid());
	_cleanup_free_ char *group = format_string("0 %u 1", (unsigned int)getegid());

	if (geteuid() == 0)
		return unshare(CLONE_NEWNS) == 0;
	return user != NULL && group != NULL && unshare(CLONE_NEWNS | CLONE_NEWUSER) == 0 &&
	       write_proc("/proc/self/setgroups", "deny") &&
	       write_proc("/proc/self/uid_map", user) && write_proc("/proc/self/gid_map", group);
}

static int put_on_full_disk(struct fixture *f)
{
	_cleanup_free_ char *state = path_join(f->folder, "tmpfs");
	_cleanup_free_ char *filler = path_join(f->folder, "tmpfs/filler");
	_cleanup_secret_ struct secret key = SECRET_NONE;
	struct key_record record = record_of("data");
	struct caisson_error err = {0};
	struct state full = STATE_NONE;
	static const char zeros[4096];
	int fd, r;

	if (!enter_namespace() || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mkdir(state, 0700) < 0 || mount("tmpfs", state, "tmpfs", 0, "size=256k") < 0)
		return 77;
	if (state_open(&full, state, f->state.config, &err) < 0 ||
		key_service_open(&full, &f->service, &err) < 0)
		return 1;
	fd = open(filler, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		continue;
	if (secret_random(&key, LUKS_MACHINE_KEY_SIZE, &err) < 0)
		return 2;
	r = key_service_put(f->service, &record, &key, &err);
	if (r != -ENOSPC || err.hint[0] == '\0')
		return 3;
	/* Nothing was changed, and with room it works. */
	(void)unlink(filler);
	close(fd);
	return key_service_put(f->service, &record, &key, &err) == 0 ? 0 : 4;
}

static void test_full_disk(void **state)
{
	struct fixture *f = *state;

	close_service(f);
	if (!in_child(f, put_on_full_disk))
		leave_out("cannot mount a small tmpfs here");
}

int main(void)
{
#define with_fixture(test) cmocka_unit_test_setup_teardown(test, make_fixture, drop_fixture)
	const struct CMUnitTest tests[] = {
		with_fixture(test_kek_is_made_once),
		with_fixture(test_first_opened_by_many),
		with_fixture(test_life_of_a_key),
		with_fixture(test_impossible_records),
		with_fixture(test_removed_keys_are_overwritten),
		with_fixture(test_no_key_in_the_clear),
		with_fixture(test_changed_database),
		with_fixture(test_changed_bytes),
		with_fixture(test_names_in_a_changed_database),
		with_fixture(test_kek),
		with_fixture(test_garbage_database),
		with_fixture(test_other_versions),
		with_fixture(test_busy_database),
		with_fixture(test_read_only_folder),
		with_fixture(test_full_disk),
	};

	return cmocka_run_group_tests_name("key-store", tests, NULL, NULL);
}
