/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/access.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "base/staging.h"
#include "luks/payload.h"
#include "volume/redo.h"

void volume_access_done(struct volume_access *access)
{
	luks_cipher_free(access->cipher);
	secret_done(&access->luks.volume_key);
	blocks_free(access->blocks);
	closep(&access->container);
	volume_layout_done(&access->layout);
	*access = VOLUME_ACCESS_NONE;
}

static int measure(int fd, const char *what, uint64_t *ret_size, struct caisson_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", what);
	*ret_size = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, ret_size) < 0)
		return caisson_fail(err, errno, "ask for the size of %s", what);
	return 0;
}

static int open_blocks(struct volume_access *access, struct caisson_error *err)
{
	uint64_t size;
	int r = measure(access->container, access->layout.container, &size, err);

	blocks_free(take_ptr(access->blocks));
	return r < 0 ? r
		     : blocks_of_file(access->container, size, access->read_only, "the container",
			       &access->blocks, err);
}

/* Under the lock on the volumes, so that whoever is kept out reads who keeps it out. */
static int take(struct volume_access *access, const char *action, struct caisson_error *err)
{
	char holder[128];
	int r;

	if (!volume_exists(&access->layout))
		return volume_missing(access->name, err);
	r = volume_lock_container(&access->layout, access->name,
		access->read_only ? O_RDONLY : O_RDWR, &access->container, err);
	if (r < 0)
		return r;
	/* For people: on a full disk others are kept out all the same. */
	snprintf(holder, sizeof(holder), "caisson volume %s (process %d)", action, (int)getpid());
	(void)volume_write_holder(&access->layout, holder, NULL);
	return 0;
}

static int recover(struct volume_access *access, struct caisson_error *err)
{
	int r;

	if (access->read_only) {
		if (!redo_waits(access->layout.folder) &&
			faccessat(AT_FDCWD, access->layout.rekey, F_OK, 0) < 0)
			return 0;
		return caisson_refuse(err, EROFS,
			"a change to the volume %s was interrupted, and cannot be finished: it "
			"is read-only",
			access->name);
	}
	redo_sweep(access->layout.folder);
	staging_sweep(access->layout.folder);
	r = redo_recover(access->layout.folder, access->container, err);
	if (r >= 0)
		r = open_blocks(access, err);
	return r < 0 ? r : volume_recover_keys(access, err);
}

static int find_record(struct volume_access *access, struct caisson_error *err)
{
	struct caisson_error failure = {0};
	int r = key_service_find(access->keys, access->name, &access->record, &failure);

	access->has_record = r == 0;
	if (r == 0 || r == -ENOENT)
		return 0;
	if (err != NULL)
		*err = failure;
	return r;
}

static int begin(struct volume_access *access, const struct state *state, struct key_service *keys,
	const char *name, bool read_only, struct caisson_error *err)
{
	access->state = state;
	access->keys = keys;
	access->read_only = read_only;
	snprintf(access->name, sizeof(access->name), "%s", name);
	return volume_layout(state, name, &access->layout, err);
}

int volume_access_lock(const struct state *state, struct key_service *keys, const char *name,
	const char *action, bool read_only, struct volume_access *ret_access,
	struct caisson_error *err)
{
	_cleanup_volume_access_ struct volume_access access = VOLUME_ACCESS_NONE;
	_cleanup_close_ int lock = -1;
	int r;

	r = begin(&access, state, keys, name, read_only, err);
	if (r < 0)
		return r;
	r = volumes_lock(&access.layout, &lock, err);
	if (r == 0)
		r = volume_recover_quietly(&access.layout, keys, name, err);
	if (r == 0)
		r = take(&access, action, err);
	if (r < 0)
		return r;
	snprintf(access.path, sizeof(access.path), "/proc/self/fd/%d", access.container);
	r = open_blocks(&access, err);
	if (r == 0)
		r = recover(&access, err);
	if (r == 0)
		r = find_record(&access, err);
	if (r < 0)
		return r;
	*ret_access = access;
	access = VOLUME_ACCESS_NONE;
	return 0;
}

int volume_access_lock_read(const struct state *state, struct key_service *keys, const char *name,
	const char *action, struct volume_access *ret_access, struct caisson_error *err)
{
	struct caisson_error failure = {0};
	int r = volume_access_lock(state, keys, name, action, false, ret_access, &failure);

	if (r == -EROFS || r == -EACCES)
		return volume_access_lock(state, keys, name, action, true, ret_access, err);
	if (r < 0 && err != NULL)
		*err = failure;
	return r;
}

int volume_access_peek(const struct state *state, struct key_service *keys, const char *name,
	struct volume_access *ret_access, struct caisson_error *err)
{
	_cleanup_volume_access_ struct volume_access access = VOLUME_ACCESS_NONE;
	int r;

	r = begin(&access, state, keys, name, true, err);
	if (r < 0)
		return r;
	if (!volume_exists(&access.layout))
		return volume_missing(name, err);
	access.container = open_file(access.layout.container,
		O_RDONLY | O_NONBLOCK | O_NOCTTY | (access.layout.on_device ? 0 : O_NOFOLLOW), 0,
		err);
	if (access.container < 0)
		return access.container;
	snprintf(access.path, sizeof(access.path), "/proc/self/fd/%d", access.container);
	r = open_blocks(&access, err);
	if (r == 0)
		r = find_record(&access, err);
	if (r < 0)
		return r;
	*ret_access = access;
	access = VOLUME_ACCESS_NONE;
	return 0;
}

