/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of GUIDs at the end of an OVMF image (OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm): it
 * ends 32 bytes before the image does, and is read backwards, each entry's header behind its data.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/macros.h"
#include "inspect/snp.h"

enum { TAIL = 32, ENTRY_HEADER = 18, METADATA_HEADER = 16, SECTION_SIZE = 12 };

/* GUIDs as they stand in memory. */
static const uint8_t footer_guid[16] = {0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45, 0xba, 0xea,
	0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d};
static const uint8_t hashes_guid[16] = {0x1f, 0x37, 0x55, 0x72, 0x3b, 0x3a, 0x04, 0x4b, 0x92, 0x7b,
	0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54};
static const uint8_t reset_guid[16] = {0xde, 0x71, 0xf7, 0x00, 0x7e, 0x1a, 0xcb, 0x4f, 0x89, 0x0e,
	0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e};
static const uint8_t metadata_guid[16] = {0x66, 0x65, 0x88, 0xdc, 0x4a, 0x98, 0x98, 0x47, 0xa7,
	0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc};

static int refuse(const char *what, const char *why, struct caisson_error *err)
{
	return caisson_refuse(err, EBADMSG, "%s is no firmware for SEV-SNP: %s", what, why);
}

static int read_sections(const uint8_t *data, size_t size, uint32_t from_end, const char *what,
	struct snp_firmware *firmware, struct caisson_error *err)
{
	const uint8_t *header;
	uint32_t length, count;

	if (from_end > size || from_end < METADATA_HEADER)
		return refuse(what, "its SEV metadata lies outside", err);
	header = data + size - from_end;
	length = get_le32(header + 4);
	count = get_le32(header + 12);
	if (memcmp(header, "ASEV", 4) != 0 || get_le32(header + 8) != 1)
		return refuse(what, "its SEV metadata is of no known version", err);
	if (length > from_end || count > SNP_SECTIONS_MOST ||
		length < METADATA_HEADER + (uint64_t)count * SECTION_SIZE)
		return refuse(what, "its SEV metadata is cut", err);
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *at = header + METADATA_HEADER + (size_t)i * SECTION_SIZE;

		firmware->sections[i] =
			(struct snp_section){get_le32(at), get_le32(at + 4), get_le32(at + 8)};
	}
	firmware->count = count;
	return 0;
}

int snp_firmware_read(const uint8_t *data, size_t size, const char *what,
	struct snp_firmware *ret_firmware, struct caisson_error *err)
{
	struct snp_firmware firmware = {0};
	size_t end, left;
	bool metadata = false;

	if (size < TAIL + ENTRY_HEADER || size % SNP_PAGE_SIZE != 0 || size > 64 << 20)
		return refuse(what, "its size is none of whole pages", err);
	end = size - TAIL - ENTRY_HEADER;
	left = get_le16(data + end);
	if (memcmp(data + end + 2, footer_guid, 16) != 0 || left < ENTRY_HEADER ||
		left - ENTRY_HEADER > end)
		return refuse(what, "it has no table of GUIDs at its end", err);
	left -= ENTRY_HEADER;
	while (left >= ENTRY_HEADER) {
		const uint8_t *header = data + end - ENTRY_HEADER, *guid = header + 2;
		size_t length = get_le16(header);
		uint32_t value;

		if (length < ENTRY_HEADER || length > left)
			return refuse(what, "its table of GUIDs is damaged", err);
		value = length >= ENTRY_HEADER + 4 ? get_le32(data + end - length) : 0;
		if (memcmp(guid, hashes_guid, 16) == 0)
			firmware.hashes = value;
		else if (memcmp(guid, reset_guid, 16) == 0)
			firmware.reset_address = value;
		if (memcmp(guid, metadata_guid, 16) == 0) {
			int r = read_sections(data, size, value, what, &firmware, err);

			if (r < 0)
				return r;
			metadata = true;
		}
		end -= length;
		left -= length;
	}
	if (!metadata)
		return refuse(what, "it has no SEV metadata", err);
	*ret_firmware = firmware;
	return 0;
}
