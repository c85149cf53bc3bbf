/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "key/service.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/path.h"
#include "key/audit.h"
#include "key/exchange.h"
#include "key/starts.h"
#include "key/store.h"

static_assert(KEY_START_SECRET_SIZE == crypto_kdf_KEYBYTES, "the proof keys' derivation");

struct key_service {
	struct db keys;
	struct starts starts;
	struct kek kek;
	struct caisson_error lacks; /* why it has no key-encryption key, and perhaps no database */
};

void key_service_close(struct key_service *service)
{
	if (service == NULL)
		return;
	kek_done(&service->kek);
	starts_done(&service->starts);
	db_done(&service->keys);
	free(service);
}

int key_service_open(
	const struct state *state, struct key_service **ret_service, struct caisson_error *err)
{
	_cleanup_(key_service_closep) struct key_service *service = NULL;
	_cleanup_free_ char *folder = NULL;
	int count, r;

	r = key_crypto_init(err);
	if (r == 0)
		r = state_folder(state, "keys", &folder, err);
	if (r < 0)
		return r;
	service = calloc(1, sizeof(*service));
	if (service == NULL)
		return caisson_fail(err, ENOMEM, "open the key service");
	r = store_open(&service->keys, folder, err);
	if (r == 0)
		r = store_count(&service->keys, &count, err);
	if (r == 0)
		r = kek_open(&service->kek, state->config, count == 0, err);
	if (r == 0)
		r = store_check_kek(&service->keys, &service->kek, err);
	if (r == 0)
		r = starts_open(&service->starts, folder, err);
	if (r < 0)
		return r;
	*ret_service = take_ptr(service);
	return 0;
}

static int open_keys_alone(
	const struct state *state, struct key_service *service, struct caisson_error *err)
{
	_cleanup_free_ char *folder = NULL;
	int r = state_folder(state, "keys", &folder, err);

	return r < 0 ? r : store_open(&service->keys, folder, err);
}

int key_service_open_to_forget(
	const struct state *state, struct key_service **ret_service, struct caisson_error *err)
{
	struct caisson_error failure = {0};
	struct key_service *service;

	if (key_service_open(state, ret_service, &failure) == 0)
		return 0;
	service = calloc(1, sizeof(*service));
	if (service == NULL)
		return caisson_fail(err, ENOMEM, "open the key service");
	service->lacks = failure;
	(void)open_keys_alone(state, service, NULL);
	*ret_service = service;
	return 0;
}

static int refuse_lacking(const struct key_service *service, struct caisson_error *err)
{
	if (err != NULL)
		*err = service->lacks;
	return -service->lacks.code;
}

int key_service_put(struct key_service *service, const struct key_record *record,
	const struct secret *machine_key, struct caisson_error *err)
{
	_cleanup_transaction_ const struct db *transaction = NULL;
	int r;

	r = db_begin(&service->keys, &transaction, err);
	if (r == 0)
		r = store_put(&service->keys, &service->kek, record, machine_key, err);
	if (r == 0)
		r = audit_add(&service->keys, "", record->volume, "create", "done", err);
	return r < 0 ? r : db_commit(&transaction, err);
}

int key_service_replace(struct key_service *service, const struct key_record *record,
	const struct secret *machine_key, struct caisson_error *err)
{
	_cleanup_transaction_ const struct db *transaction = NULL;
	int removed, r = db_begin(&service->keys, &transaction, err);

	if (r < 0)
		return r;
	removed = store_remove(&service->keys, record->volume, err);
	r = removed < 0 ? removed
			: store_put(&service->keys, &service->kek, record, machine_key, err);
	if (r == 0)
		r = audit_add(&service->keys, "", record->volume, removed ? "rekey" : "create",
			"done", err);
	return r < 0 ? r : db_commit(&transaction, err);
}

int key_service_find(struct key_service *service, const char *volume, struct key_record *ret_record,
	struct caisson_error *err)
{
	return service->lacks.code != 0
		       ? refuse_lacking(service, err)
		       : store_load(&service->keys, &service->kek, volume, ret_record, NULL, err);
}

int key_service_unwrap(struct key_service *service, const char *volume, struct secret *ret_key,
	struct caisson_error *err)
{
	_cleanup_secret_ struct secret key = SECRET_NONE;
	struct caisson_error why = {0}, unrecorded = {0};
	struct key_record record;
	int r, recorded;

