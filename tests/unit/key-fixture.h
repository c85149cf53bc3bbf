/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A key service in a private folder, its guests, and hands that change its databases. */
#pragma once

#include "test.h"

#include <errno.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "key/protocol.h"
#include "key/service.h"

struct fixture {
	char *folder;
	struct state state;
	struct key_service *service;
};

static inline void open_service(struct fixture *f)
{
	struct caisson_error err = {0};

	assert_ok(key_service_open(&f->state, &f->service, &err), &err);
}

static inline void close_service(struct fixture *f)
{
	key_service_close(f->service);
	f->service = NULL;
}

static inline int make_fixture(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_free_ char *dir = NULL, *config = NULL;
	struct caisson_error err = {0};

	if (f == NULL || make_test_folder((void **)&f->folder) < 0)
		return -1;
	dir = path_join(f->folder, "state");
	config = path_join(f->folder, "config");
	assert_ok(state_open(&f->state, dir, config, &err), &err);
	open_service(f);
	*state = f;
	return 0;
}

static inline int drop_fixture(void **state)
{
	struct fixture *f = *state;
	int r;

	close_service(f);
	state_done(&f->state);
	r = remove_test_folder((void **)&f->folder);
	free(f);
	return r;
}

static inline char *inside(const struct fixture *f, const char *name)
{
	char *path = path_join(f->folder, name);

	assert_non_null(path);
	return path;
}

static inline struct key_record record_of(const char *volume)
{
	struct key_record record = {
		.filesystem = "ext4",
		.created = 1760000000,
		.facts = {.uuid = "01234567-89ab-cdef-0123-456789abcdef",
			.cipher = "aes-xts-plain64",
			.key_size = 64,
			.sector_size = 4096,
			.data_offset = 16777216},
	};

	snprintf(record.volume, sizeof(record.volume), "%s", volume);
	memset(record.facts.fingerprint, 0xa5, sizeof(record.facts.fingerprint));
	return record;
}

static inline void put(struct fixture *f, const char *volume, struct secret *ret_key)
{
	struct key_record record = record_of(volume);
	_cleanup_secret_ struct secret key = SECRET_NONE;
	struct caisson_error err = {0};

	assert_ok(secret_random(&key, LUKS_MACHINE_KEY_SIZE, &err), &err);
	assert_ok(key_service_put(f->service, &record, &key, &err), &err);
	if (ret_key != NULL)
		*ret_key = take_secret(&key);
}

static inline void mint(struct fixture *f, const char *machine, const char *volume,
	unsigned int lifetime_s, struct secret *ret_secret)
{
	_cleanup_strv_ struct strv volumes = STRV_INIT;
	struct caisson_error err = {0};

	strv_add(&volumes, volume);
	assert_ok(key_service_mint(f->service, machine, &volumes, lifetime_s, ret_secret, &err),
		&err);
	assert_int_equal(ret_secret->size, KEY_START_SECRET_SIZE);
}

/* A guest of @machine with a start's secret. */
struct guest {
	struct key_client *client;
	struct strbuf hello, reply;
};

static inline void guest_start(
	struct guest *guest, const char *machine, const struct secret *secret)
{
	struct caisson_error err = {0};

	*guest = (struct guest){NULL, STRBUF_INIT, STRBUF_INIT};
	assert_ok(key_client_new(machine, secret, &guest->client, &guest->hello, &err), &err);
}

static inline void guest_done(struct guest *guest)
{
	key_client_free(guest->client);
	strbuf_done(&guest->hello);
	strbuf_done(&guest->reply);
}

#define _cleanup_guest_ _cleanup_(guest_done)

static inline int ask(
	struct fixture *f, struct guest *guest, const char *machine, struct caisson_error *err)
{
	strbuf_clear(&guest->reply);
	return key_service_answer(
		f->service, machine, guest->hello.data, guest->hello.size, &guest->reply, err);
}

static inline int open_reply(
	struct guest *guest, struct key_grants *ret_grants, struct caisson_error *err)
{
	return key_client_open(
		guest->client, guest->reply.data, guest->reply.size, ret_grants, err);
}

/* The host refuses with @host_says in its sentence, and the guest is told @guest_says. */
static inline void assert_answer_refused(struct fixture *f, struct guest *guest,
	const char *machine, const char *host_says, const char *guest_says, bool authenticated)
{
	struct caisson_error err = {0};
	struct key_grants grants;

	assert_refused(ask(f, guest, machine, &err), &err, EACCES);
	if (strstr(err.message, host_says) == NULL)
		fail_msg("the host says: %s", err.message);
	assert_refused(open_reply(guest, &grants, &err), &err, EACCES);
	if (strstr(err.message, guest_says) == NULL)
		fail_msg("the guest says: %s", err.message);
	assert_int_equal(strstr(err.message, "unauthenticated") == NULL, authenticated);
}

static inline void assert_granted(struct fixture *f, struct guest *guest, const char *machine)
{
	_cleanup_key_grants_ struct key_grants grants = {0};
	struct caisson_error err = {0};

	assert_ok(ask(f, guest, machine, &err), &err);
	assert_ok(open_reply(guest, &grants, &err), &err);
}

/* Runs SQL on a database behind the service's back. */
static inline void tamper(struct fixture *f, const char *database, const char *sql)
{
	_cleanup_free_ char *path = inside(f, database);
	sqlite3 *handle;

	assert_int_equal(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	if (sqlite3_exec(handle, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(handle));
	assert_true(sqlite3_total_changes(handle) > 0 || strstr(sql, "PRAGMA") != NULL);
	sqlite3_close(handle);
}

struct tally {
	struct strbuf text; /* one line an entry */
	uint64_t last;
};

static inline int add_entry(const struct key_audit *entry, void *userdata)
{
	struct tally *tally = userdata;

	assert_true(entry->time >= tally->last);
	tally->last = entry->time;
	strbuf_add_format(&tally->text, "%s|%s|%s|%s\n", entry->machine, entry->volume,
		entry->action, entry->outcome);
	return 0;
}

static inline void assert_audit(struct fixture *f, const char *wanted)
{
	struct tally tally = {STRBUF_INIT, 0};
	struct caisson_error err = {0};

	assert_ok(key_service_audit(f->service, add_entry, &tally, &err), &err);
	strbuf_add(&tally.text, "", 0);
	assert_string_equal(tally.text.data, wanted);
	strbuf_done(&tally.text);
}

enum { RACERS = 8 };

/* RACERS children wait for the end of a pipe, then all run @act at once. Returns how many exited
 * with 0.
 */
static inline int race(struct fixture *f, int (*act)(struct fixture *f, int number, void *userdata),
	void *userdata, int *ret_others)
{
	int pipes[2], winners = 0, others = 0, status;

	assert_int_equal(pipe(pipes), 0);
	for (int i = 0; i < RACERS; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			char c;

			close(pipes[1]);
			while (read(pipes[0], &c, 1) < 0)
				continue;
			_exit(act(f, i, userdata));
		}
	}
	close(pipes[0]);
	close(pipes[1]);
	for (int i = 0; i < RACERS; i++) {
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 0)
			winners++;
		else if (WEXITSTATUS(status) != EACCES)
			others++;
	}
	*ret_others = others;
	return winners;
}
