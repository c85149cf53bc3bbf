/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys of volumes: what opens one after each change, and after one that was killed half-way. */
#include "volume-fixture.h"

#include "killed-at.h"

#include <fcntl.h>
#include <libcryptsetup.h>
#include <sys/stat.h>
#include <time.h>

#include "luks/container.h"
#include "volume/access.h"
#include "volume/redo.h"

#define SMALL (32ull << 20)

/* Kinds of keys; SERVICE is the one that is given as NULL. */
enum kind { SERVICE, RANDOM, RECOVERY, PASSPHRASE, KINDS };

static const char *const kind_names[] = {"service", "key", "recovery", "passphrase"};

static struct luks_key make_key(enum kind kind)
{
	static const char letters[] = "cbdefghijklnrtuv";
	struct luks_key key = {.kind = kind == RANDOM     ? LUKS_KEY_RANDOM
				       : kind == RECOVERY ? LUKS_KEY_RECOVERY
							  : LUKS_KEY_PASSPHRASE};
	struct caisson_error err = {0};

	assert_ok(secret_random(&key.secret, 64, &err), &err);
	for (size_t i = 0; kind != RANDOM && i < key.secret.size; i++)
		key.secret.data[i] = (uint8_t)letters[key.secret.data[i] & 15];
	return key;
}

static void make_volume(const struct house *house, const char *name, const struct luks_key *key)
{
	struct volume_create_options options = {
		.size = SMALL, .filesystem = "none", .luks = LUKS_FORMAT_DEFAULT};
	struct caisson_error err = {0};

	options.luks.key = key;
	assert_ok(volume_create(&house->state, house->keys, name, &options, NULL, &err), &err);
}

static struct volume_key as_volume_key(const struct luks_key *key)
{
	return (struct volume_key){.key = key};
}

/* Through the way that every command takes. */
static int open_volume(const struct house *house, const char *name, const struct luks_key *key,
	struct secret *volume_key)
{
	_cleanup_volume_access_ struct volume_access access = VOLUME_ACCESS_NONE;
	struct caisson_error err = {0};
	int r = volume_access_lock(&house->state, house->keys, name, "test", false, &access, &err);

	if (r == 0)
		r = volume_access_unlock(&access, key, NULL, &err);
	if (r == 0 && volume_key != NULL)
		*volume_key = take_secret(&access.luks.volume_key);
	return r;
}

/* And by libcryptsetup itself, which knows nothing of us: the keyslot, or a negative errno. */
static int open_by_libcryptsetup(
	const struct house *house, const char *name, const struct secret *key)
{
	_cleanup_free_ char *path = container_path(house, name);
	struct crypt_device *device = NULL;
	char volume_key[128];
	size_t size = sizeof(volume_key);
	int r = crypt_init(&device, path);

	if (r == 0)
		r = crypt_load(device, CRYPT_LUKS2, NULL);
	if (r == 0)
		r = crypt_volume_key_get(device, CRYPT_ANY_SLOT, volume_key, &size,
			(const char *)key->data, key->size);
	crypt_free(device);
	return r;
}

static void look(const struct house *house, const char *name, struct luks_header *header)
{
	_cleanup_free_ char *path = container_path(house, name);
	struct caisson_error err = {0};

	assert_ok(luks_inspect(path, header, &err), &err);
}

static unsigned int count_keyslots(const struct house *house, const char *name)
{
	struct luks_header header;

	look(house, name, &header);
	return header.keyslots;
}

static void machine_key(const struct house *house, const char *name, struct secret *key)
{
	struct caisson_error err = {0};

	assert_ok(key_service_unwrap(house->keys, name, key, &err), &err);
}

/* The bytes of a keyslot's area. */
struct area {
	uint64_t offset, length;
	uint8_t *bytes;
};

static void read_area(const struct house *house, const char *name, int keyslot, struct area *area)
{
	_cleanup_free_ char *path = container_path(house, name);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct crypt_device *device = NULL;
	struct caisson_error err = {0};

	if (area->length == 0) {
		assert_int_equal(crypt_init(&device, path), 0);
		assert_int_equal(crypt_load(device, CRYPT_LUKS2, NULL), 0);
		assert_int_equal(
			crypt_keyslot_area(device, keyslot, &area->offset, &area->length), 0);
		crypt_free(device);
	}
	area->bytes = malloc(area->length);
	assert_non_null(area->bytes);
	assert_ok(pread_all(fd, area->bytes, area->length, area->offset, path, &err), &err);
}

