/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Block devices that are, or shall be, containers. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>

/* Opens it for writing and locks it, unless somebody uses it (-EBUSY) or it holds something that
   libblkid knows and @overwrite is false (-EEXIST). */
int volume_device_open(const char *path, bool overwrite, int *ret_fd, struct caisson_error *err);
int volume_device_size(int fd, const char *path, uint64_t *ret_size, struct caisson_error *err);
