/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "base/io.h"
#include "base/macros.h"
#include "base/strbuf.h"

#define CONTROL    "/dev/loop-control"
#define LOOP_MAJOR 7
#define TRIES      64

static int open_control(struct caisson_error *err)
{
	int fd = open(CONTROL, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return caisson_refuse(err, EOPNOTSUPP,
			"there are no loop devices here (" CONTROL ": %s)", strerror(errno));
	return caisson_fail(err, errno, "open " CONTROL);
}

/* In a container the kernel's new device may have no node. */
static int open_device(
	int number, const struct loop_options *options, char **ret_path, struct caisson_error *err)
{
	_cleanup_free_ char *path = format_string("/dev/loop%d", number);
	int flags = options->read_only ? O_RDONLY : O_RDWR, fd;

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "open a loop device");
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		if (mknod(path, S_IFBLK | 0600, makedev(LOOP_MAJOR, (unsigned int)number)) < 0 &&
			errno != EEXIST)
			return caisson_fail(err, errno, "make %s", path);
		fd = open(path, flags | O_CLOEXEC);
	}
	if (fd < 0)
		return caisson_fail(err, errno, "open %s", path);
	*ret_path = take_ptr(path);
	return fd;
}

static int configure(int device, int file, const struct loop_options *options)
{
	struct loop_config config = {
		.fd = (uint32_t)file,
		.block_size = options->block_size,
		.info = {.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO |
				     (options->read_only ? LO_FLAGS_READ_ONLY : 0),
			.lo_offset = options->offset,
			.lo_sizelimit = options->size},
	};

	if (options->name != NULL)
		snprintf((char *)config.info.lo_file_name, sizeof(config.info.lo_file_name), "%s",
			options->name);
	if (ioctl(device, LOOP_CONFIGURE, &config) == 0)
		return 0;
	if (errno != EINVAL && errno != EOPNOTSUPP)
		return -errno;
	/* Where what the file is on cannot do direct I/O, some kernels refuse rather than ignore.
	 */
	config.info.lo_flags &= ~(uint32_t)LO_FLAGS_DIRECT_IO;
	return ioctl(device, LOOP_CONFIGURE, &config) == 0 ? 0 : -errno;
}

int loop_attach(
	int file, const struct loop_options *options, char **ret_path, struct caisson_error *err)
{
	_cleanup_close_ int control = open_control(err);

	if (control < 0)
		return control;
	for (int i = 0; i < TRIES; i++) {
		_cleanup_free_ char *path = NULL;
		_cleanup_close_ int device = -1;
		int number = ioctl(control, LOOP_CTL_GET_FREE), r;

		if (number < 0)
			return caisson_fail(err, errno, "find a free loop device");
		device = open_device(number, options, &path, err);
		if (device < 0)
			return device;
		r = configure(device, file, options);
		if (r == 0) {
			*ret_path = take_ptr(path);
			return take_fd(&device);
		}
		if (r != -EBUSY)
			return caisson_fail(err, r, "attach a file to %s", path);
		/* Somebody else was faster: wait a moment, a little longer each time. */
		(void)nanosleep(&(struct timespec){.tv_nsec = (i + 1) * 1000000L}, NULL);
	}
	return caisson_refuse(err, EBUSY, "no loop device stayed free in %d tries", TRIES);
}

/* 1 when @name is the loop device of the file. */
static int has_file(const char *name, const struct stat *file, char **ret_path)
{
	_cleanup_free_ char *path = format_string("/dev/%s", name);
	_cleanup_close_ int device = -1;
	struct loop_info64 info;

	if (path == NULL)
		return -ENOMEM;
	device = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (device < 0 || ioctl(device, LOOP_GET_STATUS64, &info) < 0)
		return 0;
	if (info.lo_inode != file->st_ino || info.lo_device != file->st_dev)
		return 0;
	*ret_path = take_ptr(path);
	return 1;
}

int loop_find(int file, char **ret_path, struct caisson_error *err)
{
	_cleanup_closedir_ DIR *folder = opendir("/sys/block");
	struct dirent *entry;
	struct stat status;
	int r = 0;

	if (fstat(file, &status) < 0)
		return caisson_fail(err, errno, "look for a loop device");
	if (folder == NULL)
		return 0;
	while (r == 0 && (entry = readdir(folder)) != NULL) {
		if (strncmp(entry->d_name, "loop", 4) == 0)
			r = has_file(entry->d_name, &status, ret_path);
	}
	return r < 0 ? caisson_fail(err, r, "look for a loop device") : r;
}

int loop_update_size(const char *path, struct caisson_error *err)
{
	_cleanup_close_ int device = open_file(path, O_RDONLY, 0, err);

	if (device < 0)
		return device;
	if (ioctl(device, LOOP_SET_CAPACITY, 0) < 0)
		return caisson_fail(err, errno, "tell %s its new size", path);
	return 0;
}

int loop_detach(const char *path, struct caisson_error *err)
{
	_cleanup_close_ int device = open(path, O_RDONLY | O_CLOEXEC);

	if (device < 0 && (errno == ENOENT || errno == ENXIO || errno == ENODEV))
		return 0;
	if (device < 0)
		return caisson_fail(err, errno, "open %s", path);
	if (ioctl(device, LOOP_CLR_FD, 0) < 0 && errno != ENXIO)
		return caisson_fail(err, errno, "detach %s", path);
	return 0;
}
