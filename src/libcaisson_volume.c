/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public API for volumes: a key service is opened, options are turned into the folders' own,
   and the call is handed on. */
#include <caisson/volume.h>

#include <errno.h>
#include <string.h>

#include "base/strbuf.h"
#include "context.h"
#include "key/service.h"
#include "volume/volume.h"

#define KEY_MOST (8u << 20) /* as cryptsetup's key files */

int caisson_parse_size(const char *text, uint64_t *ret_size, struct caisson_error *err)
{
	return volume_parse_size(text, ret_size, err);
}

/* A key that was read from where the caller said, and what the folders below take. */
struct given_key {
	struct luks_key bytes;
	struct volume_key key;
};

static void given_key_done(struct given_key *given)
{
	secret_done(&given->bytes.secret);
}

#define _cleanup_given_key_ _cleanup_(given_key_done)

static int read_key(
	const struct caisson_volume_key *from, struct given_key *to, struct caisson_error *err)
{
	int r;

	if (from == NULL)
		return 0;
	to->key.limits.memory = from->memory_most;
	if (from->fd < 0)
		return 0;
	r = secret_read_fd(&to->bytes.secret, from->fd, KEY_MOST, err);
	if (r < 0)
		return r;
	if (to->bytes.secret.size == 0)
		return caisson_refuse(err, EINVAL, "the key is empty");
	to->bytes.kind = from->passphrase ? LUKS_KEY_PASSPHRASE
			 : from->recovery ? LUKS_KEY_RECOVERY
					  : luks_key_kind_of(&to->bytes.secret);
	to->key.key = &to->bytes;
	return 0;
}

/* The key service, and up to two keys. */
struct call {
	struct key_service *keys;
	struct given_key key, other;
};

static void call_done(struct call *call)
{
	given_key_done(&call->key);
	given_key_done(&call->other);
	key_service_close(call->keys);
}

#define _cleanup_call_ _cleanup_(call_done)

static int call_begin(struct caisson *caisson, struct call *call,
	const struct caisson_volume_key *key, const struct caisson_volume_key *other,
	struct caisson_error *err)
{
	int r = key_service_open(caisson_state(caisson), &call->keys, err);

	if (r == 0)
		r = read_key(key, &call->key, err);
	return r < 0 ? r : read_key(other, &call->other, err);
}

static const struct transfer_progress *progress_of(
	const struct caisson_progress *from, struct transfer_progress *to)
{
	if (from == NULL)
		return NULL;
	*to = (struct transfer_progress){.tell = from->tell, .userdata = from->userdata};
	return to;
}

int caisson_volume_create(struct caisson *caisson, const char *name,
	const struct caisson_volume_create_options *options, struct caisson_error *err)
{
	_cleanup_call_ struct call call = {.keys = NULL};
	struct volume_create_options create = {
		.size = options->size,
		.filesystem = options->filesystem,
		.from = options->from,
		.device = options->device,
		.overwrite = options->overwrite,
		.preallocate = options->preallocate,
		.integrity = options->integrity,
		.luks = LUKS_FORMAT_DEFAULT,
	};
	struct transfer_progress progress;
	int r = call_begin(caisson, &call, &options->key, NULL, err);

	if (r < 0)
		return r;
	create.luks.key = call.key.key.key;
	create.luks.label = options->label;
	create.progress = progress_of(options->progress, &progress);
	if (options->sector_size != 0)
		create.luks.sector_size = options->sector_size;
	if (options->cipher != NULL)
		create.luks.cipher = options->cipher;
	if (options->key_bits != 0)
		create.luks.key_size = options->key_bits / 8;
	return volume_create(
		caisson_state(caisson), call.keys, name, &create, caisson_log(caisson), err);
}

/* Some of it was read from the container, which belongs to whoever has the disk. */
static void copy_text(char *to, size_t size, const char *from)
{
	size_t length = strnlen(from, size - 1);

	memcpy(to, from, length);
	to[length] = '\0';
	text_flatten(to);
}

static void to_public(const struct volume_info *info, struct caisson_volume *volume)
{
	*volume = (struct caisson_volume){
		.size = info->size,
		.allocated = info->allocated,
		.created = info->created,
		.has_key = info->has_key,
		.in_use = info->in_use,
		.by_machine = info->machine,
		.key_bits = info->header.facts.key_size * 8,
		.sector_size = info->header.facts.sector_size,
		.data_offset = info->header.facts.data_offset,
		.keyslots = info->header.keyslots,
		.tokens = info->header.tokens,
		.integrity = info->header.integrity,
	};
	copy_text(volume->name, sizeof(volume->name), info->name);
	copy_text(volume->path, sizeof(volume->path), info->path);
	copy_text(volume->holder, sizeof(volume->holder), info->holder);
	copy_text(volume->filesystem, sizeof(volume->filesystem), info->filesystem);
	copy_text(volume->uuid, sizeof(volume->uuid), info->header.facts.uuid);
	copy_text(volume->cipher, sizeof(volume->cipher), info->header.facts.cipher);
	copy_text(volume->label, sizeof(volume->label), info->header.label);
	copy_text(volume->header_error, sizeof(volume->header_error), info->header_error);
}

