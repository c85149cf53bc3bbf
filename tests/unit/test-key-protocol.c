/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>
#include <sodium.h>

#include "key/exchange.h"

/* One start, both sides. */
struct fixture {
	struct secret start_secret, proof_keys;
	struct key_client *client;
	struct strbuf hello;
	struct key_hello parsed;
	struct key_grants grants;
};

static void fill_grants(struct key_grants *grants, size_t count)
{
	struct caisson_error err = {0};

	assert_ok(key_grants_new(grants, count, &err), &err);
	for (size_t i = 0; i < count; i++) {
		struct key_grant *grant = &grants->items[i];

		snprintf(grant->volume, sizeof(grant->volume), "vol%zu", i);
		strcpy(grant->filesystem, "ext4");
		snprintf(grant->facts.uuid, sizeof(grant->facts.uuid),
			"01234567-89ab-cdef-0123-%012zu", i);
		strcpy(grant->facts.cipher, "aes-xts-plain64");
		grant->facts.key_size = 64;
		grant->facts.sector_size = 4096;
		grant->facts.data_offset = 16777216 + i;
		memset(grant->facts.fingerprint, (int)i + 1, sizeof(grant->facts.fingerprint));
		assert_ok(secret_random(&grant->machine_key, LUKS_MACHINE_KEY_SIZE, &err), &err);
	}
}

static int make_fixture(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct caisson_error err = {0};

	if (f == NULL || key_crypto_init(&err) < 0)
		return -1;
	assert_ok(secret_random(&f->start_secret, 32, &err), &err);
	assert_ok(key_proof_keys(&f->start_secret, &f->proof_keys, &err), &err);
	assert_ok(key_client_new("web", &f->start_secret, &f->client, &f->hello, &err), &err);
	assert_ok(key_exchange_hello(f->hello.data, f->hello.size, &f->parsed, &err), &err);
	fill_grants(&f->grants, 2);
	*state = f;
	return 0;
}

static int drop_fixture(void **state)
{
	struct fixture *f = *state;

	key_grants_done(&f->grants);
	key_client_free(f->client);
	strbuf_done(&f->hello);
	secret_done(&f->start_secret);
	secret_done(&f->proof_keys);
	free(f);
	return 0;
}

static void assert_same_grants(const struct key_grants *a, const struct key_grants *b)
{
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		const struct key_grant *x = &a->items[i], *y = &b->items[i];

		assert_string_equal(x->volume, y->volume);
		assert_string_equal(x->filesystem, y->filesystem);
		assert_string_equal(x->facts.uuid, y->facts.uuid);
		assert_string_equal(x->facts.cipher, y->facts.cipher);
		assert_int_equal(x->facts.key_size, y->facts.key_size);
		assert_int_equal(x->facts.sector_size, y->facts.sector_size);
		assert_int_equal(x->facts.data_offset, y->facts.data_offset);
		assert_memory_equal(
			x->facts.fingerprint, y->facts.fingerprint, LUKS_FINGERPRINT_SIZE);
		assert_true(secret_equal(&x->machine_key, &y->machine_key));
	}
}

static void test_whole_exchange(void **state)
{
	struct fixture *f = *state;
	_cleanup_key_grants_ struct key_grants opened = {0};
	_cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;
	struct caisson_error err = {0};

	assert_string_equal(f->parsed.machine, "web");
	assert_true(key_exchange_proven(&f->parsed, &f->proof_keys));
	assert_ok(key_exchange_grant(&f->parsed, &f->proof_keys, &f->grants, &reply, &err), &err);
	assert_ok(key_client_open(f->client, reply.data, reply.size, &opened, &err), &err);
	assert_same_grants(&opened, &f->grants);
}

