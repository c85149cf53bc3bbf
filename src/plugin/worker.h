/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each request is answered by a process of its own, as each command of the command line is one: the
 * libraries below know nothing of threads, keys are gone with the process that used them, and what
 * goes wrong in one request cannot harm the next.
 */
#pragma once

#include <stddef.h>

#include "base/strbuf.h"

/* Answers @path with text and an HTTP status. */
typedef unsigned int (*worker_answer)(
	void *userdata, const char *path, const char *body, size_t size, struct strbuf *answer);

/* The same from a child process; 500 with a sentence when that does not end well. */
unsigned int worker_run(worker_answer answer, void *userdata, const char *path, const char *body,
	size_t size, struct strbuf *ret_answer);
