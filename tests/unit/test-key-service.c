/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The key service's answers: who gets keys, who does not, and what is recorded. */
#include "key-fixture.h"

static void test_whole_exchange(void **state)
{
	struct fixture *f = *state;
	_cleanup_secret_ struct secret key = SECRET_NONE, secret = SECRET_NONE;
	_cleanup_key_grants_ struct key_grants grants = {0};
	_cleanup_guest_ struct guest guest;
	struct key_record wanted = record_of("data");
	struct caisson_error err = {0};

	put(f, "data", &key);
	put(f, "other", NULL);
	mint(f, "web", "data", 60, &secret);
	/* The guest's host may be another process than the one that minted. */
	close_service(f);
	open_service(f);
	guest_start(&guest, "web", &secret);
	assert_ok(ask(f, &guest, "web", &err), &err);
	assert_ok(open_reply(&guest, &grants, &err), &err);
	assert_int_equal(grants.count, 1);
	assert_string_equal(grants.items[0].volume, "data");
	assert_string_equal(grants.items[0].filesystem, "ext4");
	assert_memory_equal(&grants.items[0].facts, &wanted.facts, sizeof(wanted.facts));
	assert_true(secret_equal(&grants.items[0].machine_key, &key));

	/* The same hello again, and a fresh one with the same secret. */
	assert_answer_refused(f, &guest, "web", "used already", "used up", true);
	_cleanup_guest_ struct guest again;
	guest_start(&again, "web", &secret);
	assert_answer_refused(f, &again, "web", "used already", "used up", true);
	assert_audit(f,
		"|data|create|done\n"
		"|other|create|done\n"
		"web|data|mint|done\n"
		"web|data|release|done\n"
		"web||refuse|the machine web got no keys: its start's secret was used already\n"
		"web||refuse|the machine web got no keys: its start's secret was used already\n");
}

static void test_many_volumes(void **state)
{
	struct fixture *f = *state;
	_cleanup_strv_ struct strv volumes = STRV_INIT;
	_cleanup_secret_ struct secret secret = SECRET_NONE, none = SECRET_NONE;
	struct secret keys[KEY_VOLUMES_MOST + 1] = {{0}};
	_cleanup_key_grants_ struct key_grants grants = {0};
	_cleanup_guest_ struct guest guest;
	struct caisson_error err = {0};

	for (int i = 0; i < KEY_VOLUMES_MOST; i++) {
		strv_add_format(&volumes, "vol-%d", i);
		put(f, volumes.items[i], &keys[i]);
	}
	assert_ok(key_service_mint(f->service, "web", &volumes, 60, &secret, &err), &err);
	guest_start(&guest, "web", &secret);
	assert_ok(ask(f, &guest, "web", &err), &err);
	assert_ok(open_reply(&guest, &grants, &err), &err);
	assert_int_equal(grants.count, KEY_VOLUMES_MOST);
	for (int i = 0; i < KEY_VOLUMES_MOST; i++) {
		assert_string_equal(grants.items[i].volume, volumes.items[i]);
		assert_true(secret_equal(&grants.items[i].machine_key, &keys[i]));
		secret_done(&keys[i]);
	}
	put(f, "one-more", NULL);
	strv_add(&volumes, "one-more");
	assert_refused(
		key_service_mint(f->service, "web", &volumes, 60, &none, &err), &err, EINVAL);
}

