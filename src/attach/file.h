/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Blocks as one regular file of a FUSE file system, which is mounted already. */
#pragma once

#include <sys/types.h>

#include "base/blocks.h"

struct fuse_file;

/* @fd is the file system's descriptor of /dev/fuse. File and folder belong to @owner and @group. */
int fuse_file_start(int fd, struct blocks *blocks, uid_t owner, gid_t group,
	struct fuse_file **ret_file, struct caisson_error *err);
/* How often the file is open. 0 when nothing is mounted any more. */
unsigned int fuse_file_users(struct fuse_file *file);
/* Tells the kernel that blocks->size is another. */
void fuse_file_resized(struct fuse_file *file);
/* When it returns, nothing is written any more: who still has the file open gets errors. Threads
   and memory stay until the process ends. */
void fuse_file_stop(struct fuse_file *file);
