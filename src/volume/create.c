/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/io.h"
#include "base/log.h"
#include "base/path.h"
#include "base/staging.h"
#include "luks/encrypt.h"
#include "volume/filesystem.h"
#include "volume/layout.h"
#include "volume/volume.h"

#define SIZE_STEP  4096u
#define FILESYSTEM "ext4"

static int bad_size(const char *text, struct caisson_error *err)
{
	caisson_refuse(err, EINVAL, "'%s' is not a size", text);
	return caisson_hint(
		err, "a whole number, with K, M, G or T for powers of 1024, such as 512M or 10G");
}

int volume_parse_size(const char *text, uint64_t *ret_size, struct caisson_error *err)
{
	static const char units[] = "KMGT";
	uint64_t number = 0, factor = 1;
	const char *p = text, *unit;

	if (*p < '0' || *p > '9')
		return bad_size(text, err);
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(number, UINT64_C(10), &number) ||
			__builtin_add_overflow(number, (uint64_t)(*p - '0'), &number))
			return caisson_refuse(err, ERANGE, "the size '%s' is too large", text);
	}
	unit = *p != '\0' ? strchr(units, *p) : NULL;
	if (unit != NULL) {
		factor = UINT64_C(1) << 10 * (unit - units + 1);
		p++;
		if (strcmp(p, "iB") == 0)
			p += 2;
	}
	if (*p != '\0')
		return bad_size(text, err);
	if (__builtin_mul_overflow(number, factor, &number) || number > INT64_MAX)
		return caisson_refuse(err, ERANGE, "the size '%s' is too large", text);
	*ret_size = number;
	return 0;
}

