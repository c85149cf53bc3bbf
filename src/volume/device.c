/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/device.h"

#include <blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/macros.h"

DEFINE_CLEANUP(blkid_probe, blkid_free_probe);

static int check_empty(int fd, const char *path, struct caisson_error *err)
{
	_cleanup_(blkid_free_probep) blkid_probe probe = blkid_new_probe();
	const char *type = NULL;
	int found;

	if (probe == NULL || blkid_probe_set_device(probe, fd, 0, 0) != 0)
		return caisson_fail(err, ENOMEM, "look at %s", path);
	(void)blkid_probe_enable_superblocks(probe, 1);
	(void)blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE);
	(void)blkid_probe_enable_partitions(probe, 1);
	found = blkid_do_probe(probe);
	if (found == 1)
		return 0;
	if (found < 0)
		return caisson_fail(err, EIO, "look at %s", path);
	if (blkid_probe_lookup_value(probe, "TYPE", &type, NULL) != 0 &&
		blkid_probe_lookup_value(probe, "PTTYPE", &type, NULL) != 0)
		type = "something";
	caisson_refuse(err, EEXIST, "%s is not empty: there is %s on it", path, type);
	return caisson_hint(err, "if that is to be lost: --overwrite");
}

int volume_device_open(const char *path, bool overwrite, int *ret_fd, struct caisson_error *err)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	if (path[0] != '/')
		return caisson_refuse(
			err, EINVAL, "a device is named by its whole path, not '%s'", path);
	fd = open_file(path, O_RDWR | O_EXCL | O_NONBLOCK, 0, err);
	if (fd < 0)
		return fd == -EBUSY ? caisson_hint(err, "is it mounted, or part of another device?")
				    : fd;
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", path);
	if (!S_ISBLK(st.st_mode))
		return caisson_refuse(err, ENOTBLK, "%s is not a block device", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return caisson_refuse(err, EBUSY, "%s is in use by another command", path);
	r = overwrite ? 0 : check_empty(fd, path, err);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

int volume_device_size(int fd, const char *path, uint64_t *ret_size, struct caisson_error *err)
{
	if (ioctl(fd, BLKGETSIZE64, ret_size) < 0)
		return caisson_fail(err, errno, "ask for the size of %s", path);
	return 0;
}
