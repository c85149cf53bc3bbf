/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/log.h"
#include "base/path.h"
#include "base/staging.h"
#include "volume/content.h"
#include "volume/create_mapped.h"
#include "volume/device.h"
#include "volume/layout.h"
#include "volume/volume.h"

/* A volume on its way. */
struct creation {
	const struct state *state;
	struct key_service *keys;
	const char *name;
	const struct volume_create_options *options;
	struct volume_layout layout;
	struct staging staging;
	struct content content;
	struct luks_key machine_key; /* unless another key was named */
	struct luks_format_options luks;
	struct key_record record;
	char uuid[40];
	char label[48]; /* of the header, which has room for no more */
	uint64_t size;
	int fd;      /* the container */
	int pending; /* our marker, locked; -1 before there is one */
	char path[32];
};

static void creation_done(struct creation *creation)
{
	content_done(&creation->content);
	secret_done(&creation->machine_key.secret);
	staging_done(&creation->staging);
	closep(&creation->fd);
	closep(&creation->pending);
	volume_layout_done(&creation->layout);
}

static bool by_service(const struct creation *creation)
{
	return creation->options->luks.key == NULL;
}

/* What was asked for, or else what the content needs, or what the device has. */
static int decide_size(struct creation *creation, uint64_t device, struct caisson_error *err)
{
	uint64_t size = creation->options->size, needed;

	if (device > 0 && size > device)
		return caisson_refuse(err, ENOSPC, "%s has only %llu bytes",
			creation->options->device, (unsigned long long)device);
	if (device > 0)
		size = device / VOLUME_SIZE_STEP * VOLUME_SIZE_STEP;
	needed = creation->content.least + LUKS_DATA_OFFSET;
	if (size == 0 && creation->content.least == 0)
		return caisson_refuse(err, EINVAL, "how large? Say it with --size: --size 1G");
	if (size == 0)
		size = MAX(needed, (uint64_t)VOLUME_SIZE_LEAST);
	if (size < needed && creation->content.least > 0)
		return caisson_refuse(err, ENOSPC,
			"what shall be in it needs a volume of %llu bytes, not %llu",
			(unsigned long long)needed, (unsigned long long)size);
	return volume_round_size(size, &creation->size, err);
}

static int taken(const char *name, struct caisson_error *err)
{
	caisson_refuse(err, EEXIST, "there is a volume called '%s' already", name);
	return caisson_hint(
		err, "choose another name, or remove it: caisson volume destroy %s", name);
}

/* A key that no killed create explains may be all that opens a folder which is only missing here.
 */
static int refuse_key(struct key_service *keys, const char *name, struct caisson_error *err)
{
	struct key_record record;
	int r = key_service_find(keys, name, &record, err);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	caisson_refuse(err, EEXIST,
		"the key service holds the key of a volume called '%s', whose folder is missing",
		name);
	return caisson_hint(
		err, "put the folder back, or give it up: caisson volume destroy %s", name);
}

/* Before the work, and once more before it is published: what would be refused. */
static int look(struct creation *creation, struct caisson_error *err)
{
	const char *name = creation->name;
	int r = creation->pending < 0 ? volume_recover(&creation->layout, creation->keys, name, err)
				      : 0;

	if (r < 0)
		return r;
	return volume_exists(&creation->layout) ? taken(name, err)
						: refuse_key(creation->keys, name, err);
}

static int look_first(struct creation *creation, struct caisson_error *err)
{
	_cleanup_close_ int lock = -1;
	int r = volumes_lock(&creation->layout, &lock, err);

	return r < 0 ? r : look(creation, err);
}

/* So that the next command knows what a killed create had begun: for a key, and for a header that
   is on a device before the volume has a folder. On the disk before either, and locked for as long
   as we are at work. */
static int write_pending(struct creation *creation, struct caisson_error *err)
{
	const char *path = creation->layout.pending, *device = creation->options->device;
	_cleanup_free_ char *text =
		format_string("%s\n%s\n", creation->uuid, device != NULL ? device : "");
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	int r;

	if (creation->pending >= 0)
		return 0;
	if (text == NULL)
		return caisson_fail(err, ENOMEM, "create a volume");
	r = staging_file(&staging, creation->layout.volumes, err);
	if (r == 0)
		r = write_all(staging.fd, text, strlen(text), path, err);
	if (r == 0)
		r = staging_publish(&staging, path_base(path), err);
	if (r < 0)
		return r;
	creation->pending = take_fd(&staging.fd);
	return 0;
}