static int check_size(uint64_t size, uint64_t *ret_size, struct caisson_error *err)
{
	if (size < VOLUME_SIZE_LEAST)
		return caisson_refuse(err, EINVAL,
			"a volume of %llu bytes is too small: at least %llu MiB, of which 16 are "
			"the LUKS2 header",
			(unsigned long long)size, VOLUME_SIZE_LEAST >> 20);
	if (size > INT64_MAX - SIZE_STEP)
		return caisson_refuse(err, ERANGE, "a volume of %llu bytes is too large",
			(unsigned long long)size);
	*ret_size = (size + SIZE_STEP - 1) / SIZE_STEP * SIZE_STEP;
	return 0;
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

static int make_file(const char *path, uint64_t size, int *ret_fd, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(path, O_RDWR | O_CREAT | O_EXCL, 0600, err);

	if (fd < 0)
		return fd;
	if (ftruncate(fd, (off_t)size) < 0)
		return caisson_fail(err, errno, "make %s as large as %llu bytes", path,
			(unsigned long long)size);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Encrypts what the filesystem is made of into place. */
static int write_filesystem(const struct mkfs *mkfs, int container, const struct luks_facts *facts,
	const struct secret *volume_key, struct caisson_error *err)
{
	_cleanup_free_ struct luks_extent *extents = NULL;
	size_t count = 0;
	int r = mkfs_extents(mkfs, &extents, &count, err);

	if (r < 0)
		return r;
	return luks_encrypt_extents(mkfs->image, container, facts->data_offset, facts->sector_size,
		volume_key, extents, count, err);
}

/* The whole container, on the disk when this returns. */
static int make_container(const char *path, const char *name, uint64_t size,
	const struct secret *machine_key, struct luks_facts *ret_facts, struct caisson_error *err)
{
	_cleanup_secret_ struct secret volume_key = SECRET_NONE;
	_cleanup_mkfs_ struct mkfs mkfs = MKFS_NONE;
	_cleanup_close_ int fd = -1;
	const struct luks_key key = {.kind = LUKS_KEY_MACHINE, .secret = *machine_key};
	struct luks_format_options options = LUKS_FORMAT_DEFAULT;
	int r = make_file(path, size, &fd, err);

	options.key = &key;
	if (r == 0)
		r = mkfs_start(&mkfs, size - LUKS_DATA_OFFSET, name, err);
	if (r == 0)
		r = luks_format(path, &options, ret_facts, &volume_key, err);
	if (r == 0)
		r = mkfs_wait(&mkfs, err);
	if (r == 0)
		r = write_filesystem(&mkfs, fd, ret_facts, &volume_key, err);
	if (r == 0 && fsync(fd) < 0)
		r = caisson_fail(err, errno, "sync %s", path);
	return r;
}

/* Takes back what publish() did, as far as it came; the error that is recorded stays. */
static void unpublish(const struct volume_layout *layout, struct staging *staging,
	struct key_service *keys, const char *name)
{
	if (staging->path == NULL)
		(void)remove_tree(layout->folder, NULL);
	if (key_service_remove(keys, name, NULL) >= 0)
		(void)unlink(layout->pending);
}

/* Key first, folder second: a volume that can be seen can be opened. */
static int put_and_publish(const struct volume_layout *layout, struct staging *staging,
	struct key_service *keys, const struct key_record *record, const struct secret *machine_key,
	struct caisson_error *err)
{
	const char *uuid = record->facts.uuid;
	_cleanup_close_ int fd = -1;
	int r;

	/* Not synced: it must outlive this process, and after a power cut its loss costs a hint. */
	fd = open_file(layout->pending, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600, err);
	r = fd < 0 ? fd : write_all(fd, uuid, strlen(uuid), layout->pending, err);
	if (r == 0)
		r = key_service_put(keys, record, machine_key, err);
	if (r < 0) {
		(void)unlink(layout->pending);
		return r;
	}
	r = staging_publish(staging, record->volume, err);
	if (r < 0) {
		unpublish(layout, staging, keys, record->volume);
		return r;
	}
	(void)unlink(layout->pending);
	return 0;
}

static int publish(const struct volume_layout *layout, struct staging *staging,
	struct key_service *keys, const struct key_record *record, const struct secret *machine_key,
	struct caisson_error *err)
{
	_cleanup_close_ int lock = -1;
	int r = volumes_lock(layout, &lock, err);

	if (r == 0)
		r = volume_recover(layout, keys, record->volume, err);
	if (r < 0)
		return r;
	if (volume_exists(layout))
		return taken(record->volume, err);
	r = refuse_key(keys, record->volume, err);
	if (r < 0)
		return r;
	return put_and_publish(layout, staging, keys, record, machine_key, err);
}

/* Before the work, what would be refused after it. */
static int look_first(const struct volume_layout *layout, struct key_service *keys,
	const char *name, struct caisson_error *err)
{
	_cleanup_close_ int lock = -1;
	int r = volumes_lock(layout, &lock, err);

	if (r == 0)
		r = volume_recover(layout, keys, name, err);
	if (r < 0)
		return r;
	return volume_exists(layout) ? taken(name, err) : refuse_key(keys, name, err);
}

int volume_create(const struct state *state, struct key_service *keys, const char *name,
	uint64_t size, const struct caisson_log *log, struct caisson_error *err)
{
	_cleanup_volume_layout_ struct volume_layout layout = VOLUME_LAYOUT_NONE;
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	_cleanup_secret_ struct secret machine_key = SECRET_NONE;
	struct key_record record = {.filesystem = FILESYSTEM};
	_cleanup_free_ char *path = NULL;
	uint64_t began = now_usec();
	int r;

	r = volume_layout(state, name, &layout, err);
	if (r == 0)
		r = check_size(size, &size, err);
	if (r == 0)
		r = look_first(&layout, keys, name, err);
	if (r == 0)
		r = secret_random(&machine_key, LUKS_MACHINE_KEY_SIZE, err);
	if (r == 0)
		r = staging_directory(&staging, layout.volumes, err);
	if (r < 0)
		return r;
	path = path_join(staging.path, "container");
	if (path == NULL)
		return caisson_fail(err, ENOMEM, "create the volume %s", name);
	r = make_container(path, name, size, &machine_key, &record.facts, err);
	if (r < 0)
		return caisson_wrap(err, "create the volume %s", name);
	strcpy(record.volume, name);
	record.created = (uint64_t)time(NULL);
	r = publish(&layout, &staging, keys, &record, &machine_key, err);
	if (r < 0)
		return r;
	log_debug(log, "created the volume %s in %llu ms", name,
		(unsigned long long)(now_usec() - began) / 1000);
	return 0;
}
