/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a program of a folder that may be a stranger's, confined to it: in a chroot, as nobody or in
 * a user namespace, without privileges, environment, network, open files, or a way to get any; for
 * seconds, and with its output bounded.
 */
#pragma once

#include <caisson/error.h>

#include "base/strbuf.h"

struct trial {
	const char *path;        /* of @folder */
	int folder;              /* the root that it gets */
	int emulator;            /* a static program that runs it, open; or -1 */
	const char *const *argv; /* argv[0]: the program, inside the folder; NULL ends it */
};

/* 1: it ran, with its output in @output and its exit status (128 + N of signal N) in *ret_status.
   0: it cannot be run here, @ret_reason says why in a sentence. */
int trial_run(const struct trial *trial, struct strbuf *output, int *ret_status, char *ret_reason,
	size_t reason_size, struct caisson_error *err);
