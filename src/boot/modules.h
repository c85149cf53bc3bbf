/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which kernel modules a guest loads, in which order. */
#pragma once

#include <caisson/error.h>
#include <stddef.h>

#include "base/strbuf.h"
#include "boot/spec.h"
#include "kernel/kernel.h"

struct module {
	char *source;         /* on this machine: .ko, or .ko.xz, .ko.zst, .ko.gz */
	char *path;           /* in the archive: /lib/modules/RELEASE/kernel/... .ko */
	char *why;            /* the requirement, who asked for it, or the module that needs it */
	struct strv firmware; /* files that it may ask for, below lib/firmware */
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
 * machine's modprobe plays no part. @wanted: more of them, by name or alias ('-' and '_' are one);
 * NULL: none.
 */
int modules_resolve(const struct kernel *kernel, unsigned int features,
	const struct spec_items *wanted, struct module_list *ret_list, struct caisson_error *err);
void module_list_done(struct module_list *list);
/* Appends the module in the file @path, uncompressed and without debug sections, to @buffer. One
   that is signed stays as it is, to the byte: the signature would not hold any more. */
int module_read(const char *path, struct strbuf *buffer, struct caisson_error *err);
/* The same of an uncompressed module in @fd: 1 and its bytes, or 0 when the file is right as it is,
   which costs a look at its headers alone. */
int module_strip(
	int fd, uint64_t size, const char *path, struct strbuf *buffer, struct caisson_error *err);

#define _cleanup_module_list_ _cleanup_(module_list_done)