/* Not a block of it is as it was. */
static void assert_overwritten(const struct house *house, const char *name, const struct area *was)
{
	struct area now = {.offset = was->offset, .length = was->length};

	read_area(house, name, -1, &now);
	for (uint64_t at = 0; at + 4096 <= was->length; at += 4096)
		assert_memory_not_equal(was->bytes + at, now.bytes + at, 4096);
	free(now.bytes);
}

/* Also what is left of journals in the folder. */
static void assert_clean(const struct house *house, const char *name)
{
	_cleanup_free_ char *path = format_string("%s/volumes/%s", house->state.dir, name);
	_cleanup_closedir_ DIR *directory = opendir(path);
	struct dirent *entry;

	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL)
		assert_true(strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			    strcmp(entry->d_name, "container") == 0 ||
			    strcmp(entry->d_name, "holder") == 0);
}

static int list_kind(const struct caisson_volume_keyslot *keyslot, void *userdata)
{
	strcat(userdata, keyslot->kind);
	strcat(userdata, " ");
	return 0;
}

static void assert_kinds(const struct house *house, const char *name, const char *wanted)
{
	char text[1024] = "";
	struct caisson_error err = {0};

	assert_ok(volume_keyslots(&house->state, house->keys, name, list_kind, text, &err), &err);
	assert_string_equal(text, wanted);
}

/* The key as luks_key, and as the argument that stands for it. */
struct given {
	enum kind kind;
	struct luks_key key;
	const struct luks_key *argument;
};

static void give(struct given *given, enum kind kind)
{
	given->kind = kind;
	given->key = kind == SERVICE ? LUKS_KEY_NONE : make_key(kind);
	given->argument = kind == SERVICE ? NULL : &given->key;
}

/* The bytes, where the key service made them. */
static void learn(const struct house *house, const char *name, struct given *given)
{
	if (given->kind == SERVICE) {
		secret_done(&given->key.secret);
		machine_key(house, name, &given->key.secret);
	}
}

static unsigned int tokens_of(enum kind kind)
{
	return kind == RECOVERY;
}

/* A passphrase is costly on purpose: with some of the others will do. */
static bool left_out(int from, int to, bool change)
{
	if (change ? from == PASSPHRASE && to == RANDOM : from == SERVICE && to == PASSPHRASE)
		return false;
	return from == PASSPHRASE || to == PASSPHRASE;
}

/* A volume that one key opens, another key, and what is kept of the volume to compare with. */
struct pair {
	struct given one, other;
	struct volume_key key; /* @one, to open it with */
	struct area area;      /* the keyslot of @one */
	struct secret before, after;
};

static void begin(struct pair *pair, struct house *house, enum kind from, enum kind to)
{
	*pair = (struct pair){.before = SECRET_NONE, .after = SECRET_NONE};
	give(&pair->one, from);
	give(&pair->other, to);
	make_volume(house, "data", pair->one.argument);
	learn(house, "data", &pair->one);
	pair->key = as_volume_key(pair->one.argument);
	assert_int_equal(open_volume(house, "data", pair->one.argument, &pair->before), 0);
	read_area(house, "data", 0, &pair->area);
}

/* The other key alone opens it, to what it was. */
static void assert_handed_over(struct pair *pair, struct house *house)
{
	char kinds[64];

	assert_overwritten(house, "data", &pair->area);
	snprintf(kinds, sizeof(kinds), "%s ", kind_names[pair->other.kind]);
	assert_kinds(house, "data", kinds);
	assert_true(open_by_libcryptsetup(house, "data", &pair->one.key.secret) < 0);
	if (pair->one.kind != SERVICE || pair->other.kind != SERVICE)
		assert_int_equal(open_volume(house, "data", pair->one.argument, NULL), -ENOKEY);
	assert_int_equal(open_volume(house, "data", pair->other.argument, &pair->after), 0);
	assert_true(secret_equal(&pair->before, &pair->after));
	assert_int_equal(count_keys(house), pair->other.kind == SERVICE);
	assert_clean(house, "data");
}

static void end(struct pair *pair, struct house *house)
{
	struct caisson_error err = {0};

	free(pair->area.bytes);
	secret_done(&pair->before);
	secret_done(&pair->after);
	secret_done(&pair->one.key.secret);
	secret_done(&pair->other.key.secret);
	assert_ok(volume_destroy(&house->state, house->keys, "data",
			  &(struct caisson_volume_destroyed){0}, &err),
		&err);
}

