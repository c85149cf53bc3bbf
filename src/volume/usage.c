/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How full the filesystem in a volume is, as its superblock says. */
#include <byteswap.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "filesystem/probe.h"
#include "volume/access.h"

#define SUPERBLOCK_SIZE 1024

static uint64_t get_be64(const uint8_t *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	return be64toh(value);
}

/* https://docs.kernel.org/filesystems/ext4/super.html */
static void read_ext(const uint8_t *super, struct volume_usage *usage)
{
	uint32_t shift = get_le32(super + 0x18);
	bool wide = (get_le32(super + 0x60) & 0x80) != 0; /* INCOMPAT_64BIT */
	uint64_t blocks = get_le32(super + 0x4), free = get_le32(super + 0xc);

	if (wide) {
		blocks |= (uint64_t)get_le32(super + 0x150) << 32;
		free |= (uint64_t)get_le32(super + 0x158) << 32;
	}
	if (shift > 6 || free > blocks || blocks > UINT64_MAX >> 20)
		return;
	usage->size = blocks * (1024u << shift);
	usage->used = (blocks - free) * (1024u << shift);
}

/* XFS Algorithms & Data Structures, "Superblocks"; the counters are exact after an unmount. */
static void read_xfs(const uint8_t *super, struct volume_usage *usage)
{
	uint32_t block = bswap_32(get_le32(super + 4));
	uint64_t blocks = get_be64(super + 8), free = get_be64(super + 144);

	if (block < 512 || block > 65536 || free > blocks || blocks > UINT64_MAX >> 20)
		return;
	usage->size = blocks * block;
	usage->used = (blocks - free) * block;
}

/* https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html */
static void read_btrfs(const uint8_t *super, struct volume_usage *usage)
{
	usage->size = get_le64(super + 0x70);
	usage->used = get_le64(super + 0x78);
}

static int read_superblock(
	struct blocks *payload, struct volume_usage *usage, struct caisson_error *err)
{
	static const struct {
		const char *kind;
		uint64_t offset;
		void (*read)(const uint8_t *super, struct volume_usage *usage);
	} kinds[] = {{"ext4", 1024, read_ext}, {"ext3", 1024, read_ext}, {"ext2", 1024, read_ext},
		{"xfs", 0, read_xfs}, {"btrfs", 65536, read_btrfs}};
	uint8_t super[SUPERBLOCK_SIZE];
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(usage->filesystem, kinds[i].kind) != 0)
			continue;
		r = blocks_read(payload, kinds[i].offset, super, sizeof(super), err);
		if (r == 0)
			kinds[i].read(super, usage);
		return r;
	}
	return 0;
}

int volume_usage_of(
	struct blocks *payload, struct volume_usage *ret_usage, struct caisson_error *err)
{
	struct volume_usage usage = {.size = 0};
	int r = filesystem_kind(payload, usage.filesystem, err);

	if (r == 0)
		r = read_superblock(payload, &usage, err);
	if (r == 0)
		*ret_usage = usage;
	return r;
}

int volume_usage(const struct state *state, struct key_service *keys, const char *name,
	struct volume_usage *ret_usage)
{
	_cleanup_volume_access_ struct volume_access access = VOLUME_ACCESS_NONE;
	_cleanup_blocks_ struct blocks *payload = NULL;
	struct caisson_error err = {0};
	int r = volume_access_peek(state, keys, name, &access, &err);

	if (r == 0 && !access.has_record)
		return -ENOKEY;
	if (r == 0)
		r = volume_access_unlock(&access, NULL, NULL, &err);
	if (r == 0)
		r = volume_access_payload(&access, access.blocks, &payload, &err);
	return r < 0 ? r : volume_usage_of(payload, ret_usage, &err);
}
