/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The filesystem of an image from a stranger: its kind, and what of it is in use. */
#include <string.h>

#include "filesystem/extents.h"
#include "fuzz.h"

#define IMAGE_SIZE (16u << 20) /* the input is what it begins with; zeros follow */

struct input {
	struct blocks blocks;
	const uint8_t *data;
	size_t size;
};

static int input_read(
	struct blocks *blocks, uint64_t offset, void *data, size_t size, struct caisson_error *err)
{
	const struct input *input = (struct input *)blocks;
	size_t there = offset < input->size ? MIN(size, input->size - (size_t)offset) : 0;

	(void)err;
	if (there > 0)
		memcpy(data, input->data + offset, there);
	memset((uint8_t *)data + there, 0, size - there);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct blocks_ops ops = {.read = input_read};
	struct input input = {
		.blocks = {.ops = &ops, .size = IMAGE_SIZE, .read_only = true, .what = "it"},
		.data = data,
		.size = MIN(size, (size_t)IMAGE_SIZE),
	};
	const struct filesystem_image image = {.blocks = &input.blocks, .fd = -1};
	_cleanup_extents_ struct extents extents = EXTENTS_NONE;
	char kind[FILESYSTEM_KIND_SIZE];
	struct caisson_error err = {0};
	uint64_t end = 0;

	if (filesystem_extents(&image, kind, &extents, &err) < 0)
		return 0;
	for (size_t i = 0; i < extents.count; i++) {
		if ((i > 0 && extents.items[i].offset <= end) || extents.items[i].length == 0 ||
			extents.items[i].length > IMAGE_SIZE - extents.items[i].offset)
			__builtin_trap();
		end = extents.items[i].offset + extents.items[i].length;
	}
	return 0;
}