static void add_and_remove(struct pair *pair, struct house *house)
{
	enum kind from = pair->one.kind, to = pair->other.kind;
	struct caisson_error err = {0};
	struct luks_header header;
	unsigned int keyslot = 99;
	char kinds[64];
	int r = volume_key_add(&house->state, house->keys, "data", &pair->key, pair->other.argument,
		&keyslot, &err);

	if (from == SERVICE && to == SERVICE) {
		assert_refused(r, &err, EEXIST);
		assert_int_equal(count_keyslots(house, "data"), 1);
		return;
	}
	assert_ok(r, &err);
	assert_int_equal(keyslot, 1);
	learn(house, "data", &pair->other);
	snprintf(kinds, sizeof(kinds), "%s %s ", kind_names[from], kind_names[to]);
	assert_kinds(house, "data", kinds);
	look(house, "data", &header);
	assert_int_equal(header.tokens, tokens_of(to) + tokens_of(from));
	assert_int_equal(open_by_libcryptsetup(house, "data", &pair->one.key.secret), 0);
	if (to != PASSPHRASE)
		assert_int_equal(open_by_libcryptsetup(house, "data", &pair->other.key.secret), 1);
	assert_ok(volume_key_remove(&house->state, house->keys, "data", &pair->key, 0, &err), &err);
	look(house, "data", &header);
	assert_int_equal(header.tokens, tokens_of(to));
	assert_handed_over(pair, house);
}

/* Each kind of key lets each other kind in, and is removed then. */
static void test_add_and_remove(void **state)
{
	_cleanup_house_ struct house house = {0};
	struct pair pair;

	make_house(&house, state, "add");
	for (int from = 0; from < KINDS; from++) {
		for (int to = 0; to < KINDS; to++) {
			if (left_out(from, to, false))
				continue;
			begin(&pair, &house, from, to);
			add_and_remove(&pair, &house);
			end(&pair, &house);
		}
	}
}

static void change(struct pair *pair, struct house *house)
{
	enum kind to = pair->other.kind;
	struct caisson_error err = {0};
	struct luks_header header;
	unsigned int keyslot = 99;

	assert_ok(volume_key_change(&house->state, house->keys, "data", &pair->key,
			  pair->other.argument, &keyslot, &err),
		&err);
	learn(house, "data", &pair->other);
	look(house, "data", &header);
	assert_int_equal(header.slots[0].number, keyslot);
	assert_int_equal(header.tokens, tokens_of(to));
	assert_int_equal(header.slots[0].recovery, to == RECOVERY);
	assert_handed_over(pair, house);
}

static void test_change(void **state)
{
	_cleanup_house_ struct house house = {0};
	struct pair pair;

	make_house(&house, state, "change");
	for (int from = 0; from < KINDS; from++) {
		for (int to = 0; to < KINDS; to++) {
			if (left_out(from, to, true))
				continue;
			begin(&pair, &house, from, to);
			change(&pair, &house);
			end(&pair, &house);
		}
	}
}

static void test_last_is_refused(void **state)
{
	_cleanup_house_ struct house house = {0};
	struct caisson_error err = {0};
	struct luks_key random = make_key(RANDOM), wrong = make_key(RANDOM);
	const struct volume_key service = {.key = NULL}, key = {.key = &random},
				other = {.key = &wrong};
	unsigned int keyslot;

	make_house(&house, state, "last");
	make_volume(&house, "served", NULL);
	make_volume(&house, "own", &random);
	for (int round = 0; round < 2; round++) {
		assert_refused(volume_key_remove(&house.state, house.keys, "served",
				       round ? &service : NULL, 0, &err),
			&err, EPERM);
		assert_refused(volume_key_remove(&house.state, house.keys, "own",
				       round ? &key : NULL, 0, &err),
			&err, EPERM);
	}
	assert_non_null(strstr(err.message, "last"));
	assert_int_equal(open_volume(&house, "served", NULL, NULL), 0);
	assert_int_equal(open_volume(&house, "own", &random, NULL), 0);
	assert_int_equal(count_keys(&house), 1);
	assert_clean(&house, "served");

	/* Keyslots that are not there, and never can be. */
	static const unsigned int none[] = {1, 31, 32, 1000, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		assert_refused(
			volume_key_remove(&house.state, house.keys, "served", NULL, none[i], &err),
			&err, ENOENT);
		assert_refused(
			volume_key_remove(&house.state, house.keys, "own", NULL, none[i], &err),
			&err, ENOENT);
	}
	assert_int_equal(open_volume(&house, "served", NULL, NULL), 0);
	/* A key that opens nothing changes nothing. */
	assert_refused(
		volume_key_add(&house.state, house.keys, "own", &other, &random, &keyslot, &err),
		&err, ENOKEY);
	assert_refused(
		volume_key_change(&house.state, house.keys, "own", &other, &random, &keyslot, &err),
		&err, ENOKEY);
	assert_refused(
		volume_key_remove(&house.state, house.keys, "own", &other, 0, &err), &err, ENOKEY);
	assert_refused(
		volume_key_add(&house.state, house.keys, "own", &service, &random, &keyslot, &err),
		&err, ENOKEY);
	assert_int_equal(count_keyslots(&house, "own"), 1);
	assert_clean(&house, "own");
	secret_done(&random.secret);
	secret_done(&wrong.secret);
}

