/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Talking to the process that serves an open volume (docs/attach.md has the protocol). */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/strbuf.h"

#define ATTACH_NBD_SOCKET     "nbd.sock"
#define ATTACH_CONTROL_SOCKET "control.sock"
#define ATTACH_FILE_FOLDER    "file"
#define ATTACH_FILE_NAME      "volume"

/*
 * Sends @request ("status", "close", "close force", "close later", "resize BYTES") to the process
 * that serves in @folder, and waits for its reply, at most @seconds.
 * @reply: gets what follows "ok"; may be NULL. @ret_pid: the process; may be NULL.
 * Returns: 0; -ENOENT or -ECONNREFUSED when no process is there; -EBUSY ("busy N"); -ETIMEDOUT;
 * another negative errno, with the sentence of the process. After a "close" that returned 0 the
 * process has given the container back.
 */
int attach_control(const char *folder, const char *request, unsigned int seconds,
	struct strbuf *reply, pid_t *ret_pid, struct caisson_error *err);

struct attach_status {
	pid_t pid;
	uint64_t size;            /* of the payload, bytes */
	unsigned int connections; /* NBD clients */
	unsigned int files;       /* the FUSE file is open so many times */
	bool file;                /* there is a FUSE file */
	bool read_only;
	bool discard;
	uint64_t errors; /* of input and output, since the start */
};

/* As attach_control(). */
int attach_status(const char *folder, struct attach_status *ret_status, struct caisson_error *err);
