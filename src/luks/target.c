/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "luks/target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/io.h"
#include "base/macros.h"

/* Small pieces are gathered by the page cache better than they are waited for one by one. */
#define DIRECT_LEAST (64u << 10)
#define WHAT         "the target"

/* Not a device, whose node is in a tmpfs, too. */
static bool in_memory(int fd)
{
	struct statfs fs;
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fstatfs(fd, &fs) == 0 &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

void target_init(struct target *target, int fd)
{
	char path[32];

	*target = (struct target){.fd = fd, .direct_fd = -1};
	if (in_memory(fd))
		return;
	/* An open file of its own: O_DIRECT set on @fd would be everybody's who shares it. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	target->direct_fd = open_file(path, O_WRONLY | O_DIRECT, 0, NULL);
	atomic_store(&target->direct, target->direct_fd >= 0);
}

void target_done(struct target *target)
{
	closep(&target->direct_fd);
	target->direct_fd = -1;
}

/*
 * Two threads write at once past the page cache of ext4 and xfs only where no block has to be found
 * for it any more. Where space cannot be taken beforehand, it is taken by the writing.
 */
int target_prepare(
	struct target *target, uint64_t offset, uint64_t length, struct caisson_error *err)
{
	if (!atomic_load(&target->direct) || length < DIRECT_LEAST)
		return 0;
	if (fallocate(target->fd, 0, (off_t)offset, (off_t)length) == 0)
		return 0;
	if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO)
		return caisson_fail(err, errno, "write " WHAT);
	return 0;
}

/* -EINVAL: not this way. What was written before that is written again. */
static int write_direct(const struct target *target, uint64_t offset, const uint8_t *data,
	size_t size, struct caisson_error *err)
{
	while (size > 0) {
		ssize_t n = pwrite(target->direct_fd, data, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL)
			return -EINVAL;
		if (n < 0)
			return caisson_fail(err, errno, "write " WHAT);
		data += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

/*
 * Whole pages alone go past the page cache, and what is left of a page at either end through it: so
 * no page is ever written both ways at once, which would lose one of the two.
 */
int target_write(struct target *target, uint64_t offset, const uint8_t *data, size_t size,
	struct caisson_error *err)
{
	size_t head = MIN(size, (size_t)(-offset % TARGET_PAGE)), middle = size - head;
	int r = 0;

	middle -= middle % TARGET_PAGE;
	if (middle < DIRECT_LEAST || !atomic_load(&target->direct))
		return pwrite_all(target->fd, data, size, offset, WHAT, err);
	if (head > 0)
		r = pwrite_all(target->fd, data, head, offset, WHAT, err);
	if (r == 0)
		r = write_direct(target, offset + head, data + head, middle, err);
	if (r == -EINVAL) {
		atomic_store(&target->direct, false);
		r = pwrite_all(target->fd, data + head, middle, offset + head, WHAT, err);
	}
	offset += head + middle;
	data += head + middle;
	return r < 0 || size == head + middle
		       ? r
		       : pwrite_all(target->fd, data, size - head - middle, offset, WHAT, err);
}
