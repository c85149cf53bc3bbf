/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host's side of a running machine: one poll loop until it has ended. */
#pragma once

#include <caisson/log.h>
#include <caisson/machine.h>
#include <signal.h>
#include <sys/types.h>

#include "key/service.h"

struct supervision {
	const char *name; /* of the machine */
	pid_t qemu;
	int console;                /* socket to the guest's serial console */
	int channel;                /* machine channel, or -1 until a vsock connection comes */
	int key_channel;            /* likewise; -1 for a machine without volumes */
	int listener, key_listener; /* vsock; -1 without */
	uint32_t cid;               /* of the guest, with vsock */
	int console_log;            /* file */
	int qemu_log;               /* file with what QEMU said on its standard error */
	struct key_service *keys;   /* NULL without volumes */
	const struct caisson_machine_options *options;
	const struct caisson_log *log;
};

/*
 * Blocks the signals that supervise() reads from a descriptor. Whoever makes what must not be left
 * behind (a machine's folder) calls this first, and sets *@ret_before back at the very end: a
 * signal that comes between the two is served by supervise(), or ends the process when all is
 * cleaned up.
 */
int supervise_block_signals(sigset_t *ret_set, sigset_t *ret_before, struct caisson_error *err);

/* Returns as caisson_machine_run() does. QEMU is gone when it returns. */
int supervise(struct supervision *supervision, int *ret_status, struct caisson_error *err);