static void test_mint_refusals(void **state)
{
	struct fixture *f = *state;
	_cleanup_strv_ struct strv none = STRV_INIT, unknown = STRV_INIT, twice = STRV_INIT;
	_cleanup_strv_ struct strv odd = STRV_INIT, good = STRV_INIT;
	struct secret secret = SECRET_NONE;
	struct caisson_error err = {0};

	put(f, "data", NULL);
	strv_add(&good, "data");
	strv_add(&unknown, "nothing");
	strv_add(&twice, "data");
	strv_add(&twice, "data");
	strv_add(&odd, "../data");
	struct key_service *s = f->service;
	assert_refused(key_service_mint(s, "web", &none, 60, &secret, &err), &err, EINVAL);
	assert_refused(key_service_mint(s, "web", &unknown, 60, &secret, &err), &err, ENOENT);
	assert_refused(key_service_mint(s, "web", &twice, 60, &secret, &err), &err, EINVAL);
	assert_refused(key_service_mint(s, "web", &odd, 60, &secret, &err), &err, EINVAL);
	assert_refused(key_service_mint(s, "we\nb", &good, 60, &secret, &err), &err, EINVAL);
	assert_refused(key_service_mint(s, "", &good, 60, &secret, &err), &err, EINVAL);
	assert_refused(key_service_mint(s, "web", &good, 0, &secret, &err), &err, EINVAL);
	assert_null(secret.data);
}

static void test_flipped_hello(void **state)
{
	/* None is granted, and none uses the secret up. One bit of each byte: test-key-protocol.c
	   has all of them, and here each costs a write to the audit log. */
	struct fixture *f = *state;
	_cleanup_secret_ struct secret secret = SECRET_NONE;
	_cleanup_guest_ struct guest guest;
	struct caisson_error err = {0};

	put(f, "data", NULL);
	mint(f, "web", "data", 600, &secret);
	guest_start(&guest, "web", &secret);
	for (size_t bit = 0; bit < 8 * guest.hello.size; bit += bit % 8 == 7 ? 1 : 9) {
		struct key_grants grants;

		guest.hello.data[bit / 8] ^= (char)(1 << (bit % 8));
		assert_refused(ask(f, &guest, "web", &err), &err, EACCES);
		assert_refused(open_reply(&guest, &grants, &err), &err, EACCES);
		guest.hello.data[bit / 8] ^= (char)(1 << (bit % 8));
	}
	assert_granted(f, &guest, "web");
}

static void test_flipped_reply(void **state)
{
	struct fixture *f = *state;
	_cleanup_secret_ struct secret secret = SECRET_NONE;
	_cleanup_key_grants_ struct key_grants grants = {0};
	_cleanup_guest_ struct guest guest;
	struct caisson_error err = {0};

	put(f, "data", NULL);
	mint(f, "web", "data", 60, &secret);
	guest_start(&guest, "web", &secret);
	assert_ok(ask(f, &guest, "web", &err), &err);
	for (size_t bit = 0; bit < 8 * guest.reply.size; bit++) {
		guest.reply.data[bit / 8] ^= (char)(1 << (bit % 8));
		assert_refused(open_reply(&guest, &grants, &err), &err, EBADMSG);
		guest.reply.data[bit / 8] ^= (char)(1 << (bit % 8));
	}
	assert_ok(open_reply(&guest, &grants, &err), &err);
}

static void test_another_machine(void **state)
{
	struct fixture *f = *state;
	_cleanup_secret_ struct secret secret = SECRET_NONE, other = SECRET_NONE;
	_cleanup_guest_ struct guest guest, thief;

	put(f, "data", NULL);
	mint(f, "web", "data", 60, &secret);
	mint(f, "db", "data", 60, &other);
	/* web's hello on db's channel; and db's secret in web's name on web's channel. */
	guest_start(&guest, "web", &secret);
	guest_start(&thief, "web", &other);
	assert_answer_refused(f, &guest, "db", "in the name of web", "another machine", false);
	assert_answer_refused(f, &thief, "web", "does not prove", "unknown", false);
	assert_granted(f, &guest, "web");
}

