/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_strbuf_ struct strbuf buffer = STRBUF_INIT;
	struct caisson_error err = {0};
	struct frame frame;

	strbuf_add(&buffer, data, size);
	while (frame_peek(&buffer, &frame, &err) == 1)
		frame_drop(&buffer, &frame);
	return 0;
}
