/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/kernel.h"

/* Orders releases by their numbers: 6.1.9 before 6.1.10, 6.2.0-rc1 before 6.2.0. As strcmp(). */
int kernel_release_compare(const char *a, const char *b);
/* kernel_find() with @root before /boot and /lib/modules ("" for this system). */
int kernel_find_below(const char *root, const char *path, const char *modules,
	struct kernel *ret_kernel, struct caisson_error *err);