static int inspect(struct caisson *caisson, struct key_service *keys, const char *name,
	struct caisson_volume *volume, struct caisson_error *err)
{
	struct volume_info info;
	int r = volume_inspect(caisson_state(caisson), keys, name, &info, err);

	if (r < 0)
		return r;
	to_public(&info, volume);
	volume_info_done(&info);
	return 0;
}

int caisson_volume_inspect(struct caisson *caisson, const char *name,
	struct caisson_volume *ret_volume, struct caisson_error *err)
{
	_cleanup_call_ struct call call = {.keys = NULL};
	struct volume_usage usage = {0};
	int r = call_begin(caisson, &call, NULL, NULL, err);

	if (r == 0)
		r = inspect(caisson, call.keys, name, ret_volume, err);
	if (r < 0)
		return r;
	/* What cannot be looked at is not told. */
	if (!ret_volume->in_use &&
		volume_usage(caisson_state(caisson), call.keys, name, &usage) == 0) {
		ret_volume->filesystem_size = usage.size;
		ret_volume->filesystem_used = usage.used;
		if (ret_volume->filesystem[0] == '\0')
			copy_text(ret_volume->filesystem, sizeof(ret_volume->filesystem),
				usage.filesystem);
	}
	return 0;
}

int caisson_volume_list(struct caisson *caisson,
	int (*each)(const struct caisson_volume *volume, void *userdata), void *userdata,
	struct caisson_error *err)
{
	_cleanup_call_ struct call call = {.keys = NULL};
	_cleanup_strv_ struct strv names = STRV_INIT;
	struct caisson_volume volume;
	int r = call_begin(caisson, &call, NULL, NULL, err);

	if (r == 0)
		r = volume_list(caisson_state(caisson), &names, err);
	for (size_t i = 0; r == 0 && i < names.count; i++) {
		struct caisson_error failure = {0};

		r = inspect(caisson, call.keys, names.items[i], &volume, &failure);
		/* Destroyed since it was listed. */
		if (r == -ENOENT) {
			r = 0;
			continue;
		}
		/* One that cannot be looked at hides no other. */
		if (r < 0) {
			volume = (struct caisson_volume){.size = 0};
			copy_text(volume.name, sizeof(volume.name), names.items[i]);
			copy_text(
				volume.header_error, sizeof(volume.header_error), failure.message);
		}
		r = each(&volume, userdata);
	}
	return r;
}

int caisson_volume_open(struct caisson *caisson, const char *name,
	const struct caisson_volume_open_options *options, struct caisson_volume_opened *ret_opened,
	struct caisson_error *err)
{
	_cleanup_call_ struct call call = {.keys = NULL};
	int r = call_begin(caisson, &call, &options->key, NULL, err);

	return r < 0 ? r
		     : volume_open(caisson_state(caisson), call.keys, name, &call.key.key, options,
			       ret_opened, err);
}

int caisson_volume_close(struct caisson *caisson, const char *name, struct caisson_error *err)
{
	return volume_close(caisson_state(caisson), name, err);
}

int caisson_volume_mount(struct caisson *caisson, const char *name,
	const struct caisson_volume_open_options *options, struct caisson_volume_opened *ret_opened,
	struct caisson_error *err)
{
	_cleanup_call_ struct call call = {.keys = NULL};
	int r = call_begin(caisson, &call, &options->key, NULL, err);

	return r < 0 ? r
		     : volume_mount(caisson_state(caisson), call.keys, name, &call.key.key, options,
			       ret_opened, err);
}

int caisson_volume_unmount(
	struct caisson *caisson, const char *name, bool lazy, struct caisson_error *err)
{
	return volume_unmount(caisson_state(caisson), name, lazy, err);
}

int caisson_volume_opened(struct caisson *caisson, const char *name,
	struct caisson_volume_opened *ret_opened, struct caisson_error *err)
{
	return volume_opened(caisson_state(caisson), name, ret_opened, err);
}

int caisson_volume_check(struct caisson *caisson, const char *name,
	const struct caisson_volume_key *key,
	int (*each)(const struct caisson_volume_finding *finding, void *userdata), void *userdata,
	struct caisson_error *err)
{
	_cleanup_call_ struct call call = {.keys = NULL};
	int r = call_begin(caisson, &call, key, NULL, err);

	return r < 0 ? r
		     : volume_check(caisson_state(caisson), call.keys, name, &call.key.key, each,
			       userdata, err);
}

int caisson_volume_resize(struct caisson *caisson, const char *name, uint64_t size,
	const struct caisson_volume_key *key, struct caisson_error *err)
{
	_cleanup_call_ struct call call = {.keys = NULL};
	int r = call_begin(caisson, &call, key, NULL, err);

	return r < 0 ? r
		     : volume_resize(
			       caisson_state(caisson), call.keys, name, size, &call.key.key, err);
}

