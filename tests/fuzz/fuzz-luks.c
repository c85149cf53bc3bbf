/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The JSON area of a header from a hostile disk. */
#include "fuzz.h"
#include "luks/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct luks_facts facts = {
		.cipher = LUKS_CIPHER,
		.key_size = LUKS_VOLUME_KEY_SIZE,
		.sector_size = LUKS_SECTOR_SIZE,
		.data_offset = LUKS_DATA_OFFSET,
	};
	struct luks_metadata metadata;
	struct caisson_error err = {0};
	uint32_t keyslots;

	if (luks_metadata_parse((const char *)data, size, &metadata, &err) < 0)
		return 0;
	(void)luks_metadata_check(&metadata, &facts, &keyslots, &err);
	return 0;
}