/* As many as there is room for, and what can still be done then. */
static void fill(struct house *house, const char *name, unsigned int most)
{
	struct luks_key last = LUKS_KEY_NONE, added = LUKS_KEY_NONE;
	const struct volume_key service = {.key = NULL};
	struct volume_key key = {.key = &last};
	struct caisson_error err = {0};
	unsigned int keyslot = 99;
	struct luks_header before, after;

	for (unsigned int i = 1; i < most; i++) {
		secret_done(&last.secret);
		last = make_key(RANDOM);
		assert_ok(volume_key_add(&house->state, house->keys, name, &service, &last,
				  &keyslot, &err),
			&err);
		assert_int_equal(keyslot, i);
	}
	added = make_key(RANDOM);
	look(house, name, &before);
	assert_int_equal(before.keyslots, most);
	assert_refused(
		volume_key_add(&house->state, house->keys, name, &service, &added, &keyslot, &err),
		&err, ENOSPC);
	print_message("# full: %s\n", err.message);
	look(house, name, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_clean(house, name);
	/* One goes for another. */
	assert_ok(volume_key_change(&house->state, house->keys, name, &key, &added, &keyslot, &err),
		&err);
	assert_int_equal(open_volume(house, name, &last, NULL), -ENOKEY);
	assert_int_equal(open_volume(house, name, &added, NULL), 0);
	assert_int_equal(count_keyslots(house, name), most);
	assert_ok(volume_key_remove(&house->state, house->keys, name, NULL, most / 2, &err), &err);
	assert_ok(volume_key_add(&house->state, house->keys, name, &service, &last, &keyslot, &err),
		&err);
	assert_int_equal(keyslot, most / 2);
	/* The service's: with room it is changed, without it stays. */
	assert_refused(
		volume_key_change(&house->state, house->keys, name, &service, NULL, &keyslot, &err),
		&err, ENOSPC);
	assert_int_equal(open_volume(house, name, NULL, NULL), 0);
	assert_clean(house, name);
	secret_done(&last.secret);
	secret_done(&added.secret);
}

static void test_all_keyslots(void **state)
{
	struct volume_create_options options = {
		.size = SMALL, .filesystem = "none", .luks = LUKS_FORMAT_DEFAULT};
	_cleanup_house_ struct house house = {0};
	struct caisson_error err = {0};

	make_house(&house, state, "full");
	/* What we make has room for eight, of the shorter kind of key for more. */
	make_volume(&house, "ours", NULL);
	fill(&house, "ours", 8);
	options.luks.key_size = 32;
	assert_ok(volume_create(&house.state, house.keys, "short", &options, NULL, &err), &err);
	fill(&house, "short", 16);
}

/* A container of libcryptsetup's own has room for all 32. */
static void test_all_keyslots_of_a_stranger(void **state)
{
	_cleanup_house_ struct house house = {0};
	_cleanup_free_ char *folder = NULL, *path = NULL;
	struct luks_key key = make_key(RANDOM), added = LUKS_KEY_NONE;
	const struct volume_key volume_key = {.key = &key};
	struct crypt_pbkdf_type pbkdf = {.type = CRYPT_KDF_PBKDF2,
		.hash = "sha256",
		.iterations = 1000,
		.flags = CRYPT_PBKDF_NO_BENCHMARK};
	struct crypt_params_luks2 params = {.pbkdf = &pbkdf, .sector_size = 512};
	struct crypt_device *device = NULL;
	struct caisson_error err = {0};
	struct luks_header header;
	unsigned int keyslot;
	int fd;

	make_house(&house, state, "stranger");
	folder = format_string("%s/volumes/data", house.state.dir);
	assert_ok(make_directories(folder, 0700, &err), &err);
	path = container_path(&house, "data");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 64 << 20), 0);
	close(fd);
	assert_int_equal(crypt_init(&device, path), 0);
	assert_int_equal(
		crypt_format(device, CRYPT_LUKS2, "aes", "xts-plain64", NULL, NULL, 64, &params),
		0);
	for (int i = 0; i < 32; i++)
		assert_int_equal(crypt_keyslot_add_by_volume_key(device, i, NULL, 0,
					 (const char *)key.secret.data, key.secret.size - (i > 0)),
			i);
	crypt_free(device);
	look(&house, "data", &header);
	assert_int_equal(header.keyslots, 32);
	added = make_key(RANDOM);
	assert_refused(volume_key_add(&house.state, house.keys, "data", &volume_key, &added,
			       &keyslot, &err),
		&err, ENOSPC);
	assert_refused(
		volume_key_add(&house.state, house.keys, "data", &volume_key, NULL, &keyslot, &err),
		&err, ENOSPC);
	assert_int_equal(count_keys(&house), 0);
	assert_ok(volume_key_change(
			  &house.state, house.keys, "data", &volume_key, &added, &keyslot, &err),
		&err);
	assert_int_equal(keyslot, 0);
	assert_int_equal(open_volume(&house, "data", &added, NULL), 0);
	assert_int_equal(open_volume(&house, "data", &key, NULL), -ENOKEY);
	assert_ok(volume_key_remove(&house.state, house.keys, "data", NULL, 31, &err), &err);
	/* Facts of a stranger's container become the record. */
	assert_ok(volume_key_add(&house.state, house.keys, "data",
			  &(struct volume_key){.key = &added}, NULL, &keyslot, &err),
		&err);
	assert_int_equal(keyslot, 31);
	assert_int_equal(open_volume(&house, "data", NULL, NULL), 0);
	assert_int_equal(count_keys(&house), 1);
	secret_done(&key.secret);
	secret_done(&added.secret);
}

