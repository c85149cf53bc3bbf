/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keys of a volume. A change of keyslots alone is one change of the header. Where the key service's
 * key is part of it, two things change, header and database; a marker (volumes/NAME/rekey) says
 * before the first one what shall come of it, and whoever has the volume next finishes or undoes
 * it:
 *
 *   put NEW OLD   keyslot NEW gets the service's key, then keyslot OLD (or -) goes. If the
 * database's key opens NEW, OLD is removed; else NEW. drop          the service's keyslot goes,
 * then its key. If the key opens nothing any more, it is removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "filesystem/probe.h"
#include "volume/header.h"

#define MARKER_MOST 64
#define NONE        UINT32_MAX

static int set_marker(
	const struct volume_access *access, const char *text, struct caisson_error *err)
{
	return volume_write_marker(&access->layout, path_base(access->layout.rekey), text, err);
}

static int clear_marker(const struct volume_access *access, struct caisson_error *err)
{
	if (unlink(access->layout.rekey) < 0 && errno != ENOENT)
		return caisson_fail(err, errno, "remove %s", access->layout.rekey);
	return sync_directory(access->layout.folder, err);
}

struct change {
	const struct secret *volume_key;
	const struct luks_key *added; /* NULL: none */
	uint32_t removed;             /* NONE */
	unsigned int keyslot;         /* that was added */
};

static int change_keyslots(const char *path, void *userdata, struct caisson_error *err)
{
	struct change *change = userdata;
	struct caisson_error full = {0};
	int r;

	if (change->added == NULL)
		return luks_key_remove(path, change->removed, err);
	r = luks_key_add(path, change->volume_key, change->added, &change->keyslot,
		change->removed != NONE ? &full : err);
	/* It is a copy that is worked on: which of the two comes first is all the same. */
	if (r == -ENOSPC && change->removed != NONE) {
		r = luks_key_remove(path, change->removed, err);
		return r < 0 ? r
			     : luks_key_add(path, change->volume_key, change->added,
				       &change->keyslot, err);
	}
	if (r < 0 && change->removed != NONE && err != NULL)
		*err = full;
	return r < 0 || change->removed == NONE ? r : luks_key_remove(path, change->removed, err);
}

static int remove_keyslot(struct volume_access *access, uint32_t keyslot, struct caisson_error *err)
{
	struct change change = {.removed = keyslot};
	struct caisson_error failure = {0};
	int r = volume_change_header(access, change_keyslots, &change, &failure);

	if (r == -ENOENT)
		return 0;
	if (r < 0 && err != NULL)
		*err = failure;
	return r;
}

/* The keyslot that the service's key opens, NONE when it opens none, or there is no such key. */
static int service_keyslot(const struct volume_access *access, const char *path,
	uint32_t *ret_keyslot, struct caisson_error *err)
{
	struct luks_opened opened = {.keyslot = NONE};
	struct luks_key key = {.kind = LUKS_KEY_MACHINE};
	struct key_record record;
	int r = key_service_find(access->keys, access->name, &record, err);

	*ret_keyslot = NONE;
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = key_service_unwrap(access->keys, access->name, &key.secret, err);
	if (r == 0)
		r = luks_open(path, &key, NULL, &opened, err);
	if (r == 0)
		*ret_keyslot = opened.keyslot;
	secret_done(&opened.volume_key);
	secret_done(&key.secret);
	return r == -ENOKEY ? 0 : r;
}

/* "3" or "-"; false for anything else. */
static bool read_number(const char *text, uint32_t *ret_number)
{
	char *end;

	*ret_number = NONE;
	if (strcmp(text, "-") == 0)
		return true;
	if (text[0] < '0' || text[0] > '9')
		return false;
	*ret_number = (uint32_t)strtoul(text, &end, 10);
	return *end == '\0' && *ret_number < 32;
}

static int finish(struct volume_access *access, char *marker, struct caisson_error *err)
{
	char *save = NULL, *word = strtok_r(marker, " \n", &save), *first, *second;
	uint32_t added, removed, keyslot;
	int r = service_keyslot(access, access->path, &keyslot, err);

	if (r < 0)
		return r;
	if (word != NULL && strcmp(word, "drop") == 0)
		return keyslot != NONE ? 0 : key_service_remove(access->keys, access->name, err);
	first = strtok_r(NULL, " \n", &save);
	second = strtok_r(NULL, " \n", &save);
	if (word == NULL || strcmp(word, "put") != 0 || first == NULL || second == NULL ||
		!read_number(first, &added) || !read_number(second, &removed) || added == NONE)
		return caisson_refuse(err, EBADMSG, "%s cannot be read", access->layout.rekey);
	if (keyslot == added)
		return removed == NONE ? 0 : remove_keyslot(access, removed, err);
	return remove_keyslot(access, added, err);
}

