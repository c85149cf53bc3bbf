/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/io.h"
#include "base/macros.h"
#include "boot/cpio.h"

/* A piece of a quarter of a megabyte stays in the processor's cache between the reading of a file
   and the sink. */
enum { HEADER_SIZE = 110, BLOCK = 512, CHUNK = 256 << 10 };

static const char trailer[] = "TRAILER!!!";

/* One entry's header fields; all others are zero. */
struct header {
	uint32_t inode, mode, links, size, major, minor;
};

void cpio_writer_init(struct cpio_writer *writer, struct sink sink)
{
	*writer = (struct cpio_writer){.sink = sink, .next_inode = 1, .align = 1};
}

void cpio_writer_done(struct cpio_writer *writer)
{
	free(writer->buffer);
	writer->buffer = NULL;
	writer->filled = 0;
}

static int flush(struct cpio_writer *writer, struct caisson_error *err)
{
	size_t size = writer->filled;

	writer->filled = 0;
	return size == 0 ? 0 : writer->sink.write(writer->sink.userdata, writer->buffer, size, err);
}

/* Room for at least one byte; how much there is is CHUNK - filled. */
static int make_room(struct cpio_writer *writer, struct caisson_error *err)
{
	if (writer->buffer == NULL) {
		writer->buffer = malloc(CHUNK);
		if (writer->buffer == NULL)
			return caisson_fail(err, ENOMEM, "write a boot archive");
	}
	return writer->filled == CHUNK ? flush(writer, err) : 0;
}

static void filled(struct cpio_writer *writer, size_t size)
{
	writer->filled += size;
	writer->offset += size;
}

static int put(struct cpio_writer *writer, const void *data, size_t size, struct caisson_error *err)
{
	const uint8_t *from = data;

	while (size > 0) {
		int r = make_room(writer, err);
		size_t part = MIN(size, CHUNK - writer->filled);

		if (r < 0)
			return r;
		memcpy(writer->buffer + writer->filled, from, part);
		filled(writer, part);
		from += part;
		size -= part;
	}
	return 0;
}

int cpio_pad(struct cpio_writer *writer, size_t to, struct caisson_error *err)
{
	static const uint8_t zeros[BLOCK];

	return put(writer, zeros, (size_t)(-writer->offset & (to - 1)), err);
}

static int put_header(struct cpio_writer *writer, const char *path, const struct header *header,
	struct caisson_error *err)
{
	static const uint8_t zeros[BLOCK];
	char text[HEADER_SIZE + 1];
	size_t length = strlen(path), name_size = length + 1;
	int r;

	/* Zeros behind the name move the contents to where they have to start. */
	name_size += (size_t)(-(writer->offset + HEADER_SIZE + name_size) & (writer->align - 1));

	/* magic, inode, mode, uid, gid, links, mtime, size, major, minor, rmajor, rminor, name, sum
	 */
	snprintf(text, sizeof(text), "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		header->inode, header->mode, 0u, 0u, header->links, writer->time, header->size, 0u,
		0u, header->major, header->minor, (unsigned int)name_size, 0u);
	r = put(writer, text, HEADER_SIZE, err);
	if (r == 0)
		r = put(writer, path, length, err);
	if (r == 0)
		r = put(writer, zeros, name_size - length, err);
	if (r == 0)
		r = cpio_pad(writer, 4, err);
	return r;
}

static int check_path(const char *path, struct caisson_error *err)
{
	if (path[0] == '\0' || path[0] == '/' || strlen(path) >= PATH_MAX)
		return caisson_refuse(err, EINVAL, "'%s' cannot be a path in a boot archive", path);
	if (strcmp(path, trailer) == 0)
		return caisson_refuse(err, EINVAL, "'%s' is the name that ends an archive", path);
	for (const char *part = path; part != NULL; part = strchr(part, '/')) {
		part += *part == '/';
		if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
			return caisson_refuse(
				err, EINVAL, "'%s' leads out of the boot archive", path);
	}
	return 0;
}

static int put_entry(struct cpio_writer *writer, const char *path, struct header header,
	uint64_t size, struct caisson_error *err)
{
	int r = check_path(path, err);

	if (r < 0)
		return r;
	if (size > UINT32_MAX)
		return caisson_refuse(err, EFBIG, "%s has %llu bytes; an archive holds up to 4 GiB",
			path, (unsigned long long)size);
	if (header.inode == 0)
		header.inode = writer->next_inode++;
	header.size = (uint32_t)size;
	return put_header(writer, path, &header, err);
}

