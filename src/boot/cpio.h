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

/*
 * A file that stands under several names. The kernel (maybe_link() in init/initramfs.c) takes
 * entries of one inode with two links or more for the same file, and contents from whichever brings
 * some; cpio(1) wants them with the last.
 */
struct cpio_file {
	uint32_t names;
	uint32_t inode; /* 0 until the first name is written */
};

struct cpio_writer {
	struct sink sink;
	uint32_t next_inode;
	uint32_t time; /* of every entry, in seconds since 1970; 0 at first */
	size_t align;  /* of the contents, a power of two up to 512; 1 (that is 4) at first */
	uint64_t offset;
	struct cpio_file *file; /* whose last name the next file is; NULL: a file of one name */
	uint8_t *buffer;        /* what the sink has not seen yet */
	size_t filled;
};

/* @sink gets pieces of one size, but for the last, whatever they are made of. */
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
/* One of @file's names, but not the last. */
int cpio_add_name(struct cpio_writer *writer, const char *path, mode_t mode, struct cpio_file *file,
	struct caisson_error *err);
/* The file that is added next is the last of @file's names, and brings its contents. */
void cpio_last_name(struct cpio_writer *writer, struct cpio_file *file);
/* Zeros up to a multiple of @to (a power of two, 512 at most). */
int cpio_pad(struct cpio_writer *writer, size_t to, struct caisson_error *err);
/* Writes the trailer, pads to 512 bytes (another archive may follow) and gives all to the sink. */
int cpio_finish(struct cpio_writer *writer, struct caisson_error *err);
/* Frees what a writer holds; what it has not given to its sink is lost. */
void cpio_writer_done(struct cpio_writer *writer);

#define _cleanup_cpio_writer_ __attribute__((cleanup(cpio_writer_done)))

/* One entry read back. */
struct cpio_entry {
	const char *path;
	mode_t mode;
	uint32_t uid, gid, mtime;
	uint32_t inode, links;
	uint32_t disk_major,
		disk_minor;    /* what @inode counts on: hard links have all three in common */
	uint32_t major, minor; /* of a device */
	const uint8_t *data;
	uint32_t size;
};

struct cpio_reader {
	const uint8_t *data;
	size_t size, offset;
	size_t end;  /* behind the last trailer: where zero bytes begin */
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
