/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An ELF file whose debug sections are to go: what is left has to be what it was. */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/strip-check.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct elf_input input = {.data = data, .fd = -1, .size = size, .name = "input"};
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	const char *why = NULL, *complaint;

	if (elf_strip(&input, &output, &why, NULL) < 0)
		abort(); /* nothing that a file holds is a failure */
	if (why != NULL) {
		if (output.size != 0)
			abort();
		return 0;
	}
	complaint = check_stripped(&input, &output);
	if (complaint != NULL) {
		fprintf(stderr, "%s\n", complaint);
		abort();
	}
	return 0;
}
