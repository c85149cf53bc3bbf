/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loop devices: a file as a block device of the kernel. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>

struct loop_options {
	bool read_only;
	uint32_t block_size; /* of the device; 0: 512 */
	uint64_t offset;     /* where in the file it begins */
	uint64_t size;       /* of the device; 0: to the end of the file */
	const char *name;    /* what losetup(8) shows; NULL: nothing */
};

/*
 * Makes a loop device of the file @file. The kernel keeps that open file description, and with it a
 * flock(2) on it, until the device is detached: when its last user closes it (autoclear), which
 * this descriptor is until the caller has mounted or mapped the device. Returns the device's
 * descriptor, and its path. -EOPNOTSUPP where there are no loop devices, -EPERM without the right
 * to.
 */
int loop_attach(
	int file, const struct loop_options *options, char **ret_path, struct caisson_error *err);
/* The device that has @file. 1 and its path, or 0 when none has. */
int loop_find(int file, char **ret_path, struct caisson_error *err);
/* Takes the new size of its file. */
int loop_update_size(const char *path, struct caisson_error *err);
/* Detaches, at the latest when its last user closes it. What is detached already is no failure. */
int loop_detach(const char *path, struct caisson_error *err);