static void test_layout(void **state)
{
	/* Byte for byte as docs/key-protocol.md has it. */
	struct fixture *f = *state;
	const uint8_t *bytes = (const uint8_t *)f->hello.data;
	_cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;
	uint8_t key[32], wanted[32];
	struct caisson_error err = {0};

	assert_int_equal(f->hello.size, 6 + 1 + 3 + 32 + 32 + 32);
	assert_memory_equal(bytes, "CKEX\x01\x01\x03web", 10);
	assert_memory_equal(bytes + 10, f->parsed.public_key, 32);
	assert_memory_equal(bytes + 42, f->parsed.nonce, 32);
	crypto_kdf_derive_from_key(key, 32, 1, "caissonK", f->start_secret.data);
	crypto_generichash(wanted, 32, bytes, 74, key, 32);
	assert_memory_equal(bytes + 74, wanted, 32);

	assert_ok(key_exchange_refuse(&f->parsed, &f->proof_keys, KEY_REASON_SECRET, &reply, &err),
		&err);
	assert_int_equal(reply.size, 6 + 1 + 1 + 32);
	assert_memory_equal(reply.data, "CKEX\x01\x03\x03\x20", 8);
	uint8_t transcript[32 + 8];
	crypto_generichash(transcript, 32, bytes, f->hello.size, NULL, 0);
	memcpy(transcript + 32, reply.data, 8);
	crypto_kdf_derive_from_key(key, 32, 2, "caissonK", f->start_secret.data);
	crypto_generichash(wanted, 32, transcript, sizeof(transcript), key, 32);
	assert_memory_equal(reply.data + 8, wanted, 32);

	strbuf_clear(&reply);
	assert_ok(key_exchange_grant(&f->parsed, &f->proof_keys, &f->grants, &reply, &err), &err);
	assert_memory_equal(reply.data, "CKEX\x01\x02", 6);
	assert_int_equal(
		(uint8_t)reply.data[6] | (uint8_t)reply.data[7] << 8, reply.size - 6 - 2 - 32);
}

static void test_every_hello_is_fresh(void **state)
{
	struct fixture *f = *state;
	_cleanup_(key_client_freep) struct key_client *client = NULL;
	_cleanup_strbuf_ struct strbuf hello = STRBUF_INIT;
	struct caisson_error err = {0};
	struct key_hello parsed;

	assert_ok(key_client_new("web", &f->start_secret, &client, &hello, &err), &err);
	assert_ok(key_exchange_hello(hello.data, hello.size, &parsed, &err), &err);
	assert_memory_not_equal(parsed.public_key, f->parsed.public_key, 32);
	assert_memory_not_equal(parsed.nonce, f->parsed.nonce, 32);
}

static void test_flipped_hello(void **state)
{
	struct fixture *f = *state;
	struct caisson_error err = {0};

	for (size_t bit = 0; bit < 8 * f->hello.size; bit++) {
		struct key_hello parsed;

		f->hello.data[bit / 8] ^= (char)(1 << (bit % 8));
		if (key_exchange_hello(f->hello.data, f->hello.size, &parsed, &err) == 0)
			assert_false(key_exchange_proven(&parsed, &f->proof_keys));
		f->hello.data[bit / 8] ^= (char)(1 << (bit % 8));
	}
	assert_true(key_exchange_proven(&f->parsed, &f->proof_keys));
}

static void test_cut_or_longer_hello(void **state)
{
	struct fixture *f = *state;
	_cleanup_strbuf_ struct strbuf longer = STRBUF_INIT;
	struct caisson_error err = {0};
	struct key_hello parsed;

	for (size_t size = 0; size < f->hello.size; size++)
		assert_refused(
			key_exchange_hello(f->hello.data, size, &parsed, &err), &err, EBADMSG);
	strbuf_add(&longer, f->hello.data, f->hello.size);
	strbuf_add_char(&longer, 0);
	assert_refused(key_exchange_hello(longer.data, longer.size, &parsed, &err), &err, EBADMSG);
	longer.data[4] = 2;
	assert_refused(
		key_exchange_hello(longer.data, longer.size, &parsed, &err), &err, EPROTONOSUPPORT);
}

