/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Offsets: Documentation/filesystems/ext4/super.rst of the kernel. */
#include "volume/ext4.h"

#include <errno.h>
#include <stdint.h>

#include "base/bytes.h"

#define MAGIC                  0xef53u
#define STATE_CLEAN            0x0001u
#define STATE_ERRORS           0x0002u
#define STATE_ORPHANS          0x0004u
#define INCOMPAT_RECOVER       0x0004u
#define RO_COMPAT_METADATA_SUM 0x0400u
#define CHECKSUM_TYPE_CRC32C   1u

enum {
	AT_MOUNTS = 0x34,
	AT_MOUNTS_MOST = 0x36,
	AT_MAGIC = 0x38,
	AT_STATE = 0x3a,
	AT_INCOMPAT = 0x60,
	AT_RO_COMPAT = 0x64,
	AT_CHECKSUM_TYPE = 0x175,
	AT_CHECKSUM = 0x3fc,
};

static uint32_t crc32c(const uint8_t *data, size_t size)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0x82f63b78u & -(crc & 1));
	}
	return crc;
}

/* The checksum is the plain register, not inverted at the end. */
static bool checksum_wrong(const uint8_t *superblock)
{
	if ((get_le32(superblock + AT_RO_COMPAT) & RO_COMPAT_METADATA_SUM) == 0)
		return false;
	return superblock[AT_CHECKSUM_TYPE] != CHECKSUM_TYPE_CRC32C ||
	       get_le32(superblock + AT_CHECKSUM) != crc32c(superblock, AT_CHECKSUM);
}

int ext4_needs_check(
	const void *superblock, size_t size, bool *ret_check, struct caisson_error *err)
{
	const uint8_t *bytes = superblock;
	uint32_t state, mounts, most;

	if (size < EXT4_SUPERBLOCK_SIZE || get_le16(bytes + AT_MAGIC) != MAGIC)
		return caisson_refuse(err, EINVAL, "there is no ext4 filesystem");
	state = get_le16(bytes + AT_STATE);
	mounts = get_le16(bytes + AT_MOUNTS);
	/* Signed; 0 and -1 mean that mounts are not counted. */
	most = get_le16(bytes + AT_MOUNTS_MOST);
	*ret_check = (state & STATE_CLEAN) == 0 || (state & (STATE_ERRORS | STATE_ORPHANS)) != 0 ||
		     (get_le32(bytes + AT_INCOMPAT) & INCOMPAT_RECOVER) != 0 ||
		     (most > 0 && most < 0x8000 && mounts >= most) || checksum_wrong(bytes);
	return 0;
}
