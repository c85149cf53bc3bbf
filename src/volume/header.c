/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The header as a thing of its own: changed as a whole, saved to a file, put back. */
#include "volume/header.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "base/staging.h"
#include "luks/header.h"
#include "volume/redo.h"

#define BACKUP_MOST (UINT64_C(192) << 20)

static int write_through(
	struct volume_access *access, int copy, uint64_t size, struct caisson_error *err)
{
	_cleanup_(redo_freep) struct redo *redo = NULL;
	int r = redo_new(
		access->blocks, access->layout.folder, access->blocks->size, true, &redo, err);

	if (r == 0)
		r = luks_header_write(copy, size, redo_blocks(redo), err);
	return r < 0 ? r : redo_commit(redo, access->container, err);
}

int volume_change_header(struct volume_access *access,
	int (*change)(const char *path, void *userdata, struct caisson_error *err), void *userdata,
	struct caisson_error *err)
{
	_cleanup_close_ int copy = -1;
	struct luks_header header;
	uint64_t size = 0;
	char path[32];
	int r = luks_inspect(access->path, &header, err);

	if (r == 0)
		r = luks_header_size(access->path, &size, err);
	if (r == 0)
		r = luks_header_copy(access->blocks, size, header.facts.data_offset, &copy, err);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", copy);
	r = change(path, userdata, err);
	return r < 0 ? r : write_through(access, copy, size, err);
}

int volume_backup(const struct state *state, struct key_service *keys, const char *name,
	const char *path, struct caisson_error *err)
{
	_cleanup_volume_access_ struct volume_access access = VOLUME_ACCESS_NONE;
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	_cleanup_free_ char *folder = path_parent(path);
	_cleanup_close_ int copy = -1;
	uint64_t size = 0;
	int r = folder != NULL ? 0 : caisson_fail(err, ENOMEM, "back up a header");

	if (r == 0)
		r = volume_access_lock_read(state, keys, name, "backup", &access, err);
	if (r == 0)
		r = luks_header_check(access.blocks, err);
	if (r == 0)
		r = luks_header_size(access.path, &size, err);
	if (r == 0)
		r = luks_header_copy(access.blocks, size, size, &copy, err);
	if (r == 0 && ftruncate(copy, (off_t)size) < 0)
		r = caisson_fail(err, errno, "back up a header");
	if (r == 0)
		r = staging_unnamed(&staging, folder, err);
	if (r == 0 && copy_fd(copy, staging.fd, path, err) < 0)
		return -EIO;
	if (r == 0)
		r = staging_publish(&staging, path_base(path), err);
	if (r == -EEXIST)
		caisson_hint(err, "a backup is never written over another file");
	return r;
}

/* A backup that was read into memory once: what is looked at is what is written. */
struct restore {
	const struct volume_access *access;
	int copy;
	char path[32];
	uint64_t size; /* of header and keyslots */
};

/* The whole of a backup, and nothing behind it: a container is no backup. */
static int load_backup(struct restore *restore, const char *path, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(path, O_RDONLY | O_NONBLOCK, 0, err);
	uint64_t file_size;
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", path);
	file_size = (uint64_t)st.st_size;
	if (!S_ISREG(st.st_mode) || file_size > BACKUP_MOST)
		return caisson_refuse(err, EINVAL, "%s is no backup of a header", path);
	restore->copy = memfd_create("backup", MFD_CLOEXEC);
	if (restore->copy < 0 || copy_fd(fd, restore->copy, path, err) < 0)
		return caisson_fail(err, errno, "read %s", path);
	snprintf(restore->path, sizeof(restore->path), "/proc/self/fd/%d", restore->copy);
	r = luks_header_size(restore->path, &restore->size, err);
	if (r == 0)
		r = luks_areas_check(restore->path, err);
	if (r < 0)
		return caisson_wrap(err, "%s", path);
	if (restore->size > file_size)
		return caisson_refuse(err, EBADMSG, "%s is cut short", path);
	if (restore->size < file_size)
		return caisson_refuse(err, EINVAL,
			"%s is no backup of a header: there is more behind it (a container?)",
			path);
	return 0;
}

/* Beside the service's record a backup must still be opened by the service's key: one from before a
   change of it would lock the volume. */
static int check_service(const struct restore *restore, struct caisson_error *err)
{
	const struct volume_access *access = restore->access;
	struct luks_key key = {.kind = LUKS_KEY_MACHINE};
	struct luks_opened opened = {.keyslot = 0};
	int r;

	if (!access->has_record)
		return 0;
	r = key_service_unwrap(access->keys, access->name, &key.secret, err);
	if (r == 0)
		r = luks_open(restore->path, &key, NULL, &opened, err);
	secret_done(&opened.volume_key);
	secret_done(&key.secret);
	if (r != -ENOKEY)
		return r;
	caisson_refuse(err, EPERM, "the key service's key does not open this backup");
	return caisson_hint(err,
		"it is from before a change of that key; with --force, and another key that opens "
		"it, it can be had all the same");
}

/* What is put back must fit what it is put before; of another volume it would make noise of the
 * data. */
static int check_backup(const struct restore *restore, bool force, struct caisson_error *err)
{
	const struct volume_access *access = restore->access;
	struct luks_header backup, now;
	int r = luks_inspect(restore->path, &backup, err);

	if (r < 0)
		return r;
	if (restore->size > backup.facts.data_offset ||
		backup.facts.data_offset >= access->blocks->size)
		return caisson_refuse(err, EBADMSG, "the backup does not fit this container");
	if (access->has_record && strcmp(access->record.facts.uuid, backup.facts.uuid) != 0)
		return caisson_refuse(err, EPERM,
			"the backup is of another volume: its UUID is %s, and not %s",
			backup.facts.uuid, access->record.facts.uuid);
	if (force)
		return 0;
	if (luks_inspect(access->path, &now, NULL) == 0 &&
		(strcmp(now.facts.uuid, backup.facts.uuid) != 0 ||
			now.facts.data_offset != backup.facts.data_offset)) {
		caisson_refuse(err, EPERM,
			"the backup is of another volume: its UUID is %s, and not %s",
			backup.facts.uuid, now.facts.uuid);
		return caisson_hint(err, "--force puts it there all the same");
	}
	return check_service(restore, err);
}

int volume_restore(const struct state *state, struct key_service *keys, const char *name,
	const char *path, bool force, struct caisson_error *err)
{
	_cleanup_volume_access_ struct volume_access access = VOLUME_ACCESS_NONE;
	struct restore restore = {.access = &access, .copy = -1};
	int r = volume_access_lock(state, keys, name, "restore", false, &access, err);

	if (r == 0)
		r = load_backup(&restore, path, err);
	if (r == 0)
		r = check_backup(&restore, force, err);
	if (r == 0)
		r = write_through(&access, restore.copy, restore.size, err);
	closep(&restore.copy);
	return r;
}
