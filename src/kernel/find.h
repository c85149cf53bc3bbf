/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/kernel.h"

/* Opens a kernel, or what may be one, for reading; where only root may, says what helps. */
int kernel_file_open(const char *path, struct caisson_error *err);
/* kernel_find() with @root before /boot and /lib/modules ("" for this system). */
int kernel_find_below(const char *root, const char *path, const char *modules,
	struct kernel *ret_kernel, struct caisson_error *err);
