/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a transfer writes: past the page cache where that can be; inside luks/ only. */
#pragma once

#include <caisson/error.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TARGET_PAGE       4096u
#define TARGET_WRITE_MOST (1u << 20) /* bytes at a time */
/* Of a buffer that starts at a page: what is for byte N of the target stands at N % TARGET_PAGE. */
#define TARGET_BUFFER_SIZE (TARGET_WRITE_MOST + TARGET_PAGE)

struct target {
	int fd;
	int direct_fd; /* the same file with O_DIRECT; -1: cannot */
	atomic_bool direct;
};

/* Borrows @fd. */
void target_init(struct target *target, int fd);
void target_done(struct target *target);
/* Before a range is written: takes the space for it, so that several threads can write there. */
int target_prepare(
	struct target *target, uint64_t offset, uint64_t length, struct caisson_error *err);
/* From any thread; @data is at offset % TARGET_PAGE of a page. */
int target_write(struct target *target, uint64_t offset, const uint8_t *data, size_t size,
	struct caisson_error *err);