int cpio_add_directory(
	struct cpio_writer *writer, const char *path, mode_t mode, struct caisson_error *err)
{
	struct header header = {.mode = S_IFDIR | (mode & 07777), .links = 2};

	return put_entry(writer, path, header, 0, err);
}

int cpio_add_symlink(
	struct cpio_writer *writer, const char *path, const char *target, struct caisson_error *err)
{
	struct header header = {.mode = S_IFLNK | 0777, .links = 1};
	size_t size = strlen(target);
	int r;

	if (size == 0 || size >= PATH_MAX)
		return caisson_refuse(err, EINVAL, "the link %s leads to no possible path", path);
	r = put_entry(writer, path, header, size, err);
	if (r == 0)
		r = put(writer, target, size, err);
	if (r == 0)
		r = cpio_pad(writer, 4, err);
	return r;
}

int cpio_add_device(struct cpio_writer *writer, const char *path, mode_t mode, dev_t device,
	struct caisson_error *err)
{
	struct header header = {.mode = mode & (S_IFMT | 07777),
		.links = 1,
		.major = major(device),
		.minor = minor(device)};

	if (!S_ISCHR(mode) && !S_ISBLK(mode))
		return caisson_refuse(err, EINVAL, "%s is no device", path);
	return put_entry(writer, path, header, 0, err);
}

static int put_file(struct cpio_writer *writer, const char *path, mode_t mode, uint64_t size,
	struct caisson_error *err)
{
	struct cpio_file *file = writer->file;
	struct header header = {.mode = S_IFREG | (mode & 07777), .links = 1};

	writer->file = NULL;
	if (file != NULL) {
		header.inode = file->inode;
		header.links = file->names;
	}
	return put_entry(writer, path, header, size, err);
}

int cpio_add_name(struct cpio_writer *writer, const char *path, mode_t mode, struct cpio_file *file,
	struct caisson_error *err)
{
	if (file->inode == 0)
		file->inode = writer->next_inode++;
	writer->file = file;
	return put_file(writer, path, mode, 0, err);
}

void cpio_last_name(struct cpio_writer *writer, struct cpio_file *file)
{
	writer->file = file;
}

int cpio_add_data(struct cpio_writer *writer, const char *path, mode_t mode, const void *data,
	size_t size, struct caisson_error *err)
{
	int r = put_file(writer, path, mode, size, err);

	if (r == 0)
		r = put(writer, data, size, err);
	if (r == 0)
		r = cpio_pad(writer, 4, err);
	return r;
}

/* Straight into the buffer: what is read is touched once more, by the sink. */
static int copy_exactly(struct cpio_writer *writer, const char *path, int fd, uint64_t size,
	struct caisson_error *err)
{
	uint64_t at = 0;
	uint8_t more;
	ssize_t n;

	while (at < size) {
		int r = make_room(writer, err);
		size_t part = (size_t)MIN(size - at, (uint64_t)(CHUNK - writer->filled));

		if (r == 0)
			r = pread_all(fd, writer->buffer + writer->filled, part, at, path, err);
		if (r < 0)
			return r;
		filled(writer, part);
		at += part;
	}
	do
		n = pread(fd, &more, 1, (off_t)at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return caisson_fail(err, errno, "read %s", path);
	if (n > 0)
		return caisson_refuse(err, ESTALE, "%s grew while it was read", path);
	return 0;
}

int cpio_add_fd(struct cpio_writer *writer, const char *path, mode_t mode, int fd, uint64_t size,
	struct caisson_error *err)
{
	int r = put_file(writer, path, mode, size, err);

	if (r == 0)
		r = copy_exactly(writer, path, fd, size, err);
	if (r == 0)
		r = cpio_pad(writer, 4, err);
	return r;
}

int cpio_finish(struct cpio_writer *writer, struct caisson_error *err)
{
	struct header header = {.links = 1};
	int r = put_header(writer, trailer, &header, err);

	if (r == 0)
		r = cpio_pad(writer, BLOCK, err);
	if (r == 0)
		r = flush(writer, err);
	cpio_writer_done(writer);
	return r;
}
