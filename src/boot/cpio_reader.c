/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads as the kernel's init/initramfs.c does, and refuses what that would stop at or drop in
 * silence. Stricter in one thing: an archive that ends without its trailer was cut.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/macros.h"
#include "boot/cpio.h"

enum { HEADER_SIZE = 110, FIELDS = 13 };

/* The order of the fields in a header. */
enum field {
	F_INODE,
	F_MODE,
	F_UID,
	F_GID,
	F_LINKS,
	F_MTIME,
	F_SIZE,
	F_MAJOR,
	F_MINOR,
	F_RMAJOR,
	F_RMINOR,
	F_NAME_SIZE,
	F_SUM,
};

void cpio_reader_init(struct cpio_reader *reader, const void *data, size_t size)
{
	reader->data = data;
	reader->size = size;
	reader->offset = 0;
	reader->end = 0;
	reader->inside = false;
}

static int refuse(
	const struct cpio_reader *reader, size_t offset, const char *why, struct caisson_error *err)
{
	(void)reader;
	return caisson_refuse(err, EBADMSG, "the cpio entry at byte %zu %s", offset, why);
}

static int digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool read_fields(const uint8_t *text, uint32_t ret_fields[static FIELDS])
{
	for (int i = 0; i < FIELDS; i++) {
		uint32_t value = 0;

		for (int k = 0; k < 8; k++) {
			int d = digit(*text++);

			if (d < 0)
				return false;
			value = value << 4 | (uint32_t)d;
		}
		ret_fields[i] = value;
	}
	return true;
}

static void skip_zeros(struct cpio_reader *reader)
{
	while (reader->offset < reader->size && reader->data[reader->offset] == 0)
		reader->offset++;
}

/* Of magic 070702: the sum of the file's bytes. */
static bool sum_matches(const uint8_t *data, uint32_t size, uint32_t wanted)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < size; i++)
		sum += data[i];
	return sum == wanted;
}

static int read_name(const struct cpio_reader *reader, size_t offset, uint32_t name_size,
	const char **ret_name, struct caisson_error *err)
{
	const char *name = (const char *)reader->data + offset + HEADER_SIZE;

	if (name_size == 0 || name_size > PATH_MAX)
		return refuse(reader, offset, "has a name that is empty or too long", err);
	if (name_size > reader->size - offset - HEADER_SIZE)
		return refuse(reader, offset, "is cut in its name", err);
	/* Zeros may pad a name, as dracut does to align the data. */
	if (name[name_size - 1] != '\0' || name[0] == '\0')
		return refuse(reader, offset, "has a name without an end, or none", err);
	for (size_t i = strlen(name); i < name_size; i++) {
		if (name[i] != '\0')
			return refuse(reader, offset, "has a zero byte inside its name", err);
	}
	*ret_name = name;
	return 0;
}

static int check_body(const struct cpio_reader *reader, size_t offset,
	const struct cpio_entry *entry, struct caisson_error *err)
{
	mode_t type = entry->mode & S_IFMT;

	switch (type) {
	case S_IFREG:
		return 0;
	case S_IFLNK:
		if (entry->size == 0 || entry->size > PATH_MAX ||
			memchr(entry->data, '\0', entry->size) != NULL)
			return refuse(reader, offset, "is a link to no possible path", err);
		return 0;
	case S_IFDIR:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		if (entry->size != 0)
			return refuse(reader, offset, "is no file and has contents", err);
		return 0;
	default:
		return refuse(reader, offset, "has a mode of no known type", err);
	}
}

/* 1 and the entry, or 0 at a trailer; steps behind either. */
static int read_entry(
	struct cpio_reader *reader, struct cpio_entry *ret_entry, struct caisson_error *err)
{
	size_t offset = reader->offset;
	const uint8_t *header = reader->data + offset;
	struct cpio_entry entry = {0};
	uint32_t fields[FIELDS];
	uint64_t body, next;
	int r;

	if (reader->size - offset < HEADER_SIZE)
		return refuse(reader, offset, "is cut in its header", err);
	if (memcmp(header, "070701", 6) != 0 && memcmp(header, "070702", 6) != 0)
		return refuse(reader, offset, "does not start as \"newc\" does", err);
	if (!read_fields(header + 6, fields))
		return refuse(reader, offset, "has a header with no hexadecimal digits", err);
	r = read_name(reader, offset, fields[F_NAME_SIZE], &entry.path, err);
	if (r < 0)
		return r;
	body = (offset + HEADER_SIZE + fields[F_NAME_SIZE] + 3) & ~3ull;
	if (body + fields[F_SIZE] > reader->size)
		return refuse(reader, offset, "is cut in its contents", err);
	next = (body + fields[F_SIZE] + 3) & ~3ull;
	entry.mode = fields[F_MODE];
	entry.inode = fields[F_INODE];
	entry.links = fields[F_LINKS];
	entry.uid = fields[F_UID];
	entry.gid = fields[F_GID];
	entry.mtime = fields[F_MTIME];
	entry.disk_major = fields[F_MAJOR];
	entry.disk_minor = fields[F_MINOR];
	entry.major = fields[F_RMAJOR];
	entry.minor = fields[F_RMINOR];
	entry.data = reader->data + body;
	entry.size = fields[F_SIZE];
	if (strcmp(entry.path, "TRAILER!!!") == 0) {
		if (entry.size != 0)
			return refuse(reader, offset, "is a trailer and has contents", err);
		reader->offset = (size_t)MIN(next, (uint64_t)reader->size);
		return 0;
	}
	r = check_body(reader, offset, &entry, err);
	if (r < 0)
		return r;
	if (header[5] == '2' && S_ISREG(entry.mode) &&
		!sum_matches(entry.data, entry.size, fields[F_SUM]))
		return refuse(reader, offset, "has contents that its checksum does not fit", err);
	reader->offset = (size_t)MIN(next, (uint64_t)reader->size);
	*ret_entry = entry;
	return 1;
}

int cpio_read_one(
	struct cpio_reader *reader, struct cpio_entry *ret_entry, struct caisson_error *err)
{
	int r;

	if (reader->offset >= reader->size)
		return refuse(reader, reader->offset, "is missing: there is no trailer", err);
	if ((reader->offset & 3) != 0)
		return refuse(reader, reader->offset, "does not start at a multiple of 4", err);
	r = read_entry(reader, ret_entry, err);
	reader->inside = r > 0;
	if (r == 0) {
		reader->end = reader->offset;
		skip_zeros(reader);
	}
	return r;
}

int cpio_read(struct cpio_reader *reader, struct cpio_entry *ret_entry, struct caisson_error *err)
{
	int r;

	if (reader->offset == 0)
		skip_zeros(reader);
	do {
		if (reader->offset == reader->size && !reader->inside)
			return 0;
		r = cpio_read_one(reader, ret_entry, err);
	} while (r == 0);
	return r;
}