	if (service->lacks.code != 0)
		return refuse_lacking(service, err);
	r = store_load(&service->keys, &service->kek, volume, &record, &key, &why);
	recorded = r == -ENOENT ? 0
				: audit_add(&service->keys, "", volume, "unwrap",
					  r == 0 ? "done" : why.message, &unrecorded);
	/* No record, no key. */
	if (r == 0 && recorded < 0) {
		r = recorded;
		why = unrecorded;
	}
	if (r < 0) {
		if (err != NULL)
			*err = why;
		return r;
	}
	*ret_key = take_secret(&key);
	return 0;
}

int key_service_remove(struct key_service *service, const char *volume, struct caisson_error *err)
{
	_cleanup_transaction_ const struct db *transaction = NULL;
	int removed, r;

	if (service->keys.handle == NULL)
		return refuse_lacking(service, err);
	r = db_begin(&service->keys, &transaction, err);
	if (r < 0)
		return r;
	removed = store_remove(&service->keys, volume, err);
	if (removed <= 0)
		return removed;
	r = audit_add(&service->keys, "", volume, "destroy", "done", err);
	if (r == 0)
		r = db_commit(&transaction, err);
	return r < 0 ? r : 1;
}

int key_service_list(struct key_service *service, struct strv *volumes, struct caisson_error *err)
{
	return store_list(&service->keys, volumes, err);
}

int key_service_audit(struct key_service *service,
	int (*entry)(const struct key_audit *entry, void *userdata), void *userdata,
	struct caisson_error *err)
{
	return audit_read(&service->starts.db, &service->keys, entry, userdata, err);
}

/* A machine without a key for each of its volumes would find out only when it has booted. */
static int check_volumes(
	struct key_service *service, const struct strv *volumes, struct caisson_error *err)
{
	int r = 0;

	if (volumes->count == 0 || volumes->count > KEY_VOLUMES_MOST)
		return caisson_refuse(err, EINVAL,
			"a machine gets the keys of 1 to %d volumes, not of %zu", KEY_VOLUMES_MOST,
			volumes->count);
	for (size_t i = 0; i < volumes->count && r == 0; i++) {
		struct key_record record;

		for (size_t j = 0; j < i; j++) {
			if (strcmp(volumes->items[i], volumes->items[j]) == 0)
				return caisson_refuse(err, EINVAL,
					"the volume %s is given to the machine twice",
					volumes->items[i]);
		}
		r = name_check("volume", volumes->items[i], err);
		if (r == 0)
			r = key_service_find(service, volumes->items[i], &record, err);
	}
	return r;
}

int key_service_mint(struct key_service *service, const char *machine, const struct strv *volumes,
	unsigned int lifetime_s, struct secret *ret_secret, struct caisson_error *err)
{
	_cleanup_secret_ struct secret secret = SECRET_NONE;
	int r;

	if (lifetime_s == 0)
		return caisson_refuse(err, EINVAL, "a start needs a lifetime");
	r = name_check("machine", machine, err);
	if (r == 0)
		r = check_volumes(service, volumes, err);
	if (r == 0)
		r = secret_random(&secret, KEY_START_SECRET_SIZE, err);
	if (r == 0)
		r = starts_mint(&service->starts, &service->kek, machine, volumes, lifetime_s,
			&secret, err);
	if (r < 0)
		return r;
	*ret_secret = take_secret(&secret);
	return 0;
}

int key_service_revoke(struct key_service *service, const char *machine, struct caisson_error *err)
{
	return starts_revoke(&service->starts, machine, err);
}

/* One hello being answered. */
struct answer {
	struct key_service *service;
	const char *machine; /* whose channel it is */
	struct key_hello hello;
	struct start start;
	enum key_reason reason; /* to give when it is refused */
	bool known;             /* the hello's maker knows the start's secret */
};

static void answer_done(struct answer *answer)
{
	start_done(&answer->start);
}