/* No reply that differs from @reply in one bit, or is cut, is taken for the host's. */
static void assert_only_whole(struct fixture *f, struct strbuf *reply)
{
	struct caisson_error err = {0};
	struct key_grants opened;

	for (size_t bit = 0; bit < 8 * reply->size; bit++) {
		reply->data[bit / 8] ^= (char)(1 << (bit % 8));
		assert_refused(key_client_open(f->client, reply->data, reply->size, &opened, &err),
			&err, EBADMSG);
		reply->data[bit / 8] ^= (char)(1 << (bit % 8));
	}
	for (size_t size = 0; size < reply->size; size++)
		assert_refused(key_client_open(f->client, reply->data, size, &opened, &err), &err,
			EBADMSG);
	strbuf_add_char(reply, 0);
	assert_refused(
		key_client_open(f->client, reply->data, reply->size, &opened, &err), &err, EBADMSG);
}

static void test_flipped_grant(void **state)
{
	struct fixture *f = *state;
	_cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;
	struct caisson_error err = {0};

	assert_ok(key_exchange_grant(&f->parsed, &f->proof_keys, &f->grants, &reply, &err), &err);
	assert_only_whole(f, &reply);
}

static void test_flipped_refusal(void **state)
{
	struct fixture *f = *state;
	_cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;
	struct caisson_error err = {0};

	assert_ok(key_exchange_refuse(&f->parsed, &f->proof_keys, KEY_REASON_SECRET, &reply, &err),
		&err);
	assert_only_whole(f, &reply);
}

static void test_refusals(void **state)
{
	struct fixture *f = *state;

	for (enum key_reason reason = 0; reason <= KEY_REASON_UNAVAILABLE + 1; reason++) {
		bool known = reason >= KEY_REASON_MALFORMED && reason <= KEY_REASON_UNAVAILABLE;

		for (int proven = 0; proven < 2; proven++) {
			_cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;
			struct caisson_error err = {0};
			struct key_grants opened;

			assert_ok(key_exchange_refuse(&f->parsed, proven ? &f->proof_keys : NULL,
					  reason, &reply, &err),
				&err);
			assert_refused(
				key_client_open(f->client, reply.data, reply.size, &opened, &err),
				&err, known ? EACCES : EBADMSG);
			if (!known)
				continue;
			assert_true(err.hint[0] != '\0');
			assert_int_equal(strstr(err.message, "unauthenticated") == NULL, proven);
		}
	}
}

static void test_another_start(void **state)
{
	/* The same secret, but another hello: neither the grant nor the refusal is an answer to it.
	 */
	struct fixture *f = *state;
	_cleanup_(key_client_freep) struct key_client *client = NULL;
	_cleanup_strbuf_ struct strbuf hello = STRBUF_INIT, reply = STRBUF_INIT;
	struct caisson_error err = {0};
	struct key_grants opened;

	assert_ok(key_client_new("web", &f->start_secret, &client, &hello, &err), &err);
	assert_ok(key_exchange_grant(&f->parsed, &f->proof_keys, &f->grants, &reply, &err), &err);
	assert_refused(
		key_client_open(client, reply.data, reply.size, &opened, &err), &err, EBADMSG);
	strbuf_clear(&reply);
	assert_ok(key_exchange_refuse(&f->parsed, &f->proof_keys, KEY_REASON_SECRET, &reply, &err),
		&err);
	assert_refused(
		key_client_open(client, reply.data, reply.size, &opened, &err), &err, EBADMSG);
}

static void test_another_host(void **state)
{
	/* Whoever reads the hello can seal to its public key, but not prove itself. */
	struct fixture *f = *state;
	_cleanup_secret_ struct secret other = SECRET_NONE, keys = SECRET_NONE,
				       swapped = SECRET_NONE;
	_cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;
	struct caisson_error err = {0};
	struct key_grants opened;

	assert_ok(secret_random(&other, 32, &err), &err);
	assert_ok(key_proof_keys(&other, &keys, &err), &err);
	assert_false(key_exchange_proven(&f->parsed, &keys));
	assert_ok(key_exchange_grant(&f->parsed, &keys, &f->grants, &reply, &err), &err);
	assert_refused(
		key_client_open(f->client, reply.data, reply.size, &opened, &err), &err, EBADMSG);

	/* The guest's key proves nothing to the guest. */
	assert_ok(secret_copy(&swapped, f->proof_keys.data, 64, &err), &err);
	memcpy(swapped.data + 32, f->proof_keys.data, 32);
	strbuf_clear(&reply);
	assert_ok(key_exchange_grant(&f->parsed, &swapped, &f->grants, &reply, &err), &err);
	assert_refused(
		key_client_open(f->client, reply.data, reply.size, &opened, &err), &err, EBADMSG);
}