static void test_recovery_tokens(void **state)
{
	_cleanup_house_ struct house house = {0};
	_cleanup_free_ char *path = NULL;
	struct luks_key one = make_key(RECOVERY), two = make_key(RECOVERY);
	const struct volume_key service = {.key = NULL};
	struct crypt_device *device = NULL;
	struct caisson_error err = {0};
	struct luks_header header;
	unsigned int keyslot;
	const char *json = NULL;

	make_house(&house, state, "tokens");
	make_volume(&house, "data", NULL);
	path = container_path(&house, "data");
	assert_ok(volume_key_add(&house.state, house.keys, "data", &service, &one, &keyslot, &err),
		&err);
	/* As systemd-cryptenroll's own is. */
	assert_int_equal(crypt_init(&device, path), 0);
	assert_int_equal(crypt_load(device, CRYPT_LUKS2, NULL), 0);
	assert_int_equal(crypt_token_json_get(device, 0, &json), 0);
	assert_non_null(strstr(json, "systemd-recovery"));
	assert_int_equal(crypt_token_is_assigned(device, 0, (int)keyslot), 0);
	/* A token of somebody else's. */
	assert_int_equal(crypt_token_json_set(device, CRYPT_ANY_TOKEN,
				 "{\"type\":\"somebodys\",\"keyslots\":[\"0\",\"1\"]}"),
		1);
	crypt_free(device);

	assert_ok(volume_key_add(&house.state, house.keys, "data", &service, &two, &keyslot, &err),
		&err);
	assert_kinds(&house, "data", "service recovery recovery ");
	look(&house, "data", &header);
	assert_int_equal(header.tokens, 3);
	assert_ok(volume_key_change(&house.state, house.keys, "data",
			  &(struct volume_key){.key = &one}, &two, &keyslot, &err),
		&err);
	look(&house, "data", &header);
	assert_int_equal(header.tokens, 3);
	assert_int_equal(header.keyslots, 3);
	assert_ok(volume_key_remove(&house.state, house.keys, "data",
			  &(struct volume_key){.key = &two}, 0, &err),
		&err);
	assert_ok(volume_key_remove(&house.state, house.keys, "data",
			  &(struct volume_key){.key = &two}, 0, &err),
		&err);
	look(&house, "data", &header);
	assert_int_equal(header.tokens, 1);
	assert_kinds(&house, "data", "service ");
	assert_int_equal(open_volume(&house, "data", NULL, NULL), 0);
	secret_done(&one.secret);
	secret_done(&two.secret);
}

static void test_kind_of(void **state _unused_)
{
	static const struct {
		const char *text;
		size_t size;
		enum luks_key_kind kind;
	} cases[] = {
		{"a passphrase", 12, LUKS_KEY_PASSPHRASE},
		{"a passphrase\n", 13, LUKS_KEY_PASSPHRASE},
		{"0123456789abcdef0123456789abcdef0123456789abcdef\n", 49, LUKS_KEY_PASSPHRASE},
		{"\x00\x01\x02", 3, LUKS_KEY_PASSPHRASE},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
		 "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
			31, LUKS_KEY_PASSPHRASE},
		{"0123456789abcdef0123456789abcde\x80", 32, LUKS_KEY_RANDOM},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct secret bytes = {
			.data = (uint8_t *)(uintptr_t)cases[i].text, .size = cases[i].size};

		assert_int_equal(luks_key_kind_of(&bytes), cases[i].kind);
	}
}

