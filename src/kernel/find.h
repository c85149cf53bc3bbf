/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/kernel.h"

/* kernel_find() with @root before /boot and /lib/modules ("" for this system). */
int kernel_find_below(const char *root, const char *path, const char *modules,
	struct kernel *ret_kernel, struct caisson_error *err);