static void remove_pending(struct creation *creation)
{
	if (creation->pending >= 0)
		(void)unlink(creation->layout.pending);
	closep(&creation->pending);
	creation->pending = -1;
}

static int make_file(struct creation *creation, struct caisson_error *err)
{
	_cleanup_free_ char *path = path_join(creation->staging.path, "container");
	uint64_t size = creation->size;

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "create a volume");
	creation->fd = open_file(path, O_RDWR | O_CREAT | O_EXCL, 0600, err);
	if (creation->fd < 0)
		return creation->fd;
	if (ftruncate(creation->fd, (off_t)size) < 0 ||
		(creation->options->preallocate && fallocate(creation->fd, 0, 0, (off_t)size) < 0))
		return caisson_fail(err, errno, "make %s as large as %llu bytes", path,
			(unsigned long long)size);
	return 0;
}

/* The device is named in the folder, and its header remembered before it is written. */
static int take_device(struct creation *creation, struct caisson_error *err)
{
	_cleanup_free_ char *path = path_join(creation->staging.path, "device");
	_cleanup_free_ char *line = format_string("%s\n", creation->options->device);
	_cleanup_close_ int lock = -1;
	int r;

	if (path == NULL || line == NULL)
		return caisson_fail(err, ENOMEM, "create a volume");
	r = write_file_atomic(path, line, strlen(line), 0600, err);
	if (r == 0)
		r = volumes_lock(&creation->layout, &lock, err);
	if (r == 0)
		r = look(creation, err);
	return r < 0 ? r : write_pending(creation, err);
}

/* The container with all that is in it, on the disk when this returns. */
static int make_container(struct creation *creation, struct caisson_error *err)
{
	_cleanup_secret_ struct secret volume_key = SECRET_NONE;
	struct luks_facts *facts = &creation->record.facts;
	uint64_t payload = creation->size - LUKS_DATA_OFFSET;
	int r = creation->options->device != NULL ? take_device(creation, err)
						  : make_file(creation, err);

	snprintf(creation->path, sizeof(creation->path), "/proc/self/fd/%d", creation->fd);
	if (r == 0 && create_needs_mapping(creation->options)) {
		r = create_mapped(&creation->layout, creation->name, creation->options->device,
			creation->fd, &creation->luks, creation->options->integrity,
			&creation->content, facts, err);
		return r == 0 && fsync(creation->fd) < 0
			       ? caisson_fail(err, errno, "sync the container")
			       : r;
	}
	if (r == 0)
		r = content_start(&creation->content, payload, err);
	if (r == 0)
		r = luks_format(creation->path, &creation->luks, facts, &volume_key, err);
	if (r == 0)
		r = content_write(
			&creation->content, creation->fd, facts, payload, &volume_key, err);
	/* Once more: the header gave back what it does not need. */
	if (r == 0 && creation->options->preallocate &&
		fallocate(creation->fd, 0, 0, (off_t)creation->size) < 0)
		r = caisson_fail(err, errno, "take the space for the container");
	if (r == 0 && fsync(creation->fd) < 0)
		r = caisson_fail(err, errno, "sync the container");
	return r;
}

/* Takes back what publish() did, as far as it came; the error that is recorded stays. */
static void unpublish(struct creation *creation)
{
	if (creation->staging.path == NULL)
		(void)remove_tree(creation->layout.folder, NULL);
	if (!by_service(creation) || key_service_remove(creation->keys, creation->name, NULL) >= 0)
		(void)unlink(creation->layout.pending);
}

/* Key first, folder second: a volume that can be seen can be opened. */
static int put_and_publish(struct creation *creation, struct caisson_error *err)
{
	int r = write_pending(creation, err);

	if (r == 0 && by_service(creation))
		r = key_service_put(
			creation->keys, &creation->record, &creation->machine_key.secret, err);
	if (r < 0) {
		remove_pending(creation);
		return r;
	}
	r = staging_publish(&creation->staging, creation->name, err);
	if (r < 0) {
		unpublish(creation);
		return r;
	}
	remove_pending(creation);
	return 0;
}

static int publish(struct creation *creation, struct caisson_error *err)
{
	_cleanup_close_ int lock = -1;
	int r = volumes_lock(&creation->layout, &lock, err);

	if (r == 0)
		r = look(creation, err);
	return r < 0 ? r : put_and_publish(creation, err);
}

/* What was begun on a device is undone at once, and not only by the next command. */
static void give_up_device(struct creation *creation)
{
	struct luks_header header;

	if (creation->options->device == NULL || creation->fd < 0)
		return;
	if (luks_inspect(creation->path, &header, NULL) == 0 &&
		strcmp(header.facts.uuid, creation->uuid) == 0)
		(void)luks_erase(creation->path, NULL);
	remove_pending(creation);
}

