/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading and writing whole things, with a sentence when it fails. */
#pragma once

#include <caisson/error.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/strbuf.h"

/* Each of these takes @what, the name that an error calls the file by. */
int write_all(int fd, const void *data, size_t size, const char *what, struct caisson_error *err);
int pwrite_all(int fd, const void *data, size_t size, uint64_t offset, const char *what,
	struct caisson_error *err);
/* -ENODATA with "ends early" when fewer than @size bytes are there. */
int pread_all(int fd, void *data, size_t size, uint64_t offset, const char *what,
	struct caisson_error *err);
/* Reads to the end of @fd; -EFBIG beyond @most bytes. */
int read_to_end(
	int fd, size_t most, const char *what, struct strbuf *buffer, struct caisson_error *err);
/* Reads a regular file below a bound. */
int read_file(const char *path, size_t most, struct strbuf *buffer, struct caisson_error *err);
/* Copies all of @from, from its start, to @to's position. Returns the number of bytes. */
int64_t copy_fd(int from, int to, const char *what, struct caisson_error *err);
/* Writes a new file beside @path, syncs it, renames it over @path and syncs the folder. */
int write_file_atomic(
	const char *path, const void *data, size_t size, mode_t mode, struct caisson_error *err);
/* Makes a rename or an unlink in @path durable. */
int sync_directory(const char *path, struct caisson_error *err);
/* Closed on exec. Returns the descriptor. */
int open_file(const char *path, int flags, mode_t mode, struct caisson_error *err);
int set_nonblocking(int fd, bool on);
/* CLOCK_MONOTONIC in microseconds. */
uint64_t now_usec(void);
