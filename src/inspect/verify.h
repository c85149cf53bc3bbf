/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether a boot archive would start a machine: what can be told without starting one. */
#pragma once

#include <caisson/initramfs.h>

#include "inspect/rootfs.h"
#include "kernel/config.h"

int initramfs_verify(int fd, const char *what,
	const struct caisson_initramfs_verify_options *options,
	int (*each)(const char *path, const char *problem, void *userdata), void *userdata,
	struct caisson_error *err);

/* One archive that is being looked at. For verify.c and its parts. */
struct verification {
	struct rootfs *root;
	const char *what;
	const char *temporary;
	const struct kernel *kernel; /* NULL: any */
	struct kernel_papers papers;
	int (*each)(const char *path, const char *problem, void *userdata);
	void *userdata;
	int count;
};

/* Tells of one problem. A negative value ends the work. */
int verify_tell(struct verification *verification, const char *path, const char *format, ...)
	_printf_(3, 4);
/* Programs, their interpreters and libraries. */
int verify_programs(struct verification *verification, struct caisson_error *err);
/* Kernel modules: version, format, dependencies. */
int verify_modules(struct verification *verification, struct caisson_error *err);
