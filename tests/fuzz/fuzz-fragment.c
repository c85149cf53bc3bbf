/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A fragment of a kernel's configuration, ours or a user's, and a profile, of the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "kernel/config.h"
#include "kernel/fragment.h"

static void parse(const char *text, size_t size, bool strict)
{
	_cleanup_fragment_ struct fragment fragment = FRAGMENT_NONE;

	if (fragment_parse("fuzz", text, size, strict, &fragment, NULL) < 0)
		return;
	for (size_t i = 0; i < fragment.count; i++) {
		const struct kernel_requirement *one = &fragment.requirements[i];

		if (strncmp(one->option, "CONFIG_", 7) != 0 || one->value[0] == '\0' ||
			one->reason == NULL)
			abort();
		(void)kernel_config_meets(text, size, one);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_profile_ struct profile profile = PROFILE_NONE;

	parse((const char *)data, size, true);
	parse((const char *)data, size, false);
	(void)profile_parse("fuzz", (const char *)data, size, &profile, NULL);
	return 0;
}
