/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starting the process that serves an open volume, caisson-attach. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/secret.h"

struct attach_options {
	int container; /* borrowed; its lock lasts as long as the process */
	const struct secret *volume_key;
	const char *cipher; /* "aes-xts-plain64" */
	uint32_t sector_size;
	uint64_t data_offset;
	uint64_t size;    /* of the payload, bytes */
	const char *name; /* of the NBD export */
	const char
		*folder; /* is there, for its user alone; gets the sockets, and the file's mount */
	bool read_only;
	bool discard;         /* pass discards on */
	bool file;            /* also as a file, where there is FUSE: FOLDER/file/volume */
	const char *programs; /* folder of caisson's programs; NULL: they are found */
};

struct attach_started {
	pid_t pid;
	bool file;             /* there is the file */
	char why_no_file[256]; /* that was wished for; "" else */
};

/*
 * What a killed process left in the folder is swept first. Returns when the volume is served. The
 * process outlives this one; it ends by attach_control()'s "close" (after attach_file_unmount() of
 * the file), or by SIGTERM when nobody uses it any more. On failure no process and nothing else
 * is left but the folder.
 * -ETIMEDOUT when it is not ready in 30 seconds.
 */
int attach_start(const struct attach_options *options, struct attach_started *ret_started,
	struct caisson_error *err);
/* Removes what attach_start() made in @folder, of a process that is gone: sockets and the mount.
   -EBUSY while another attach_start() is at work there. */
int attach_sweep(const char *folder, bool lazy, struct caisson_error *err);
