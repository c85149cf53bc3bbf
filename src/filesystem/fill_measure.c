/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "filesystem/ext4_folder.h"
#include "filesystem/fill_inode.h"
#include "filesystem/fill_tally.h"

#define MIB             (UINT64_C(1) << 20)
#define GIB             (UINT64_C(1) << 30)
#define GROUP_BLOCKS    32768u
#define XATTRS_IN_INODE 92u /* bytes, headers included */
#define LEAST           (8 * MIB)

uint64_t fill_folder_blocks(uint64_t names, uint64_t folders)
{
	/* A leaf of a hash tree is left when the longest name does not fit any more. */
	uint64_t leaves = names / 3000;

	return folders + leaves + leaves / 400;
}

static uint64_t blocks_of(uint64_t bytes)
{
	return bytes / EXT4_BLOCK_SIZE + (bytes % EXT4_BLOCK_SIZE != 0);
}

static int tally_file(
	struct fill_tally *tally, const struct fill_entry *entry, struct caisson_error *err)
{
	uint64_t blocks = blocks_of(entry->data), pieces = 4, start, end = 0;
	int r = 0;

	if (entry->fd >= 0) {
		blocks = pieces = 0;
		while ((r = fill_next_data(entry->fd, &entry->stat, end, &start, &end, err)) > 0) {
			blocks += blocks_of(end - start);
			pieces++;
		}
	}
	/* Pieces are cut at the ends of groups, too. */
	pieces += 2 * (blocks / GROUP_BLOCKS);
	tally->blocks += blocks + (pieces > 4 ? pieces / 300 + 1 : 0);
	return r;
}

int fill_tally_add(
	struct fill_tally *tally, const struct fill_entry *entry, struct caisson_error *err)
{
	const char *name = strrchr(entry->path, '/');
	size_t xattrs = 0;

	tally->names += ext4_name_size(
		(uint32_t)MIN(strlen(name != NULL ? name + 1 : entry->path), (size_t)255));
	if (entry->hard_link != NULL)
		return 0;
	tally->files++;
	tally->folders += S_ISDIR(entry->mode);
	for (size_t i = 0; i < entry->xattr_count; i++)
		xattrs += 24 + strlen(entry->xattrs[i].name) + entry->xattrs[i].size;
	tally->blocks += xattrs > XATTRS_IN_INODE;
	if (S_ISLNK(entry->mode))
		tally->blocks += strlen(entry->target) >= 60;
	return S_ISREG(entry->mode) ? tally_file(tally, entry, err) : 0;
}

uint64_t fill_tally_bytes(const struct fill_tally *tally)
{
	return (tally->blocks + fill_folder_blocks(tally->names, tally->folders)) * EXT4_BLOCK_SIZE;
}

/* What mke2fs gives the journal of a filesystem of that size, at most. */
static uint64_t journal_size(uint64_t size)
{
	static const struct {
		uint64_t below, journal;
	} steps[] = {
		{8 * MIB, 0},
		{128 * MIB, 4 * MIB},
		{GIB, 16 * MIB},
		{2 * GIB, 32 * MIB},
		{16 * GIB, 64 * MIB},
		{32 * GIB, 128 * MIB},
		{64 * GIB, 256 * MIB},
		{128 * GIB, 512 * MIB},
	};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (size < steps[i].below)
			return steps[i].journal;
	}
	return GIB;
}

/* Bytes of data for each inode that mke2fs makes by itself (Debian's mke2fs.conf). */
static uint64_t inode_ratio(uint64_t size)
{
	return size < 512 * MIB ? 4096 : 16384;
}

/* Superblocks, descriptors with room to grow, bitmaps, tables, the journal, lost+found. */
static uint64_t overhead(uint64_t size, uint64_t files)
{
	uint64_t groups = size / ((uint64_t)GROUP_BLOCKS * EXT4_BLOCK_SIZE) + 1;
	uint64_t inodes = fill_inodes(size, files) + groups * 16;
	uint64_t descriptors = groups / 64 + 1;
	uint64_t reserved = MIN(groups * 1024 / 64 + 1, UINT64_C(1024));
	/* Copies are in groups 0, 1 and the powers of 3, 5 and 7. */
	uint64_t copies = 2;

	for (unsigned base = 3; base <= 7; base += 2) {
		for (uint64_t group = base; group < groups; group *= base)
			copies++;
	}
	copies = MIN(copies, groups);
	return journal_size(size) + inodes * EXT4_INODE_SIZE +
	       EXT4_BLOCK_SIZE * (copies * (1 + descriptors + reserved) + 3 * groups + 16);
}

uint64_t fill_inodes(uint64_t size, uint64_t files)
{
	/* Some are to be left for what comes later. */
	return MAX(size / inode_ratio(size), files + files / 10 + 16);
}

uint64_t fill_size(uint64_t content, uint64_t files)
{
	uint64_t size = LEAST, before = 0;

	/* A larger one has more of its own: grows until it does no more. */
	while (size > before) {
		uint64_t need = content + overhead(size, files);

		before = size;
		size = MAX(size, (need + need / 10 + MIB - 1) / MIB * MIB);
	}
	return size;
}

int fill_measure(struct fill_source *source, uint64_t most, struct fill_need *ret_need,
	struct caisson_error *err)
{
	struct fill_tally tally = {.files = 12, .folders = 2};
	struct fill_entry entry;
	int r = 0;

	source->most = most > 0 ? 4 * most + 64 * MIB : 0;
	while ((r = source->ops->next(source, &entry, err)) > 0) {
		r = fill_tally_add(&tally, &entry, err);
		if (r < 0)
			return caisson_wrap(err, "%s", entry.path);
		if (most > 0 && fill_tally_bytes(&tally) > most)
			return caisson_refuse(err, EFBIG, "what is in %s needs more than %llu MiB",
				source->what, (unsigned long long)(most / MIB));
	}
	if (r == 0)
		r = fill_source_rewind(source, err);
	if (r < 0)
		return r;
	*ret_need = (struct fill_need){.files = tally.files, .content = fill_tally_bytes(&tally)};
	ret_need->size = fill_size(ret_need->content, ret_need->files);
	ret_need->inodes = fill_inodes(ret_need->size, ret_need->files);
	return 0;
}
