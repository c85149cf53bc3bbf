/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SIGINT, SIGTERM and SIGHUP while something else works for us: that ends first, and in order, and
   what we made for it is removed. */
#pragma once

#include <caisson/error.h>
#include <signal.h>
#include <sys/types.h>

#include "base/macros.h"

struct interrupt {
	int fd; /* signalfd(2) */
	sigset_t before;
};

#define INTERRUPT_NONE ((struct interrupt){.fd = -1})

int interrupt_begin(struct interrupt *ret_interrupt, struct caisson_error *err);
/* The signals are the caller's again. */
void interrupt_done(struct interrupt *interrupt);
/* Waits for @pid, which leads a session of its own. -EINTR when a signal came: the whole group has
   been asked to end, and has. -ETIMEDOUT after @seconds. */
int interrupt_wait(const struct interrupt *interrupt, pid_t pid, const char *program,
	unsigned int seconds, int *ret_status, struct caisson_error *err);

#define _cleanup_interrupt_ _cleanup_(interrupt_done)
