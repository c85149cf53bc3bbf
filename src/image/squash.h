/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A squashfs written by squashfs-tools from a tar stream: the same bytes for the same tar.
 *
 * The tools have two surprises (both are there in 4.5.1). sqfstar takes no compression level; it is
 * "mksquashfs - FILE -tar" that does, and is the same otherwise. And with tar input the root folder
 * belongs to whoever runs the tool and is of this second. So the stream carries the image's root as
 * the folder SQUASH_ROOT with all its attributes, and squash_finish() makes that the root.
 */
#pragma once

#include <caisson/error.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"

#define SQUASH_PROGRAM "mksquashfs"
#define SQUASH_ROOT    "r"

struct squash {
	const char *program, *output;
	pid_t pid;
	int input;  /* a socket: a write to a dead reader fails, and raises no SIGPIPE */
	int errors; /* what it says on standard error */
};

#define SQUASH_NONE ((struct squash){.pid = -1, .input = -1, .errors = -1})

/* @output must live until squash_finish(). */
int squash_start(struct squash *ret_squash, const char *program, const char *output,
	struct caisson_error *err);
/* Why it failed is for squash_finish() to say: call it then, too. */
int squash_write(struct squash *squash, const void *data, size_t size, struct caisson_error *err);
/* Ends the stream, waits, and says why the program failed, if it did. */
int squash_finish(struct squash *squash, struct caisson_error *err);
/* Kills a program that was not waited for. */
void squash_done(struct squash *squash);

/* Makes the one folder in the root of the squashfs at @path its root. */
int squash_reroot(const char *path, struct caisson_error *err);

#define _cleanup_squash_ _cleanup_(squash_done)
