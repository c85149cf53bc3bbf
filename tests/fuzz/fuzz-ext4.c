/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "volume/ext4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct caisson_error err = {0};
	bool check = false;

	(void)ext4_needs_check(data, size, &check, &err);
	return 0;
}