int caisson_volume_key_add(struct caisson *caisson, const char *name,
	const struct caisson_volume_key *key, const struct caisson_volume_key *added,
	unsigned int *ret_keyslot, struct caisson_error *err)
{
	_cleanup_call_ struct call call = {.keys = NULL};
	int r = call_begin(caisson, &call, key, added, err);

	return r < 0 ? r
		     : volume_key_add(caisson_state(caisson), call.keys, name, &call.key.key,
			       call.other.key.key, ret_keyslot, err);
}

int caisson_volume_key_change(struct caisson *caisson, const char *name,
	const struct caisson_volume_key *key, const struct caisson_volume_key *changed,
	unsigned int *ret_keyslot, struct caisson_error *err)
{
	_cleanup_call_ struct call call = {.keys = NULL};
	int r = call_begin(caisson, &call, key, changed, err);

	return r < 0 ? r
		     : volume_key_change(caisson_state(caisson), call.keys, name, &call.key.key,
			       call.other.key.key, ret_keyslot, err);
}

int caisson_volume_key_remove(struct caisson *caisson, const char *name,
	const struct caisson_volume_key *key, unsigned int keyslot, struct caisson_error *err)
{
	_cleanup_call_ struct call call = {.keys = NULL};
	int r = call_begin(caisson, &call, key, NULL, err);

	return r < 0 ? r
		     : volume_key_remove(caisson_state(caisson), call.keys, name,
			       key != NULL ? &call.key.key : NULL, keyslot, err);
}

int caisson_volume_keyslots(struct caisson *caisson, const char *name,
	int (*each)(const struct caisson_volume_keyslot *keyslot, void *userdata), void *userdata,
	struct caisson_error *err)
{
	_cleanup_call_ struct call call = {.keys = NULL};
	int r = call_begin(caisson, &call, NULL, NULL, err);

	return r < 0 ? r
		     : volume_keyslots(
			       caisson_state(caisson), call.keys, name, each, userdata, err);
}

int caisson_volume_backup(
	struct caisson *caisson, const char *name, const char *path, struct caisson_error *err)
{
	_cleanup_call_ struct call call = {.keys = NULL};
	int r = call_begin(caisson, &call, NULL, NULL, err);

	return r < 0 ? r : volume_backup(caisson_state(caisson), call.keys, name, path, err);
}

int caisson_volume_restore(struct caisson *caisson, const char *name, const char *path, bool force,
	struct caisson_error *err)
{
	_cleanup_call_ struct call call = {.keys = NULL};
	int r = call_begin(caisson, &call, NULL, NULL, err);

	return r < 0 ? r
		     : volume_restore(caisson_state(caisson), call.keys, name, path, force, err);
}

int caisson_volume_copy(struct caisson *caisson, const char *name, const char *copy,
	const struct caisson_volume_key *key, const struct caisson_volume_key *new_key,
	const struct caisson_progress *progress, struct caisson_error *err)
{
	_cleanup_call_ struct call call = {.keys = NULL};
	struct transfer_progress told;
	int r = call_begin(caisson, &call, key, new_key, err);

	return r < 0 ? r
		     : volume_copy(caisson_state(caisson), call.keys, name, copy, &call.key.key,
			       call.other.key.key, progress_of(progress, &told),
			       caisson_log(caisson), err);
}

int caisson_volume_export(struct caisson *caisson, const char *name, const char *path,
	const struct caisson_volume_export_options *options, struct caisson_error *err)
{
	_cleanup_call_ struct call call = {.keys = NULL};
	struct volume_export_options export = {.qcow2 = options->qcow2,
		.encrypted = options->encrypted,
		.overwrite = options->overwrite};
	struct transfer_progress progress;
	int r = call_begin(
		caisson, &call, &options->key, options->encrypted ? &options->new_key : NULL, err);

	if (r < 0)
		return r;
	export.key = call.key.key;
	export.new_key = call.other.key.key;
	export.progress = progress_of(options->progress, &progress);
	return volume_export(caisson_state(caisson), call.keys, name, path, &export, err);
}

int caisson_volume_destroy(struct caisson *caisson, const char *name,
	struct caisson_volume_destroyed *ret_done, struct caisson_error *err)
{
	_cleanup_call_ struct call call = {.keys = NULL};
	struct caisson_volume_destroyed done = {.closed = false};
	int r = key_service_open_to_forget(caisson_state(caisson), &call.keys, err);

	if (r == 0)
		r = volume_destroy(caisson_state(caisson), call.keys, name, &done, err);
	if (ret_done != NULL)
		*ret_done = done;
	if (r < 0)
		return r;
	return done.unmounted || done.closed || done.key_removed || done.header_erased ||
	       done.files_removed || done.mount_point_removed;
}
