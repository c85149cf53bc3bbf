/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "inspect/walk.h"

/* Every byte of what an entry points to is there, and every path ends. */
static int touch(const struct cpio_entry *entry, void *userdata)
{
	uint32_t *sum = userdata;

	*sum += (uint32_t)strlen(entry->path);
	for (uint32_t i = 0; i < entry->size; i++)
		*sum += entry->data[i];
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cpio_reader reader;
	struct cpio_entry entry;
	uint32_t sum = 0;
	size_t before = 0;

	cpio_reader_init(&reader, data, size);
	while (cpio_read(&reader, &entry, NULL) == 1) {
		if (reader.offset <= before || reader.offset > size)
			abort();
		before = reader.offset;
		(void)touch(&entry, &sum);
	}
	(void)archive_walk(data, size, 1 << 20, "the archive", touch, &sum, NULL);
	*(volatile uint32_t *)&sum = sum; /* so that it is computed */
	return 0;
}
