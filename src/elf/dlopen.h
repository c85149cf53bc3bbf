/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Libraries that are opened by name at run time, where no header tells: a table. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "elf/reader.h"

struct dlopen_rule {
	const char *caller; /* soname of the library that opens it */
	uint32_t imports;   /* needed when anything refers to one of these (bits of dlopen_watch) */
	const char *library; /* soname */
	const char *reason;  /* "needs it REASON" */
};

extern const struct elf_watch dlopen_watch;
extern const struct dlopen_rule dlopen_rules[];
extern const size_t dlopen_rule_count;