static void test_plaintext_of_another_start(void **state)
{
	/* What the host itself sealed for another hello or machine, or cut short. */
	struct fixture *f = *state;
	_cleanup_key_grants_ struct key_grants opened = {0};
	_cleanup_secret_ struct secret plain = SECRET_NONE;
	uint8_t nonce[KEY_NONCE_SIZE] = {1}, other[KEY_NONCE_SIZE] = {2};
	struct caisson_error err = {0};

	assert_ok(key_grant_encode(nonce, "web", &f->grants, &plain, &err), &err);
	assert_refused(key_grant_decode(plain.data, plain.size, other, "web", &opened, &err), &err,
		EBADMSG);
	assert_refused(key_grant_decode(plain.data, plain.size, nonce, "we", &opened, &err), &err,
		EBADMSG);
	for (size_t size = 0; size < plain.size; size++)
		assert_refused(key_grant_decode(plain.data, size, nonce, "web", &opened, &err),
			&err, EBADMSG);
	assert_ok(key_grant_decode(plain.data, plain.size, nonce, "web", &opened, &err), &err);
	assert_same_grants(&opened, &f->grants);
}

static void test_useless_public_key(void **state)
{
	/* A point of small order: nothing is sealed to it. */
	struct fixture *f = *state;
	_cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;
	struct caisson_error err = {0};

	memset(f->parsed.public_key, 0, sizeof(f->parsed.public_key));
	assert_refused(key_exchange_grant(&f->parsed, &f->proof_keys, &f->grants, &reply, &err),
		&err, EBADMSG);
	assert_int_equal(reply.size, 0);
}

static void test_many_volumes(void **state)
{
	struct fixture *f = *state;
	_cleanup_key_grants_ struct key_grants many = {0}, opened = {0}, more = {0};
	_cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;
	struct caisson_error err = {0};

	fill_grants(&many, KEY_VOLUMES_MOST);
	/* Every text as long as it can be. */
	for (size_t i = 0; i < many.count; i++) {
		memset(many.items[i].volume, 'a' + (int)i, 63);
		memset(many.items[i].filesystem, 'f', 15);
		memset(many.items[i].facts.uuid, 'u', 39);
		memset(many.items[i].facts.cipher, 'c', 63);
	}
	assert_ok(key_exchange_grant(&f->parsed, &f->proof_keys, &many, &reply, &err), &err);
	assert_true(reply.size <= KEY_MESSAGE_MOST);
	assert_ok(key_client_open(f->client, reply.data, reply.size, &opened, &err), &err);
	assert_same_grants(&opened, &many);
	assert_refused(key_grants_new(&more, KEY_VOLUMES_MOST + 1, &err), &err, EINVAL);
	assert_refused(key_grants_new(&more, 0, &err), &err, EINVAL);
}

static void test_impossible_records(void **state)
{
	static const char *const names[] = {"", ".", "..", "a/b", "a b", "A", "a\n", "\xff", "-a"};
	struct fixture *f = *state;
	struct caisson_error err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(key_client_freep) struct key_client *client = NULL;
		_cleanup_strbuf_ struct strbuf reply = STRBUF_INIT, hello = STRBUF_INIT;
		struct key_grants opened;
		int r;

		strcpy(f->grants.items[1].volume, names[i]);
		r = key_exchange_grant(&f->parsed, &f->proof_keys, &f->grants, &reply, &err);
		/* What the host lets through, the guest does not. */
		if (r == 0)
			r = key_client_open(f->client, reply.data, reply.size, &opened, &err);
		assert_true(r == -EINVAL || r == -EBADMSG);
		assert_refused(key_client_new(names[i], &f->start_secret, &client, &hello, &err),
			&err, EINVAL);
	}
	strcpy(f->grants.items[1].volume, f->grants.items[0].volume);
	_cleanup_strbuf_ struct strbuf twice = STRBUF_INIT;
	struct key_grants opened;
	assert_ok(key_exchange_grant(&f->parsed, &f->proof_keys, &f->grants, &twice, &err), &err);
	assert_refused(
		key_client_open(f->client, twice.data, twice.size, &opened, &err), &err, EBADMSG);
}

