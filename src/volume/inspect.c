/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/path.h"
#include "volume/device.h"
#include "volume/layout.h"
#include "volume/volume.h"

int volume_list(const struct state *state, struct strv *names, struct caisson_error *err)
{
	_cleanup_closedir_ DIR *directory = NULL;
	_cleanup_free_ char *folder = NULL;
	struct dirent *entry;
	int r = state_folder(state, "volumes", &folder, err);

	if (r < 0)
		return r;
	directory = opendir(folder);
	if (directory == NULL)
		return caisson_fail(err, errno, "read %s", folder);
	while (errno = 0, (entry = readdir(directory)) != NULL) {
		struct stat st;

		/* Hidden names are what is being made, and no volume's. */
		if (name_valid(entry->d_name) &&
			fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISDIR(st.st_mode))
			strv_add(names, entry->d_name);
	}
	if (errno != 0)
		return caisson_fail(err, errno, "read %s", folder);
	strv_sort(names);
	return strv_ok(names) ? 0 : caisson_fail(err, ENOMEM, "list the volumes");
}

static int look_at_device(const char *path, struct volume_info *info, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(path, O_RDONLY | O_NONBLOCK, 0, err);
	int r = fd < 0 ? fd : volume_device_size(fd, path, &info->size, err);

	info->allocated = info->size;
	return r;
}

/* Sizes, and who has it open. Under the lock on the volumes, so that the lock which is taken here
   for a moment is in nobody's way. */
static int look_at_container(
	const struct volume_layout *layout, struct volume_info *info, struct caisson_error *err)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = volume_lock_container(layout, info->name, O_RDONLY, &fd, err);

	if (r == -EBUSY) {
		struct volume_holder holder;

		volume_read_holder(layout, &holder);
		info->in_use = true;
		info->machine = holder.machine;
		memcpy(info->holder, holder.text, sizeof(info->holder));
	} else if (r < 0) {
		return r;
	}
	if (layout->on_device)
		return look_at_device(layout->container, info, err);
	if (lstat(layout->container, &st) < 0)
		return caisson_fail(err, errno, "stat %s", layout->container);
	info->size = (uint64_t)st.st_size;
	info->allocated = (uint64_t)st.st_blocks * 512;
	return 0;
}

static int look_for_key(
	struct key_service *keys, struct volume_info *info, struct caisson_error *err)
{
	struct key_record record;
	int r = key_service_find(keys, info->name, &record, err);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	info->has_key = true;
	info->created = record.created;
	snprintf(info->filesystem, sizeof(info->filesystem), "%s", record.filesystem);
	return 0;
}

static int missing(struct key_service *keys, const char *name, struct caisson_error *err)
{
	struct key_record record;

	if (key_service_find(keys, name, &record, NULL) < 0)
		return volume_missing(name, err);
	caisson_refuse(err, ENOENT,
		"there is no volume called '%s', but the key service holds a key for one", name);
	return caisson_hint(
		err, "put its folder back, or give it up: caisson volume destroy %s", name);
}

int volume_inspect(const struct state *state, struct key_service *keys, const char *name,
	struct volume_info *ret_info, struct caisson_error *err)
{
	_cleanup_volume_layout_ struct volume_layout layout = VOLUME_LAYOUT_NONE;
	_cleanup_(volume_info_done) struct volume_info info = {0};
	struct caisson_error failure = {0};
	_cleanup_close_ int lock = -1;
	int r = volume_layout(state, name, &layout, err);

	if (r == 0)
		r = volumes_lock(&layout, &lock, err);
	if (r == 0)
		r = volume_recover_quietly(&layout, keys, name, err);
	if (r < 0)
		return r;
	if (!volume_exists(&layout))
		return missing(keys, name, err);
	strcpy(info.name, name);
	/* A volume with a broken container is still there, to be seen and destroyed. */
	if (look_at_container(&layout, &info, &failure) < 0 ||
		luks_inspect(layout.container, &info.header, &failure) < 0)
		snprintf(info.header_error, sizeof(info.header_error), "%s", failure.message);
	r = look_for_key(keys, &info, err);
	if (r < 0)
		return r;
	info.path = take_ptr(layout.container);
	*ret_info = info;
	info.path = NULL;
	return 0;
}

void volume_info_done(struct volume_info *info)
{
	free(take_ptr(info->path));
}
