/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which kernel modules a guest loads, in which order. */
#pragma once

#include <caisson/error.h>
#include <stddef.h>

#include "base/strbuf.h"
#include "kernel/kernel.h"

struct module {
	char *source; /* on this machine: .ko, or .ko.xz, .ko.zst, .ko.gz */
	char *path;   /* in the archive: /lib/modules/RELEASE/kernel/... .ko */
};

struct module_list {
	struct module *items; /* in load order: each behind what it depends on */
	size_t count, capacity;
};

#define MODULE_LIST_INIT ((struct module_list){NULL, 0, 0})

/*
 * The modules that @kernel's requirements for @features name, with their dependencies and soft
 * dependencies, each once; what is built in needs none. Fails as kernel_check() does when a
 * required one is missing; optional ones that are not there are left out. The configuration of this
 * machine's modprobe plays no part.
 */
int modules_resolve(const struct kernel *kernel, unsigned int features,
	struct module_list *ret_list, struct caisson_error *err);
void module_list_done(struct module_list *list);
/* Appends the module in the file @path, uncompressed, to @buffer. */
int module_read(const char *path, struct strbuf *buffer, struct caisson_error *err);

#define _cleanup_module_list_ _cleanup_(module_list_done)
