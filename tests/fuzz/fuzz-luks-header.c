/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A container from a hostile disk: the binary parts of its header, and the checksums over them. The
   last two bytes of the input say how much of a header's size is zeros behind it. */
#include "fuzz.h"

#include <string.h>

#include "base/blocks.h"
#include "luks/header.h"

struct input {
	struct blocks blocks;
	const uint8_t *data;
	size_t size;
};

static int input_read(struct blocks *blocks, uint64_t offset, void *data, size_t size,
	struct caisson_error *err _unused_)
{
	const struct input *input = (struct input *)blocks;
	size_t there = offset < input->size ? MIN(size, input->size - (size_t)offset) : 0;

	memcpy(data, input->data + (there > 0 ? offset : 0), there);
	memset((uint8_t *)data + there, 0, size - there);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct blocks_ops ops = {.read = input_read};
	struct input input = {
		.blocks = {.ops = &ops, .read_only = true, .what = "the input"}, .data = data};
	struct caisson_error err = {0};

	if (size < 2)
		return 0;
	input.size = size - 2;
	input.blocks.size = input.size + (uint64_t)(data[size - 2] << 8 | data[size - 1]) * 512;
	(void)luks_header_check(&input.blocks, &err);
	return 0;
}