static int need_key(const struct volume_access *access, struct caisson_error *err)
{
	if (access->has_record)
		return 0;
	caisson_refuse(err, ENOKEY, "the key service has no key for the volume %s", access->name);
	return caisson_hint(err,
		"name the key that opens it (--passphrase, --key-file); if it was the key "
		"service's, restore its database from a backup");
}

static int unlock_by_service(
	struct volume_access *access, const struct luks_limits *limits, struct caisson_error *err)
{
	struct luks_key key = {.kind = LUKS_KEY_MACHINE};
	_cleanup_secret_ struct secret volume_key = SECRET_NONE;
	int r = need_key(access, err);

	if (r == 0)
		r = key_service_unwrap(access->keys, access->name, &key.secret, err);
	/* Header and fingerprint against the record, and then once more for what the record does
	   not have: which keyslot it was. */
	if (r == 0)
		r = luks_unlock(access->path, &access->record.facts, &key.secret, &volume_key, err);
	if (r == 0)
		r = luks_open(access->path, &key, limits, &access->luks, err);
	/* The storage may have shown us two headers. */
	if (r == 0 && !secret_equal(&volume_key, &access->luks.volume_key))
		r = caisson_refuse(err, EPERM, "the header of the volume %s changes as it is read",
			access->name);
	secret_done(&key.secret);
	return r;
}

/* With another key than the service's: it must be the volume key that the service recorded. */
static int compare_fingerprint(struct volume_access *access, struct caisson_error *err)
{
	uint8_t fingerprint[LUKS_FINGERPRINT_SIZE];
	_cleanup_secret_ struct secret machine_key = SECRET_NONE;
	int r;

	if (!access->has_record)
		return 0;
	r = key_service_unwrap(access->keys, access->name, &machine_key, err);
	if (r == 0)
		r = luks_fingerprint(&access->luks.volume_key, &machine_key, fingerprint, err);
	if (r < 0)
		return r;
	return memcmp(fingerprint, access->record.facts.fingerprint, sizeof(fingerprint)) == 0
		       ? 0
		       : caisson_refuse(err, EPERM,
				 "refused: the keyslot of the volume %s holds another volume key "
				 "than it was made with",
				 access->name);
}

/* The fields that the key service remembers, whichever key was used. */
static int compare_facts(const struct volume_access *access, struct caisson_error *err)
{
	const struct luks_facts *is = &access->luks.facts, *was = &access->record.facts;

	if (!access->has_record ||
		(strcmp(is->uuid, was->uuid) == 0 && strcmp(is->cipher, was->cipher) == 0 &&
			is->key_size == was->key_size && is->sector_size == was->sector_size &&
			is->data_offset == was->data_offset))
		return 0;
	return caisson_refuse(err, EPERM,
		"refused: the header of the volume %s is not as it was made (%s, %s, %u-byte "
		"sectors)",
		access->name, is->uuid, is->cipher, is->sector_size);
}

static int check_sizes(const struct volume_access *access, struct caisson_error *err)
{
	const struct luks_facts *facts = &access->luks.facts;

	if (facts->sector_size < 512 || facts->sector_size > 4096 ||
		facts->data_offset > access->blocks->size - MIN(access->blocks->size, 512u) ||
		facts->data_offset % facts->sector_size != 0 ||
		access->luks.payload_size > access->blocks->size - facts->data_offset)
		return caisson_refuse(err, EBADMSG,
			"the container of the volume %s has %llu bytes: less than its header says, "
			"or not what it says",
			access->name, (unsigned long long)access->blocks->size);
	return 0;
}

int volume_access_unlock(struct volume_access *access, const struct luks_key *key,
	const struct luks_limits *limits, struct caisson_error *err)
{
	const struct luks_facts *facts = &access->luks.facts;
	int r = key == NULL ? unlock_by_service(access, limits, err)
			    : luks_open(access->path, key, limits, &access->luks, err);

	if (r == -ENOKEY && key != NULL)
		return caisson_refuse(
			err, ENOKEY, "the key does not open the volume %s", access->name);
	if (r == 0)
		r = compare_facts(access, err);
	if (r == 0 && key != NULL)
		r = compare_fingerprint(access, err);
	if (r == 0)
		r = check_sizes(access, err);
	if (r < 0 || access->luks.integrity || !luks_cipher_known(facts->cipher, facts->key_size))
		return r;
	return luks_cipher_new(
		facts->cipher, facts->sector_size, &access->luks.volume_key, &access->cipher, err);
}

uint64_t volume_payload_size(const struct volume_access *access, uint64_t size)
{
	uint64_t room = size - MIN(size, access->luks.facts.data_offset);

	if (access->luks.payload_size != 0)
		return MIN(room, access->luks.payload_size);
	return room / access->luks.facts.sector_size * access->luks.facts.sector_size;
}

int volume_access_payload(struct volume_access *access, struct blocks *container,
	struct blocks **ret_payload, struct caisson_error *err)
{
	const struct luks_facts *facts = &access->luks.facts;

	if (access->cipher == NULL)
		return caisson_refuse(err, ENOTSUP,
			"only the kernel can decrypt the volume %s (%s%s)", access->name,
			facts->cipher, access->luks.integrity ? ", with integrity tags" : "");
	return luks_payload_new(container, facts->data_offset,
		volume_payload_size(access, container->size), access->cipher, ret_payload, err);
}
