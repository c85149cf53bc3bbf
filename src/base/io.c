/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"

int write_all(int fd, const void *data, size_t size, const char *what, struct caisson_error *err)
{
	const uint8_t *from = data;

	while (size > 0) {
		ssize_t n = write(fd, from, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return caisson_fail(err, errno, "write %s", what);
		from += n;
		size -= (size_t)n;
	}
	return 0;
}

int pwrite_all(int fd, const void *data, size_t size, uint64_t offset, const char *what,
	struct caisson_error *err)
{
	const uint8_t *from = data;

	while (size > 0) {
		ssize_t n = pwrite(fd, from, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return caisson_fail(err, errno, "write %s", what);
		from += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

int pread_all(int fd, void *data, size_t size, uint64_t offset, const char *what,
	struct caisson_error *err)
{
	uint8_t *to = data;

	while (size > 0) {
		ssize_t n = pread(fd, to, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return caisson_fail(err, errno, "read %s", what);
		if (n == 0)
			return caisson_refuse(err, ENODATA, "%s ends early", what);
		to += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

int read_to_end(
	int fd, size_t most, const char *what, struct strbuf *buffer, struct caisson_error *err)
{
	size_t start = buffer->size;

	for (;;) {
		void *to = strbuf_reserve(buffer, 65536);
		ssize_t n;

		if (to == NULL)
			return caisson_fail(err, ENOMEM, "read %s", what);
		n = read(fd, to, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return caisson_fail(err, errno, "read %s", what);
		strbuf_commit(buffer, (size_t)n);
		if (n == 0)
			return 0;
		if (buffer->size - start > most)
			return caisson_refuse(err, EFBIG,
				"%s is larger than the %zu bytes that are allowed", what, most);
	}
}

int read_file(const char *path, size_t most, struct strbuf *buffer, struct caisson_error *err)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	/* O_NONBLOCK: a FIFO in the place of a file must not hang us. */
	fd = open_file(path, O_RDONLY | O_NONBLOCK, 0, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", path);
	if (!S_ISREG(st.st_mode))
		return caisson_refuse(err, EINVAL, "%s is not a regular file", path);
	return read_to_end(fd, most, path, buffer, err);
}

static int64_t copy_by_buffer(int from, int to, const char *what, struct caisson_error *err)
{
	enum { CHUNK = 1 << 20 };
	_cleanup_free_ char *chunk = malloc(CHUNK);
	int64_t total = 0;

	if (chunk == NULL)
		return caisson_fail(err, ENOMEM, "copy %s", what);
	for (;;) {
		ssize_t n = read(from, chunk, CHUNK);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return caisson_fail(err, errno, "read %s", what);
		if (n == 0)
			return total;
		r = write_all(to, chunk, (size_t)n, what, err);
		if (r < 0)
			return r;
		total += n;
	}
}

int64_t copy_fd(int from, int to, const char *what, struct caisson_error *err)
{
	int64_t total = 0;

	if (lseek(from, 0, SEEK_SET) < 0)
		return caisson_fail(err, errno, "rewind %s", what);
	for (;;) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, 1 << 30, 0);

		if (n < 0 && total == 0)
			return copy_by_buffer(from, to, what, err);
		if (n < 0)
			return caisson_fail(err, errno, "copy %s", what);
		if (n == 0)
			break;
		total += n;
	}
	/* Some filesystems answer 0 where they mean "cannot": look whether anything is left. */
	if (total == 0)
		return copy_by_buffer(from, to, what, err);
	return total;
}

int sync_directory(const char *path, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(path, O_RDONLY | O_DIRECTORY, 0, err);

	if (fd < 0)
		return fd;
	if (fsync(fd) < 0)
		return caisson_fail(err, errno, "sync %s", path);
	return 0;
}

int write_file_atomic(
	const char *path, const void *data, size_t size, mode_t mode, struct caisson_error *err)
{
	_cleanup_free_ char *temporary = format_string("%s.new-XXXXXX", path);
	_cleanup_free_ char *copy = strdup(path);
	_cleanup_close_ int fd = -1;
	int r;

	if (temporary == NULL || copy == NULL)
		return caisson_fail(err, ENOMEM, "write %s", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return caisson_fail(err, errno, "create %s", temporary);

	r = write_all(fd, data, size, path, err);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = caisson_fail(err, errno, "set the mode of %s", path);
	if (r == 0 && fsync(fd) < 0)
		r = caisson_fail(err, errno, "sync %s", path);
	if (r == 0 && rename(temporary, path) < 0)
		r = caisson_fail(err, errno, "rename %s to %s", temporary, path);
	if (r < 0) {
		(void)unlink(temporary);
		return r;
	}
	return sync_directory(dirname(copy), err);
}

int open_file(const char *path, int flags, mode_t mode, struct caisson_error *err)
{
	int fd;

	do
		fd = open(path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return caisson_fail(err, errno, "open %s", path);
	return fd;
}

int set_nonblocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	if (fcntl(fd, F_SETFL, flags) < 0)
		return -errno;
	return 0;
}

uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}
