/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A container's header area: both copies of the header, and the keyslots. */
#pragma once

#include "base/blocks.h"
#include "luks/luks.h"

#define HEADER_CHUNK 4096u

/* How many bytes header and keyslots take at @path. */
int luks_header_size(const char *path, uint64_t *ret_size, struct caisson_error *err);
/* Copies the first @size bytes into a memory file that libcryptsetup takes for a container. */
int luks_header_copy(struct blocks *container, uint64_t size, uint64_t data_offset, int *ret_fd,
	struct caisson_error *err);
/* Writes what differs, in units of HEADER_CHUNK. */
int luks_header_write(int fd, uint64_t size, struct blocks *container, struct caisson_error *err);
/* Both copies are there, whole, and of the same change. -EBADMSG. */
int luks_header_check(struct blocks *container, struct caisson_error *err);
int luks_areas_check(const char *path, struct caisson_error *err);
