/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bytes of a journal of changes: a head, the blocks, and which block of the container each is.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REDO_NAME       "redo"
#define REDO_BLOCK      4096u
#define REDO_COUNT_MOST (1u << 30) /* 4 TiB of changes */

int redo_journal_read(
	int fd, uint32_t slot, size_t within, void *data, size_t size, struct caisson_error *err);
int redo_journal_write(
	int fd, uint32_t slot, const uint8_t block[REDO_BLOCK], struct caisson_error *err);
/* Of one that is not sealed yet: it shall be wiped, whatever becomes of it. */
int redo_journal_mark_secret(int fd, struct caisson_error *err);
/* Overwrites the blocks, and syncs. */
int redo_journal_wipe(int fd, struct caisson_error *err);
/* Writes index and head; the caller syncs. */
int redo_journal_seal(int fd, const uint64_t *slots, uint32_t count, uint64_t size, bool secret,
	struct caisson_error *err);