static void test_short_secret(void **state)
{
	struct fixture *f = *state;
	_cleanup_(key_client_freep) struct key_client *client = NULL;
	_cleanup_strbuf_ struct strbuf hello = STRBUF_INIT;
	struct caisson_error err = {0};

	f->start_secret.size = 31;
	assert_refused(
		key_client_new("web", &f->start_secret, &client, &hello, &err), &err, EINVAL);
	assert_int_equal(hello.size, 0);
	f->start_secret.size = 32;
}

static void test_codec(void **state _unused_)
{
	uint8_t bytes[32];
	struct encoder to = {.data = bytes, .capacity = sizeof(bytes)};
	struct decoder from;
	char text[4];

	encode_u8(&to, 0xfe);
	encode_u16(&to, 0x1234);
	encode_u32(&to, 0xdeadbeef);
	encode_u64(&to, 0x0102030405060708);
	encode_text(&to, "abc", 4);
	assert_false(to.failed);
	assert_memory_equal(bytes,
		"\xfe\x34\x12\xef\xbe\xad\xde\x08\x07\x06\x05\x04\x03\x02\x01"
		"\x03"
		"abc",
		19);
	from = (struct decoder){.data = bytes, .size = to.size};
	assert_int_equal(decode_u8(&from), 0xfe);
	assert_int_equal(decode_u16(&from), 0x1234);
	assert_int_equal(decode_u32(&from), 0xdeadbeef);
	assert_true(decode_u64(&from) == 0x0102030405060708);
	decode_text(&from, text, sizeof(text));
	assert_string_equal(text, "abc");
	assert_true(decode_complete(&from));
	assert_int_equal(decode_u8(&from), 0);
	assert_false(decode_complete(&from));

	/* One byte more than there is room for; text without an end, empty, or with odd bytes. */
	to = (struct encoder){.data = bytes, .capacity = 3};
	encode_u32(&to, 1);
	assert_true(to.failed);
	for (size_t i = 0; i < 5; i++) {
		static const char odd[5][4] = {"", "abcd", "a\x7f", "a ", "\x80"};

		to = (struct encoder){.data = bytes, .capacity = sizeof(bytes)};
		encode_text(&to, odd[i], sizeof(odd[i]));
		assert_true(to.failed);
	}
	from = (struct decoder){.data = (const uint8_t *)"\x04"
							 "abcd",
		.size = 5};
	decode_text(&from, text, sizeof(text));
	assert_true(from.failed);
	assert_string_equal(text, "");
	from = (struct decoder){.data = (const uint8_t *)"\x02"
							 "a\0",
		.size = 3};
	decode_text(&from, text, sizeof(text));
	assert_true(from.failed);
}

int main(void)
{
#define with_fixture(test) cmocka_unit_test_setup_teardown(test, make_fixture, drop_fixture)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codec),
		with_fixture(test_whole_exchange),
		with_fixture(test_layout),
		with_fixture(test_every_hello_is_fresh),
		with_fixture(test_flipped_hello),
		with_fixture(test_cut_or_longer_hello),
		with_fixture(test_flipped_grant),
		with_fixture(test_flipped_refusal),
		with_fixture(test_refusals),
		with_fixture(test_another_start),
		with_fixture(test_another_host),
		with_fixture(test_plaintext_of_another_start),
		with_fixture(test_useless_public_key),
		with_fixture(test_many_volumes),
		with_fixture(test_impossible_records),
		with_fixture(test_short_secret),
	};

	return cmocka_run_group_tests_name("key-protocol", tests, NULL, NULL);
}