/* A key that fits a container which was put in place of the volume's. */
static void test_facts_whatever_key(void **state)
{
	_cleanup_house_ struct house house = {0};
	_cleanup_free_ char *one = NULL, *other = NULL, *away = NULL;
	struct luks_key random = make_key(RANDOM);
	const struct volume_key service = {.key = NULL}, key = {.key = &random};
	struct caisson_error err = {0};
	unsigned int keyslot;

	make_house(&house, state, "facts");
	make_volume(&house, "one", NULL);
	make_volume(&house, "other", NULL);
	assert_ok(
		volume_key_add(&house.state, house.keys, "one", &service, &random, &keyslot, &err),
		&err);
	assert_ok(volume_key_add(
			  &house.state, house.keys, "other", &service, &random, &keyslot, &err),
		&err);
	one = container_path(&house, "one");
	other = container_path(&house, "other");
	away = format_string("%s/away", house.state.dir);
	assert_int_equal(rename(one, away), 0);
	assert_int_equal(rename(other, one), 0);
	assert_int_equal(open_volume(&house, "one", &random, NULL), -EPERM);
	assert_int_equal(open_volume(&house, "one", NULL, NULL), -EPERM);
	assert_refused(
		volume_key_change(&house.state, house.keys, "one", &key, &random, &keyslot, &err),
		&err, EPERM);
	assert_refused(
		volume_key_change(&house.state, house.keys, "one", &key, NULL, &keyslot, &err),
		&err, EPERM);
	assert_int_equal(rename(one, other), 0);
	assert_int_equal(rename(away, one), 0);
	assert_int_equal(open_volume(&house, "one", &random, NULL), 0);
	secret_done(&random.secret);
}

/* Markers by hand: what each says, and what cannot be. */
static void test_markers(void **state)
{
	static const char *const bad[] = {"", "put", "put 1", "put x 0\n", "put 32 0\n",
		"put - 0\n", "put 0 32\n", "nonsense\n", "put 1 0x\n", "put -1 0\n"};
	_cleanup_house_ struct house house = {0};
	_cleanup_free_ char *marker = NULL;
	struct luks_key random = make_key(RANDOM), fresh = make_key(RANDOM);
	const struct volume_key service = {.key = NULL};
	struct caisson_error err = {0};
	unsigned int keyslot;

	make_house(&house, state, "markers");
	make_volume(&house, "data", NULL);
	assert_ok(
		volume_key_add(&house.state, house.keys, "data", &service, &random, &keyslot, &err),
		&err);
	marker = format_string("%s/volumes/data/rekey", house.state.dir);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_ok(write_file_atomic(marker, bad[i], strlen(bad[i]), 0600, &err), &err);
		assert_int_equal(open_volume(&house, "data", NULL, NULL), -EBADMSG);
		assert_int_equal(count_keyslots(&house, "data"), 2);
		assert_int_equal(count_keys(&house), 1);
	}
	/* Before its keyslot was made: nothing to take back. */
	assert_ok(write_file_atomic(marker, "put 2 0\n", 8, 0600, &err), &err);
	assert_int_equal(open_volume(&house, "data", NULL, NULL), 0);
	assert_int_equal(count_keyslots(&house, "data"), 2);
	/* After it was made, and before the database had it: taken back. */
	assert_ok(
		volume_key_add(&house.state, house.keys, "data", &service, &fresh, &keyslot, &err),
		&err);
	assert_int_equal(keyslot, 2);
	assert_ok(write_file_atomic(marker, "put 2 0\n", 8, 0600, &err), &err);
	assert_int_equal(open_volume(&house, "data", &fresh, NULL), -ENOKEY);
	assert_int_equal(count_keyslots(&house, "data"), 2);
	assert_clean(&house, "data");
	/* After the database had it: the old one goes. */
	assert_ok(write_file_atomic(marker, "put 0 1\n", 8, 0600, &err), &err);
	assert_int_equal(open_volume(&house, "data", &random, NULL), -ENOKEY);
	assert_int_equal(open_volume(&house, "data", NULL, NULL), 0);
	assert_int_equal(count_keyslots(&house, "data"), 1);
	/* A drop whose keyslot is there still, and one whose keyslot has gone. */
	assert_ok(
		volume_key_add(&house.state, house.keys, "data", &service, &random, &keyslot, &err),
		&err);
	assert_ok(write_file_atomic(marker, "drop\n", 5, 0600, &err), &err);
	assert_int_equal(open_volume(&house, "data", NULL, NULL), 0);
	assert_int_equal(count_keys(&house), 1);
	assert_clean(&house, "data");
	{
		_cleanup_free_ char *path = container_path(&house, "data");

		assert_ok(luks_key_remove(path, 0, &err), &err);
	}
	assert_ok(write_file_atomic(marker, "drop\n", 5, 0600, &err), &err);
	assert_int_equal(open_volume(&house, "data", &random, NULL), 0);
	assert_int_equal(count_keys(&house), 0);
	assert_clean(&house, "data");
	secret_done(&random.secret);
	secret_done(&fresh.secret);
}

