/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the start of a machine with a boot archive is measured as. */
#pragma once

#include <caisson/initramfs.h>

int initramfs_measure(const char *const *paths,
	const struct caisson_initramfs_measure_options *options,
	struct caisson_initramfs_measurement *ret_measurement, struct caisson_error *err);
