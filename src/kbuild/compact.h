/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A vmlinux without the holes in its file. The linker puts its segments where they would be mapped
 * from, at multiples of 2 MiB; whoever starts a kernel reads them (PVH, the 64-bit boot protocol),
 * and nobody maps them.
 */
#pragma once

#include <caisson/error.h>

#include "base/strbuf.h"

/*
 * Appends to @compact the ELF file @data with its segments one behind the other, at pages, and
 * without its section headers and the zeros at their ends: what is loaded where is the same.
 * Returns 1; or 0, with nothing appended, for a file of another shape, which stays as it is.
 */
int compact_vmlinux(
	const void *data, size_t size, struct strbuf *compact, struct caisson_error *err);