static void test_unreadable_hello(void **state)
{
	static const char *const hellos[] = {"", "x", "CKEX", "CKEX\x01\x01", "CKEX\x01\x02\x01z"};
	struct fixture *f = *state;
	_cleanup_secret_ struct secret secret = SECRET_NONE;
	_cleanup_guest_ struct guest guest;

	put(f, "data", NULL);
	mint(f, "web", "data", 60, &secret);
	guest_start(&guest, "web", &secret);
	for (size_t i = 0; i < ARRAY_SIZE(hellos); i++) {
		strbuf_clear(&guest.hello);
		strbuf_add_string(&guest.hello, hellos[i]);
		assert_answer_refused(f, &guest, "web", "cannot be read", "could not read", false);
	}
	strbuf_clear(&guest.hello);
	strbuf_add_string(&guest.hello, "CKEX\x02\x01");
	assert_answer_refused(f, &guest, "web", "another version", "another version", false);
}

static void test_expired(void **state)
{
	struct fixture *f = *state;
	_cleanup_secret_ struct secret secret = SECRET_NONE, next = SECRET_NONE;
	_cleanup_guest_ struct guest guest;

	put(f, "data", NULL);
	mint(f, "web", "data", 1, &secret);
	guest_start(&guest, "web", &secret);
	usleep(1100000);
	/* Known still, then forgotten by the next mint. */
	assert_answer_refused(f, &guest, "web", "has expired", "expired", true);
	mint(f, "web", "data", 60, &next);
	assert_answer_refused(f, &guest, "web", "does not prove", "unknown", false);
	assert_audit(f,
		"|data|create|done\n"
		"web|data|mint|done\n"
		"web||refuse|the machine web got no keys: its start's secret has expired\n"
		"web||expire|never used\n"
		"web|data|mint|done\n"
		"web||refuse|the machine web got no keys: it does not prove a secret that was"
		" minted\n");
}

static void test_expiry_cannot_be_put_off(void **state)
{
	struct fixture *f = *state;
	_cleanup_secret_ struct secret secret = SECRET_NONE;
	_cleanup_guest_ struct guest guest;

	put(f, "data", NULL);
	mint(f, "web", "data", 1, &secret);
	guest_start(&guest, "web", &secret);
	usleep(1100000);
	tamper(f, "state/keys/starts.db", "UPDATE starts SET deadline = deadline + 1000000000");
	assert_answer_refused(f, &guest, "web", "has expired", "expired", true);
}

static void test_revoked(void **state)
{
	struct fixture *f = *state;
	_cleanup_secret_ struct secret secret = SECRET_NONE, other = SECRET_NONE;
	_cleanup_guest_ struct guest guest, neighbour;
	struct caisson_error err = {0};

	put(f, "data", NULL);
	mint(f, "web", "data", 60, &secret);
	mint(f, "db", "data", 60, &other);
	guest_start(&guest, "web", &secret);
	guest_start(&neighbour, "db", &other);
	assert_ok(key_service_revoke(f->service, "web", &err), &err);
	assert_ok(key_service_revoke(f->service, "web", &err), &err);
	assert_answer_refused(f, &guest, "web", "was revoked", "unknown", true);
	assert_granted(f, &neighbour, "db");
	assert_audit(f, "|data|create|done\n"
			"web|data|mint|done\n"
			"db|data|mint|done\n"
			"web||revoke|done\n"
			"web||refuse|the machine web got no keys: its start's secret was revoked\n"
			"db|data|release|done\n");
}

static void test_several_starts(void **state)
{
	/* Each secret is good for itself; those beyond the number kept are forgotten, oldest first.
	 */
	struct fixture *f = *state;
	struct secret secrets[17] = {{0}};

	put(f, "data", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
		mint(f, "web", "data", 60, &secrets[i]);
	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
		_cleanup_guest_ struct guest guest;

		guest_start(&guest, "web", &secrets[i]);
		if (i == 0)
			assert_answer_refused(f, &guest, "web", "does not prove", "unknown", false);
		else
			assert_granted(f, &guest, "web");
		secret_done(&secrets[i]);
	}
}