/* A keyslot that costs more than a machine's is none, and no reason to stop. */
static void test_dear_keyslot(void **state)
{
	const struct crypt_pbkdf_type pbkdf = {.type = CRYPT_KDF_PBKDF2,
		.hash = "sha256",
		.iterations = 20000,
		.flags = CRYPT_PBKDF_NO_BENCHMARK};
	_cleanup_house_ struct house house = {0};
	_cleanup_free_ char *path = NULL, *marker = NULL;
	struct luks_key random = make_key(RANDOM);
	struct secret volume_key = SECRET_NONE;
	struct crypt_device *device = NULL;
	struct caisson_error err = {0};

	make_house(&house, state, "dear");
	make_volume(&house, "data", NULL);
	path = container_path(&house, "data");
	marker = format_string("%s/volumes/data/rekey", house.state.dir);
	assert_int_equal(open_volume(&house, "data", NULL, &volume_key), 0);
	assert_int_equal(crypt_init(&device, path), 0);
	assert_int_equal(crypt_load(device, CRYPT_LUKS2, NULL), 0);
	assert_int_equal(crypt_set_pbkdf_type(device, &pbkdf), 0);
	assert_int_equal(crypt_keyslot_add_by_volume_key(device, CRYPT_ANY_SLOT,
				 (const char *)volume_key.data, volume_key.size,
				 (const char *)random.secret.data, random.secret.size),
		1);
	crypt_free(device);
	assert_kinds(&house, "data", "service key ");
	assert_int_equal(open_volume(&house, "data", &random, NULL), 0);
	assert_ok(luks_key_remove(path, 0, &err), &err);
	assert_kinds(&house, "data", "key ");
	assert_ok(write_file_atomic(marker, "drop\n", 5, 0600, &err), &err);
	assert_int_equal(open_volume(&house, "data", &random, NULL), 0);
	assert_int_equal(count_keys(&house), 0);
	assert_clean(&house, "data");
	secret_done(&volume_key);
	secret_done(&random.secret);
}

/* One change of keys in a process of its own, which is killed at one of its system calls. */
enum change { ROTATE, HAND_OUT, TAKE_IN, REMOVE_SERVICE, CHANGE_OWN, CHANGES };

static const char *const change_names[] = {"service to service", "service to key", "key to service",
	"remove the service's", "key to key"};

struct rekey {
	void **state;
	const char *house;
	enum change change;
	uint8_t old_key[64], new_key[64];
};

static struct luks_key known_key(const uint8_t bytes[64])
{
	struct luks_key key = {.kind = LUKS_KEY_RANDOM};
	struct caisson_error err = {0};

	assert_ok(secret_copy(&key.secret, bytes, 64, &err), &err);
	return key;
}

static int rekey_work(void *userdata)
{
	const struct rekey *rekey = userdata;
	struct luks_key old_key = known_key(rekey->old_key), new_key = known_key(rekey->new_key);
	const struct volume_key service = {.key = NULL}, own = {.key = &old_key};
	struct house house = {0};
	unsigned int keyslot;
	int r = open_house(&house, *rekey->state, rekey->house, NULL);

	if (r < 0)
		return 2;
	switch (rekey->change) {
	case ROTATE:
		r = volume_key_change(
			&house.state, house.keys, "data", &service, NULL, &keyslot, NULL);
		break;
	case HAND_OUT:
		r = volume_key_change(
			&house.state, house.keys, "data", &service, &new_key, &keyslot, NULL);
		break;
	case TAKE_IN:
		r = volume_key_change(&house.state, house.keys, "data", &own, NULL, &keyslot, NULL);
		break;
	case REMOVE_SERVICE:
		r = volume_key_remove(&house.state, house.keys, "data", &service, 0, NULL);
		break;
	case CHANGE_OWN:
	case CHANGES:
		r = volume_key_change(
			&house.state, house.keys, "data", &own, &new_key, &keyslot, NULL);
		break;
	}
	return r < 0 ? 1 : 0;
}