static int prepare_key(struct creation *creation, struct caisson_error *err)
{
	creation->luks = creation->options->luks;
	creation->luks.uuid = creation->uuid;
	luks_new_uuid(creation->uuid);
	if (creation->luks.label == NULL) {
		snprintf(creation->label, sizeof(creation->label), "%s", creation->name);
		creation->luks.label = creation->label;
	}
	if (!by_service(creation))
		return 0;
	creation->machine_key.kind = LUKS_KEY_MACHINE;
	creation->luks.key = &creation->machine_key;
	return secret_random(&creation->machine_key.secret, LUKS_MACHINE_KEY_SIZE, err);
}

static int prepare(struct creation *creation, struct caisson_error *err)
{
	const struct volume_create_options *options = creation->options;
	uint64_t device = 0;
	int r = volume_layout(creation->state, creation->name, &creation->layout, err);

	if (r == 0 && options->device != NULL) {
		r = volume_device_open(options->device, options->overwrite, &creation->fd, err);
		if (r == 0)
			r = volume_device_size(creation->fd, options->device, &device, err);
	}
	if (r == 0)
		r = decide_size(creation, device, err);
	if (r == 0)
		r = look_first(creation, err);
	if (r == 0)
		r = prepare_key(creation, err);
	if (r == 0)
		r = staging_directory(&creation->staging, creation->layout.volumes, err);
	return r;
}

static int create(struct creation *creation, struct caisson_error *err)
{
	int r = prepare(creation, err);

	if (r < 0)
		return r;
	r = make_container(creation, err);
	if (r < 0) {
		give_up_device(creation);
		return caisson_wrap(err, "create the volume %s", creation->name);
	}
	snprintf(creation->record.volume, sizeof(creation->record.volume), "%s", creation->name);
	snprintf(creation->record.filesystem, sizeof(creation->record.filesystem), "%s",
		creation->content.filesystem);
	creation->record.created = volume_now();
	r = publish(creation, err);
	if (r < 0)
		give_up_device(creation);
	return r;
}

int volume_create(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_create_options *options, const struct caisson_log *log,
	struct caisson_error *err)
{
	_cleanup_(creation_done) struct creation creation = {.state = state,
		.keys = keys,
		.name = name,
		.options = options,
		.staging = STAGING_NONE,
		.content = CONTENT_INIT,
		.fd = -1,
		.pending = -1};
	const char *label = options->luks.label != NULL ? options->luks.label : name;
	uint64_t began = now_usec();
	int r = name_check("volume", name, err);

	if (r == 0)
		r = content_open(&creation.content, options, label, err);
	if (r == 0)
		r = create(&creation, err);
	if (r == 0)
		log_debug(log, "created the volume %s in %llu ms", name,
			(unsigned long long)(now_usec() - began) / 1000);
	return r;
}

int volume_copy(const struct state *state, struct key_service *keys, const char *name,
	const char *copy, const struct volume_key *key, const struct luks_key *new_key,
	const struct transfer_progress *progress, const struct caisson_log *log,
	struct caisson_error *err)
{
	struct volume_create_options options = {.luks = LUKS_FORMAT_DEFAULT, .progress = progress};
	_cleanup_volume_access_ struct volume_access source = VOLUME_ACCESS_NONE;
	_cleanup_(creation_done) struct creation creation = {.state = state,
		.keys = keys,
		.name = copy,
		.options = &options,
		.staging = STAGING_NONE,
		.content = CONTENT_INIT,
		.fd = -1,
		.pending = -1};
	uint64_t began = now_usec();
	int r = name_check("volume", copy, err);

	if (r == 0 && strcmp(name, copy) == 0)
		r = caisson_refuse(err, EINVAL, "a volume cannot be a copy of itself");
	if (r == 0)
		r = volume_access_lock_read(state, keys, name, "copy", &source, err);
	if (r == 0)
		r = volume_access_unlock(&source, key->key, &key->limits, err);
	if (r < 0)
		return r;
	options.luks.key = new_key;
	options.luks.cipher = source.luks.facts.cipher;
	options.luks.key_size = source.luks.facts.key_size;
	options.luks.sector_size = source.luks.facts.sector_size;
	r = content_of_volume(&creation.content, &source, progress, err);
	if (r == 0)
		r = create(&creation, err);
	if (r == 0)
		log_debug(log, "copied the volume %s in %llu ms", name,
			(unsigned long long)(now_usec() - began) / 1000);
	return r;
}
