/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <caisson/error.h>
#include <sys/types.h>

/* Listens at @path, for root and @group ((gid_t)-1: root's group) alone; folders above it are made.
   A socket that nobody listens at any more is replaced; -EADDRINUSE when somebody does. */
int socket_listen(const char *path, gid_t group, int *ret_fd, struct caisson_error *err);
/* The one socket that systemd has handed over: @pid and @count as in LISTEN_PID and LISTEN_FDS
   (sd_listen_fds(3)), NULL when they are not set. 1, 0 when there is none, or negative errno. */
int socket_inherit(const char *pid, const char *count, int *ret_fd, struct caisson_error *err);