/* The first half: who asks, and whether it may. Uses the secret up. */
static int admit(struct answer *answer, const void *hello, size_t size, struct caisson_error *err)
{
	const struct starts *starts = &answer->service->starts;
	int r;

	answer->reason = KEY_REASON_MALFORMED;
	r = key_exchange_hello(hello, size, &answer->hello, err);
	if (r == -EPROTONOSUPPORT) {
		answer->reason = KEY_REASON_VERSION;
		return caisson_refuse(err, EACCES, "it speaks another version of the key protocol");
	}
	if (r < 0)
		return caisson_refuse(err, EACCES, "its key request cannot be read");
	answer->reason = KEY_REASON_POLICY;
	if (strcmp(answer->hello.machine, answer->machine) != 0)
		return caisson_refuse(
			err, EACCES, "it asks in the name of %s", answer->hello.machine);
	answer->reason = KEY_REASON_UNAVAILABLE;
	r = starts_find(starts, &answer->service->kek, &answer->hello, &answer->start, err);
	if (r < 0)
		return r;
	answer->known = r == 1;
	if (answer->known && answer->start.void_why == NULL) {
		r = starts_use(starts, &answer->start, err);
		if (r < 0)
			return r;
		if (r == 0)
			answer->start.void_why = "was used already";
	}
	answer->reason = KEY_REASON_SECRET;
	if (!answer->known)
		return caisson_refuse(err, EACCES, "it does not prove a secret that was minted");
	if (answer->start.void_why != NULL)
		return caisson_refuse(err, EACCES, "its start's secret %s", answer->start.void_why);
	return 0;
}

static int collect(
	const struct answer *answer, struct key_grants *ret_grants, struct caisson_error *err)
{
	_cleanup_key_grants_ struct key_grants grants = {0};
	const struct strv *volumes = &answer->start.volumes;
	int r;

	r = key_grants_new(&grants, volumes->count, err);
	for (size_t i = 0; i < volumes->count && r == 0; i++) {
		struct key_grant *grant = &grants.items[i];
		struct key_record record;

		r = store_load(&answer->service->keys, &answer->service->kek, volumes->items[i],
			&record, &grant->machine_key, err);
		if (r < 0)
			break;
		memcpy(grant->volume, record.volume, sizeof(grant->volume));
		memcpy(grant->filesystem, record.filesystem, sizeof(grant->filesystem));
		grant->facts = record.facts;
	}
	if (r < 0)
		return r;
	*ret_grants = grants;
	grants = (struct key_grants){NULL, 0};
	return 0;
}

/* On disk before any key leaves. */
static int record_release(const struct answer *answer, struct caisson_error *err)
{
	_cleanup_transaction_ const struct db *transaction = NULL;
	const struct db *db = &answer->service->keys;
	int r;

	r = db_begin(db, &transaction, err);
	for (size_t i = 0; i < answer->start.volumes.count && r == 0; i++)
		r = audit_add(db, answer->machine, answer->start.volumes.items[i], "release",
			"done", err);
	return r < 0 ? r : db_commit(&transaction, err);
}

/* The second half: the keys, sealed. */
static int release(struct answer *answer, struct strbuf *reply, struct caisson_error *err)
{
	_cleanup_key_grants_ struct key_grants grants = {0};
	_cleanup_strbuf_ struct strbuf sealed = STRBUF_INIT;
	int r;

	answer->reason = KEY_REASON_UNAVAILABLE;
	r = collect(answer, &grants, err);
	if (r < 0)
		return r;
	r = key_exchange_grant(&answer->hello, &answer->start.proof_keys, &grants, &sealed, err);
	if (r == -EBADMSG) {
		answer->reason = KEY_REASON_MALFORMED;
		return caisson_refuse(err, EACCES, "nothing can be sealed to its public key");
	}
	if (r == 0)
		r = record_release(answer, err);
	if (r < 0)
		return r;
	strbuf_add(reply, sealed.data, sealed.size);
	return strbuf_ok(reply) ? 0 : caisson_fail(err, ENOMEM, "answer the key request");
}

int key_service_answer(struct key_service *service, const char *machine, const void *hello,
	size_t size, struct strbuf *reply, struct caisson_error *err)
{
	_cleanup_(answer_done) struct answer answer = {.service = service, .machine = machine};
	struct caisson_error why = {0};
	int r, refused;

	r = name_check("machine", machine, err);
	if (r < 0)
		return r;
	r = admit(&answer, hello, size, &why);
	if (r == 0)
		r = release(&answer, reply, &why);
	if (r == 0)
		return 0;
	caisson_wrap(&why, "the machine %s got no keys", machine);
	/* It is refused whether or not that can be recorded. */
	(void)audit_add(&service->keys, machine, "", "refuse", why.message, NULL);
	refused = key_exchange_refuse(answer.known ? &answer.hello : NULL,
		answer.known ? &answer.start.proof_keys : NULL, answer.reason, reply, &why);
	if (err != NULL)
		*err = why;
	return refused < 0 ? refused : r;
}
