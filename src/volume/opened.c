/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/opened.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "attach/control.h"
#include "attach/loop.h"
#include "base/path.h"
#include "volume/kernel.h"

void opened_loop(const struct caisson_volume_opened *opened, char *ret_path, size_t size)
{
	_cleanup_close_ int fd = open(opened->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ char *path = NULL;

	ret_path[0] = '\0';
	if (fd >= 0 && loop_find(fd, &path, NULL) == 1)
		snprintf(ret_path, size, "%s", path);
}

int opened_mounts(const struct caisson_volume_opened *opened, struct mount_points *points,
	struct caisson_error *err)
{
	char loop[256];
	int r;

	if (opened->way == CAISSON_VOLUME_KERNEL)
		return mounts_of_device(opened->device, points, err);
	if (opened->file[0] == '\0')
		return 0;
	/* fuse2fs names the file; the kernel has a loop device of it. */
	r = mounts_of_file(opened->file, points, err);
	if (r < 0)
		return r;
	opened_loop(opened, loop, sizeof(loop));
	return loop[0] != '\0' ? mounts_of_device(loop, points, err) : 0;
}

static void look_at_mapping(const char *name, struct caisson_volume_opened *opened)
{
	char mapping[KERNEL_NAME_SIZE];
	_cleanup_close_ int fd = -1;
	int read_only = 0;

	kernel_mapping_name(name, mapping);
	snprintf(opened->device, sizeof(opened->device), "/dev/mapper/%s", mapping);
	opened->way = CAISSON_VOLUME_KERNEL;
	fd = open(opened->device, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && ioctl(fd, BLKROGET, &read_only) == 0)
		opened->read_only = read_only != 0;
}

static void look_at_server(const struct volume_layout *layout, const struct attach_status *status,
	struct caisson_volume_opened *opened)
{
	opened->way = CAISSON_VOLUME_USERSPACE;
	opened->read_only = status->read_only;
	snprintf(opened->nbd, sizeof(opened->nbd), "%s/%s", layout->open, ATTACH_NBD_SOCKET);
	if (status->file)
		snprintf(opened->file, sizeof(opened->file), "%s/%s/%s", layout->open,
			ATTACH_FILE_FOLDER, ATTACH_FILE_NAME);
}

int opened_look(const struct volume_layout *layout, const char *name,
	struct caisson_volume_opened *ret_opened, struct caisson_error *err)
{
	struct caisson_volume_opened opened = {.way = CAISSON_VOLUME_ANY};
	_cleanup_mount_points_ struct mount_points points = MOUNT_POINTS_NONE;
	struct caisson_error nobody = {0};
	struct attach_status status;
	bool mapped = false;
	int r;

	/* A mapping of that name which is another's is nothing of this volume. */
	(void)kernel_is_open(layout, name, &mapped, NULL);
	if (mapped) {
		look_at_mapping(name, &opened);
	} else {
		r = attach_status(layout->open, &status, &nobody);
		if (r == -ENOENT || r == -ECONNREFUSED || r == -ENOTDIR)
			return 0;
		if (r < 0) {
			if (err != NULL)
				*err = nobody;
			return r;
		}
		look_at_server(layout, &status, &opened);
	}
	r = opened_mounts(&opened, &points, err);
	if (r < 0)
		return r;
	if (points.count > 0)
		snprintf(opened.mount_point, sizeof(opened.mount_point), "%s",
			points.items[points.count - 1].path);
	*ret_opened = opened;
	return 1;
}

int volume_opened(const struct state *state, const char *name,
	struct caisson_volume_opened *ret_opened, struct caisson_error *err)
{
	_cleanup_volume_layout_ struct volume_layout layout = VOLUME_LAYOUT_NONE;
	int r = volume_layout(state, name, &layout, err);

	if (r < 0)
		return r;
	if (!volume_exists(&layout))
		return volume_missing(name, err);
	return opened_look(&layout, name, ret_opened, err);
}