int volume_recover_keys(struct volume_access *access, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf marker = STRBUF_INIT;
	int r = read_file(access->layout.rekey, MARKER_MOST, &marker, err);

	if (r == -ENOENT)
		return 0;
	if (r == 0 && marker.data == NULL)
		r = caisson_refuse(err, EBADMSG, "%s is empty", access->layout.rekey);
	if (r == 0)
		r = finish(access, marker.data, err);
	if (r < 0)
		return caisson_wrap(err, "finish a change of keys that was interrupted");
	return clear_marker(access, err);
}

static int free_keyslot(
	const struct volume_access *access, uint32_t *ret_keyslot, struct caisson_error *err)
{
	struct luks_header header;
	uint32_t used = 0;
	int r = luks_inspect(access->path, &header, err);

	if (r < 0)
		return r;
	for (unsigned int i = 0; i < header.keyslots; i++)
		used |= UINT32_C(1) << header.slots[i].number;
	if (used == UINT32_MAX)
		return caisson_refuse(err, ENOSPC, "all 32 keyslots are in use");
	*ret_keyslot = (uint32_t)__builtin_ctz(~used);
	return 0;
}

static int probe_filesystem(struct volume_access *access, char type[16], struct caisson_error *err)
{
	_cleanup_blocks_ struct blocks *payload = NULL;
	int r;

	if (access->has_record) {
		memcpy(type, access->record.filesystem, 16);
		return 0;
	}
	r = volume_access_payload(access, access->blocks, &payload, err);
	if (r == 0)
		r = filesystem_kind(payload, type, err);
	if (r == 0 && type[0] == '\0')
		strcpy(type, "none");
	return r;
}

/* A machine key, made and put beside its keyslot. @removed goes with the same change, or is NONE.
 */
static int put_service_key(struct volume_access *access, uint32_t removed,
	unsigned int *ret_keyslot, struct caisson_error *err)
{
	struct key_record record = {.facts = access->luks.facts,
		.created = access->has_record ? access->record.created : volume_now()};
	struct luks_key key = {.kind = LUKS_KEY_MACHINE};
	struct change change = {
		.volume_key = &access->luks.volume_key, .added = &key, .removed = NONE};
	uint32_t keyslot = 0;
	char marker[MARKER_MOST], old[16] = "-";
	int r = free_keyslot(access, &keyslot, err);

	if (removed != NONE)
		snprintf(old, sizeof(old), "%u", removed);
	snprintf(marker, sizeof(marker), "put %u %s\n", keyslot, old);
	snprintf(record.volume, sizeof(record.volume), "%s", access->name);
	if (r == 0)
		r = probe_filesystem(access, record.filesystem, err);
	if (r == 0)
		r = secret_random(&key.secret, LUKS_MACHINE_KEY_SIZE, err);
	if (r == 0)
		r = luks_fingerprint(
			&access->luks.volume_key, &key.secret, record.facts.fingerprint, err);
	if (r == 0)
		r = set_marker(access, marker, err);
	if (r == 0)
		r = volume_change_header(access, change_keyslots, &change, err);
	if (r == 0)
		r = key_service_replace(access->keys, &record, &key.secret, err);
	secret_done(&key.secret);
	if (r < 0) {
		(void)volume_recover_keys(access, NULL);
		return r;
	}
	*ret_keyslot = change.keyslot;
	return volume_recover_keys(access, err);
}

static int drop_service_key(
	struct volume_access *access, struct change *change, struct caisson_error *err)
{
	int r = set_marker(access, "drop\n", err);

	if (r == 0)
		r = volume_change_header(access, change_keyslots, change, err);
	if (r < 0) {
		(void)volume_recover_keys(access, NULL);
		return r;
	}
	return volume_recover_keys(access, err);
}

static int unlock(struct volume_access *access, const struct state *state, struct key_service *keys,
	const char *name, const struct volume_key *key, const char *action,
	struct caisson_error *err)
{
	int r = volume_access_lock(state, keys, name, action, false, access, err);

	return r < 0 ? r : volume_access_unlock(access, key->key, &key->limits, err);
}

int volume_key_add(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key, const struct luks_key *added, unsigned int *ret_keyslot,
	struct caisson_error *err)
{
	_cleanup_volume_access_ struct volume_access access = VOLUME_ACCESS_NONE;
	struct change change = {
		.volume_key = &access.luks.volume_key, .added = added, .removed = NONE};
	int r = unlock(&access, state, keys, name, key, "key add", err);