/* Old or new, and nothing between; whether it is new. */
static bool assert_old_or_new(const struct house *house, const struct rekey *rekey)
{
	struct luks_key old_key = known_key(rekey->old_key), new_key = known_key(rekey->new_key);
	bool by_old = open_volume(house, "data", &old_key, NULL) == 0;
	bool by_new = open_volume(house, "data", &new_key, NULL) == 0;
	bool by_service = open_volume(house, "data", NULL, NULL) == 0;
	unsigned int keyslots = count_keyslots(house, "data");

	secret_done(&old_key.secret);
	secret_done(&new_key.secret);
	assert_clean(house, "data");
	assert_int_equal(count_keys(house), by_service);
	assert_int_equal(keyslots, by_old + by_new + by_service);
	switch (rekey->change) {
	case ROTATE:
		assert_true(by_service && !by_old && !by_new);
		return true;
	case HAND_OUT:
		assert_true(by_service != by_new && !by_old);
		return by_new;
	case TAKE_IN:
		assert_true(by_service != by_old && !by_new);
		return by_service;
	case REMOVE_SERVICE:
		assert_true(by_old && !by_new);
		return !by_service;
	case CHANGE_OWN:
	case CHANGES:
		assert_true(by_old != by_new && !by_service);
		return by_new;
	}
	return false;
}

static void make_to_change(const struct house *house, const struct rekey *rekey)
{
	struct luks_key old_key = known_key(rekey->old_key);
	const struct volume_key service = {.key = NULL};
	struct caisson_error err = {0};
	unsigned int keyslot;

	assert_ok(volume_destroy(&house->state, house->keys, "data",
			  &(struct caisson_volume_destroyed){0}, &err),
		&err);
	make_volume(house, "data",
		rekey->change == TAKE_IN || rekey->change == CHANGE_OWN ? &old_key : NULL);
	if (rekey->change == REMOVE_SERVICE)
		assert_ok(volume_key_add(&house->state, house->keys, "data", &service, &old_key,
				  &keyslot, &err),
			&err);
	secret_done(&old_key.secret);
}

#define KILLS 10 /* for each change */

static void test_killed(void **state)
{
	const char *given = getenv("CAISSON_SEED");
	unsigned int seed = given != NULL ? (unsigned int)atoi(given) : (unsigned int)time(NULL);
	struct rekey rekey = {.state = state, .house = "killed"};
	const struct killed_at killed = {.work = rekey_work, .userdata = &rekey};
	_cleanup_house_ struct house house = {0};

	if (!may_trace())
		skip();
	print_message("# CAISSON_SEED=%u\n", seed);
	make_house(&house, state, "killed");
	memset(rekey.old_key, 0xa1, sizeof(rekey.old_key));
	memset(rekey.new_key, 0xb2, sizeof(rekey.new_key));
	for (rekey.change = ROTATE; rekey.change < CHANGES; rekey.change++) {
		unsigned int calls = 0, old = 0, new = 0, step;

		/* How many there are. */
		make_to_change(&house, &rekey);
		for (calls = 256; run_killed_at(&killed, calls) < 0; calls *= 2)
			make_to_change(&house, &rekey);
		step = calls / 2 / KILLS;
		/* The first half is opening and reading. */
		for (unsigned int call = calls / 8 + (unsigned int)rand_r(&seed) % step;
			call < calls; call += step + (unsigned int)rand_r(&seed) % 3) {
			int status;

			make_to_change(&house, &rekey);
			status = run_killed_at(&killed, call);
			assert_true(status == -1 || status == 0);
			if (assert_old_or_new(&house, &rekey))
				new ++;
			else
				old++;
			if (status == 0)
				break;
		}
		print_message("# %s: %u times the old, %u the new\n", change_names[rekey.change],
			old, new);
	}
}

static int make_folder(void **state)
{
	/* libcryptsetup as we have it, also where a test calls it itself. */
	luks_quiet();
	return make_test_folder_in_memory(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kind_of),
		cmocka_unit_test(test_last_is_refused),
		cmocka_unit_test(test_all_keyslots),
		cmocka_unit_test(test_all_keyslots_of_a_stranger),
		cmocka_unit_test(test_recovery_tokens),
		cmocka_unit_test(test_facts_whatever_key),
		cmocka_unit_test(test_markers),
		cmocka_unit_test(test_dear_keyslot),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_add_and_remove),
		cmocka_unit_test(test_change),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_test_folder);
}