static void test_start_of_another_boot(void **state)
{
	struct fixture *f = *state;
	_cleanup_secret_ struct secret secret = SECRET_NONE;
	_cleanup_guest_ struct guest guest;

	put(f, "data", NULL);
	mint(f, "web", "data", 60, &secret);
	guest_start(&guest, "web", &secret);
	close_service(f);
	tamper(f, "state/keys/starts.db",
		"UPDATE boot SET id = '00000000-0000-0000-0000-000000000000'");
	open_service(f);
	assert_answer_refused(f, &guest, "web", "does not prove", "unknown", false);
	assert_audit(f,
		"|data|create|done\n"
		"web|data|mint|done\n"
		"web||expire|the host was started anew\n"
		"web||refuse|the machine web got no keys: it does not prove a secret that was"
		" minted\n");
}

static void test_changed_start(void **state)
{
	/* A start for one volume does not become one for another. */
	struct fixture *f = *state;
	_cleanup_secret_ struct secret secret = SECRET_NONE, other = SECRET_NONE;
	_cleanup_guest_ struct guest guest;

	put(f, "data", NULL);
	put(f, "gold", NULL);
	mint(f, "web", "data", 60, &secret);
	mint(f, "web", "gold", 60, &other);
	guest_start(&guest, "web", &secret);
	tamper(f, "state/keys/starts.db",
		"UPDATE starts SET record = (SELECT record FROM starts WHERE id = 2) WHERE id = 1");
	assert_answer_refused(f, &guest, "web", "does not prove", "unknown", false);
}

static void test_volume_gone_meanwhile(void **state)
{
	struct fixture *f = *state;
	_cleanup_secret_ struct secret secret = SECRET_NONE;
	_cleanup_guest_ struct guest guest;
	struct caisson_error err = {0};
	struct key_grants grants;

	put(f, "data", NULL);
	mint(f, "web", "data", 60, &secret);
	guest_start(&guest, "web", &secret);
	assert_int_equal(key_service_remove(f->service, "data", &err), 1);
	assert_refused(ask(f, &guest, "web", &err), &err, ENOENT);
	assert_refused(open_reply(&guest, &grants, &err), &err, EACCES);
	assert_non_null(strstr(err.message, "cannot get at the keys"));
	assert_null(strstr(err.message, "unauthenticated"));
}

static int ask_once(struct fixture *f, int number, void *userdata)
{
	struct guest *guests = userdata;
	struct caisson_error err = {0};
	int r;

	r = key_service_open(&f->state, &f->service, &err);
	/* Half of them repeat one hello, the others have one of their own. */
	if (r == 0)
		r = ask(f, &guests[number / 2], "web", &err);
	return -r;
}

static void test_racing_hellos(void **state)
{
	struct fixture *f = *state;
	_cleanup_secret_ struct secret secret = SECRET_NONE;
	struct guest guests[RACERS / 2];
	int others;

	put(f, "data", NULL);
	mint(f, "web", "data", 60, &secret);
	for (size_t i = 0; i < ARRAY_SIZE(guests); i++)
		guest_start(&guests[i], "web", &secret);
	close_service(f);
	assert_int_equal(race(f, ask_once, guests, &others), 1);
	assert_int_equal(others, 0);
	for (size_t i = 0; i < ARRAY_SIZE(guests); i++)
		guest_done(&guests[i]);
}

int main(void)
{
#define with_fixture(test) cmocka_unit_test_setup_teardown(test, make_fixture, drop_fixture)
	const struct CMUnitTest tests[] = {
		with_fixture(test_whole_exchange),
		with_fixture(test_many_volumes),
		with_fixture(test_mint_refusals),
		with_fixture(test_flipped_hello),
		with_fixture(test_flipped_reply),
		with_fixture(test_another_machine),
		with_fixture(test_unreadable_hello),
		with_fixture(test_expired),
		with_fixture(test_expiry_cannot_be_put_off),
		with_fixture(test_revoked),
		with_fixture(test_several_starts),
		with_fixture(test_start_of_another_boot),
		with_fixture(test_changed_start),
		with_fixture(test_volume_gone_meanwhile),
		with_fixture(test_racing_hellos),
	};

	return cmocka_run_group_tests_name("key-service", tests, NULL, NULL);
}
