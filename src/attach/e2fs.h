/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The distribution's e2fsck, resize2fs, mke2fs, debugfs and tune2fs on blocks that are no file. */
#pragma once

#include "base/blocks.h"
#include "base/strbuf.h"

struct attach_e2fs_options {
	bool discard;         /* what they discard is discarded in the blocks */
	unsigned int seconds; /* after which the program is killed; 0: never. Without options: an
				 hour */
	/* What the program may use; 0: 4 GiB and a byte for each 256 of the volume; the seconds
	   above or, without those, a day. */
	uint64_t memory_most;
	unsigned int cpu_seconds;
	/* It runs as we do, in files of ours. Only when the filesystem is our own, too. */
	bool trusted;
	/* Descriptors that the program inherits under their own numbers. */
	const int *keep_fds;
	size_t keep_count;
	const char *programs; /* folder of caisson's programs; NULL: they are found */
};

/*
 * Runs @argv, in which "@" stands for the device, over @blocks, whose plain data never has a name
 * in the filesystem. What it holds may be a stranger's work: the program is confined, and root's
 * runs as a user without privileges (process_confine()), unless it is trusted.
 * @options: may be NULL.
 * @output: gets what it prints, standard error too, 1 MiB at most; may be NULL.
 * @ret_status: its exit status, 128 + N when signal N ended it.
 * Returns 0 when it ran, whatever it found; -ETIMEDOUT when it was killed; -ENOTSUP when it never
 * asked for a block, so that what it says is of nothing.
 */
int attach_e2fs(const char *const argv[], struct blocks *blocks,
	const struct attach_e2fs_options *options, struct strbuf *output, int *ret_status,
	struct caisson_error *err);
