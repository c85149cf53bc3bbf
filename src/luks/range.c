/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bytes that a container stands in: a file's, or a device's. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "luks/container.h"

#define CHUNK_SIZE (1u << 20)

int luks_open_sized(const char *path, uint64_t *ret_size, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(path, O_RDWR | O_NONBLOCK, 0, err);
	uint64_t size = 0;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", path);
	if (S_ISREG(st.st_mode))
		size = (uint64_t)st.st_size;
	else if (!S_ISBLK(st.st_mode))
		return caisson_refuse(err, EINVAL, "%s is neither a file nor a block device", path);
	else if (ioctl(fd, BLKGETSIZE64, &size) < 0)
		return caisson_fail(err, errno, "ask for the size of %s", path);
	*ret_size = size;
	return take_fd(&fd);
}

int luks_zero_range(
	int fd, uint64_t offset, uint64_t length, const char *what, struct caisson_error *err)
{
	_cleanup_free_ uint8_t *zeros = NULL;

	if (length == 0 || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
				   (off_t)length) == 0)
		return 0;
	zeros = calloc(1, CHUNK_SIZE);
	if (zeros == NULL)
		return caisson_fail(err, ENOMEM, "overwrite %s", what);
	while (length > 0) {
		uint64_t size = MIN(length, (uint64_t)CHUNK_SIZE);
		int r = pwrite_all(fd, zeros, size, offset, what, err);

		if (r < 0)
			return r;
		offset += size;
		length -= size;
	}
	return 0;
}
