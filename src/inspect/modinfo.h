/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a kernel module says about itself: its section .modinfo. */
#pragma once

#include <caisson/error.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

struct modinfo {
	char *name;     /* NULL when absent, as the next */
	char *vermagic; /* "6.1.0-56-cloud-amd64 SMP preempt mod_unload modversions " */
	struct strv depends;
};

#define MODINFO_NONE ((struct modinfo){NULL, NULL, STRV_INIT})

/* Of the module in @data, uncompressed. -ENOEXEC when it is none. */
int modinfo_read(const uint8_t *data, size_t size, const char *what, struct modinfo *ret_info,
	struct caisson_error *err);
void modinfo_done(struct modinfo *info);

#define _cleanup_modinfo_ _cleanup_(modinfo_done)
