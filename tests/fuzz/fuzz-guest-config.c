/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "fuzz.h"
#include "wire/guest_config.h"

/* What is read can be written, and reads the same again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_guest_config_ struct guest_config config = GUEST_CONFIG_NONE;
	_cleanup_guest_config_ struct guest_config again = GUEST_CONFIG_NONE;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct caisson_error err = {0};

	if (guest_config_read((const char *)data, size, &config, &err) < 0)
		return 0;
	if (guest_config_write(&config, &text, &err) < 0)
		abort();
	if (guest_config_read(text.data, text.size, &again, &err) < 0)
		abort();
	if (again.volume_count != config.volume_count || again.argv.count != config.argv.count)
		abort();
	return 0;
}