	if (r < 0)
		return r;
	if (added == NULL && access.has_record)
		return caisson_refuse(
			err, EEXIST, "the key service has a key for the volume %s", name);
	if (added == NULL)
		return put_service_key(&access, NONE, ret_keyslot, err);
	r = volume_change_header(&access, change_keyslots, &change, err);
	if (r == 0)
		*ret_keyslot = change.keyslot;
	return r;
}

int volume_key_change(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key, const struct luks_key *changed, unsigned int *ret_keyslot,
	struct caisson_error *err)
{
	_cleanup_volume_access_ struct volume_access access = VOLUME_ACCESS_NONE;
	struct change change = {.volume_key = &access.luks.volume_key, .added = changed};
	int r = unlock(&access, state, keys, name, key, "key change", err);

	if (r < 0)
		return r;
	change.removed = access.luks.keyslot;
	if (changed == NULL && key->key != NULL && access.has_record)
		return caisson_refuse(
			err, EEXIST, "the key service has a key for the volume %s", name);
	if (changed == NULL)
		return put_service_key(&access, change.removed, ret_keyslot, err);
	r = key->key == NULL ? drop_service_key(&access, &change, err)
			     : volume_change_header(&access, change_keyslots, &change, err);
	if (r == 0)
		*ret_keyslot = change.keyslot;
	return r;
}

int volume_key_remove(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key, unsigned int keyslot, struct caisson_error *err)
{
	_cleanup_volume_access_ struct volume_access access = VOLUME_ACCESS_NONE;
	struct change change = {.removed = keyslot};
	uint32_t service = NONE;
	int r;

	r = volume_access_lock(state, keys, name, "key remove", false, &access, err);
	if (r == 0 && key != NULL) {
		r = volume_access_unlock(&access, key->key, &key->limits, err);
		change.removed = access.luks.keyslot;
	} else if (r == 0 && keyslot >= LUKS_KEYSLOTS_MOST)
		r = caisson_refuse(err, ENOENT, "there is no keyslot %u", keyslot);
	if (r == 0)
		r = service_keyslot(&access, access.path, &service, err);
	if (r < 0)
		return r;
	return service == change.removed
		       ? drop_service_key(&access, &change, err)
		       : volume_change_header(&access, change_keyslots, &change, err);
}

static const char *kind_of(const struct luks_keyslot_info *keyslot, uint32_t service)
{
	if (keyslot->number == service)
		return "service";
	if (keyslot->recovery)
		return "recovery";
	if (strncmp(keyslot->kdf, "argon2", 6) == 0)
		return "passphrase";
	return strcmp(keyslot->kdf, "pbkdf2") == 0 ? "key" : "other";
}

/* Only looked at: also while somebody has it open. A header that nothing shall be tried on, or on a
   disk that takes no record of the key's use, is to be looked at all the same. */
static int find_service(
	const struct volume_access *access, uint32_t *ret_keyslot, struct caisson_error *err)
{
	int r = service_keyslot(access, access->layout.container, ret_keyslot, err);

	switch (r) {
	case -E2BIG:
	case -ENOTSUP:
	case -ENOSPC:
	case -EROFS:
	case -EACCES:
		return 0;
	default:
		return r;
	}
}

int volume_keyslots(const struct state *state, struct key_service *keys, const char *name,
	int (*each)(const struct caisson_volume_keyslot *keyslot, void *userdata), void *userdata,
	struct caisson_error *err)
{
	struct volume_access access = {.state = state, .keys = keys, .container = -1};
	struct luks_header header = {0};
	uint32_t service = NONE;
	int r = volume_layout(state, name, &access.layout, err);

	snprintf(access.name, sizeof(access.name), "%s", name);
	if (r == 0 && !volume_exists(&access.layout))
		r = volume_missing(name, err);
	if (r == 0)
		r = luks_inspect(access.layout.container, &header, err);
	if (r == 0)
		r = find_service(&access, &service, err);
	for (unsigned int i = 0; r == 0 && i < header.keyslots; i++) {
		const struct luks_keyslot_info *from = &header.slots[i];
		struct caisson_volume_keyslot to = {.number = from->number,
			.memory = from->memory,
			.iterations = from->iterations};

		snprintf(to.kind, sizeof(to.kind), "%s", kind_of(from, service));
		snprintf(to.kdf, sizeof(to.kdf), "%s", from->kdf);
		text_flatten(to.kdf); /* a stranger's words */
		r = each(&to, userdata);
	}
	volume_access_done(&access);
	return r;
}
