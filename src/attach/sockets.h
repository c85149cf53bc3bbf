/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* UNIX sockets with a name, however long the path to it is. */
#pragma once

#include <caisson/error.h>
#include <stdint.h>

/* A stream socket called @name in @folder, for this user alone; one that was there is replaced.
   Bound, but nobody listens. Returns the descriptor. */
int unix_bind(const char *folder, const char *name, struct caisson_error *err);
/* Connects by @deadline (now_usec()). -ENOENT and -ECONNREFUSED: nobody is there. The descriptor,
   which does not block. */
int unix_connect(
	const char *folder, const char *name, uint64_t deadline, struct caisson_error *err);
