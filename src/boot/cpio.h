/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The archive that the kernel unpacks into its first root: cpio in the "newc" form
 * (Documentation/driver-api/early-userspace/buffer-format.rst). The writer gives the same bytes for
 * the same calls: no times, no real inode numbers, owner 0:0.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where bytes go; a negative errno stops the writer. */
struct sink {
	int (*write)(void *userdata, const void *data, size_t size, struct caisson_error *err);
	void *userdata;
};

struct cpio_writer {
	struct sink sink;
	uint32_t next_inode;
	uint64_t offset;
};

void cpio_writer_init(struct cpio_writer *writer, struct sink sink);
/* Paths without a leading slash; folders before what is in them. */
int cpio_add_directory(
	struct cpio_writer *writer, const char *path, mode_t mode, struct caisson_error *err);
int cpio_add_symlink(struct cpio_writer *writer, const char *path, const char *target,
	struct caisson_error *err);
int cpio_add_device(struct cpio_writer *writer, const char *path, mode_t mode, dev_t device,
	struct caisson_error *err);
int cpio_add_data(struct cpio_writer *writer, const char *path, mode_t mode, const void *data,
	size_t size, struct caisson_error *err);
/* Exactly @size bytes from the start of @fd; a file that is shorter or longer is an error. */
int cpio_add_fd(struct cpio_writer *writer, const char *path, mode_t mode, int fd, uint64_t size,
	struct caisson_error *err);
/* Writes the trailer and pads to 512 bytes (another archive may follow). */
int cpio_finish(struct cpio_writer *writer, struct caisson_error *err);

/* One entry read back. */
struct cpio_entry {
	const char *path;
	mode_t mode;
	uint32_t inode, links;
	uint32_t major, minor; /* of a device */
	const uint8_t *data;
	uint32_t size;
};

struct cpio_reader {
	const uint8_t *data;
	size_t size, offset;
	bool inside; /* an archive whose trailer is still to come */
};

void cpio_reader_init(struct cpio_reader *reader, const void *data, size_t size);
/* 1 and the next entry (pointing into the data), 0 at the end of the last of the concatenated
   archives, -EBADMSG with the reason and the offset for what the kernel would not take. */
int cpio_read(struct cpio_reader *reader, struct cpio_entry *ret_entry, struct caisson_error *err);
/* The same for one archive alone: 0 behind its trailer and the zero bytes after it, where something
   else may begin (a compressed archive). */
int cpio_read_one(
	struct cpio_reader *reader, struct cpio_entry *ret_entry, struct caisson_error *err);
