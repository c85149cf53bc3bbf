/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What differs between two boot archives. */
#pragma once

#include <caisson/initramfs.h>

int initramfs_diff(int a, const char *what_a, int b, const char *what_b,
	int (*each)(const struct caisson_initramfs_difference *difference, void *userdata),
	void *userdata, struct caisson_error *err);
