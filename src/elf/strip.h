/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Takes the debug sections out of an ELF file, as `strip --strip-debug` does, for any class, byte
 * order and machine, and changes nothing that a loader or a linker goes by:
 *
 * - no section gets another index: the header of one that goes becomes SHT_NULL, so that no symbol,
 *   relocation or group has to be rewritten;
 * - what program headers and sections with SHF_ALLOC cover stays where it is, to the byte, but for
 *   e_shoff in the ELF header. Other sections move up. Of an object file (a kernel module), which
 *   has no program headers, everything behind the ELF header may move;
 * - a file that holds anything that no header describes, such as an appended archive or a
 *   module's signature, stays as it is.
 *
 * Who compares the whole file with a checksum, as FIPS modules do with themselves, sees another.
 */
#pragma once

#include <caisson/error.h>

#include "base/strbuf.h"
#include "elf/reader.h"

enum {
	ELF_STRIP_MOST = 1 << 30, /* bytes; what would still be larger stays as it is */
};

/*
 * Appends @input without its debug sections to @output; *ret_why is NULL then, and the result is
 * smaller than @input. Else *ret_why is why the file stays as it is (static text that goes on from
 * "FILE stays as it is: "), and @output is untouched. Fails only when the file cannot be read or
 * memory runs out, and not for what it holds.
 */
int elf_strip(const struct elf_input *input, struct strbuf *output, const char **ret_why,
	struct caisson_error *err);
