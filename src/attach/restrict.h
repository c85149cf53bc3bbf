/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a process gives up that works with a volume key on behalf of strangers. */
#pragma once

#include <caisson/error.h>
#include <stddef.h>
#include <sys/types.h>

/* Closes all descriptors but 0, 1, 2 and those of @keep, which gets sorted; -1 in it is none. */
int restrict_files(int *keep, size_t count, struct caisson_error *err);
/* No core, no debugger, no swap where that may be had, no new privileges; started by root, it
   becomes
   @uid and @gid. */
int restrict_process(uid_t uid, gid_t gid, struct caisson_error *err);
/* From here on: these system calls alone. Threads that are started later inherit it. */
int restrict_calls(struct caisson_error *err);
