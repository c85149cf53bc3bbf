/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elf/dlopen.h"

#include "base/macros.h"

enum {
	PTHREAD_CANCEL,
	PTHREAD_EXIT,
	THRD_EXIT,
};

static const char *const symbols[] = {
	[PTHREAD_CANCEL] = "pthread_cancel",
	[PTHREAD_EXIT] = "pthread_exit",
	[THRD_EXIT] = "thrd_exit",
};

const struct elf_watch dlopen_watch = {symbols, ARRAY_SIZE(symbols)};

/*
 * glibc's pthread_exit() and pthread_cancel() abort ("libgcc_s.so.1 must be installed for
 * pthread_exit to work") when they cannot open it; a thread that returns from its function needs
 * nothing. libargon2's threads end with pthread_exit(): so does cryptsetup with Argon2id.
 */
const struct dlopen_rule dlopen_rules[] = {
	{"libc.so.6", 1u << PTHREAD_CANCEL | 1u << PTHREAD_EXIT | 1u << THRD_EXIT, "libgcc_s.so.1",
		"to end or cancel a thread"},
};

const size_t dlopen_rule_count = ARRAY_SIZE(dlopen_rules);
