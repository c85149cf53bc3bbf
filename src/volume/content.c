/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/content.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

static int check_filesystem(const char *type, struct caisson_error *err)
{
	static const char *const known[] = {"ext4", "xfs", "btrfs", "none"};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(type, known[i]) == 0)
			return 0;
	}
	return caisson_refuse(
		err, EINVAL, "'%.32s' is none of the filesystems ext4, xfs, btrfs, none", type);
}

int content_open(struct content *content, const struct volume_create_options *options,
	const char *label, struct caisson_error *err)
{
	const char *type = options->filesystem != NULL ? options->filesystem : "ext4";
	int r = check_filesystem(type, err);

	if (r < 0)
		return r;
	snprintf(content->filesystem, sizeof(content->filesystem), "%s", type);
	content->label = label;
	content->progress = options->progress;
	content->kind = strcmp(type, "none") == 0 ? CONTENT_NONE : CONTENT_EMPTY;
	return 0;
}

int content_of_volume(struct content *content, struct volume_access *source,
	const struct transfer_progress *progress, struct caisson_error *err)
{
	const struct luks_facts *facts = &source->luks.facts;

	if (source->cipher == NULL)
		return caisson_refuse(err, ENOTSUP,
			"only the kernel can decrypt the volume %s (%s%s): it cannot be copied",
			source->name, facts->cipher,
			source->luks.integrity ? ", with integrity tags" : "");
	content->kind = CONTENT_VOLUME;
	content->source = source;
	content->progress = progress;
	content->least = volume_payload_size(source, source->blocks->size);
	snprintf(content->filesystem, sizeof(content->filesystem), "%s",
		source->has_record ? source->record.filesystem : "");
	return 0;
}

int content_start(struct content *content, uint64_t size, struct caisson_error *err)
{
	if (content->kind != CONTENT_EMPTY && content->kind != CONTENT_TREE)
		return 0;
	return mkfs_start(&content->mkfs, size, content->label, err);
}

/* Where the data goes, and under which cipher. */
struct target {
	const struct content *content;
	int container;
	const struct luks_facts *facts;
	struct luks_cipher *cipher;
};

static int open_transfer(const struct target *target, const struct luks_cipher *decrypt,
	uint64_t total, struct transfer **ret_transfer, struct caisson_error *err)
{
	const struct transfer_options options = {
		.decrypt = decrypt,
		.encrypt = target->cipher,
		.to = target->container,
		.to_base = target->facts->data_offset,
		.total = total,
		.progress = target->content->progress,
	};

	return transfer_new(&options, ret_transfer, err);
}

/* From a plain file to the same places of the payload. */
static int write_extents(const struct target *target, int from, const struct luks_extent *extents,
	size_t count, struct caisson_error *err)
{
	_cleanup_(transfer_freep) struct transfer *transfer = NULL;
	uint64_t total = 0;
	int r;

	for (size_t i = 0; i < count; i++)
		total += extents[i].length;
	r = open_transfer(target, NULL, total, &transfer, err);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = transfer_copy(transfer, from, 0, extents[i].offset, extents[i].offset,
			extents[i].length, err);
	return r < 0 ? r : transfer_drain(transfer, err);
}

static int write_empty(
	struct content *content, const struct target *target, struct caisson_error *err)
{
	_cleanup_free_ struct luks_extent *extents = NULL;
	size_t count = 0;
	int r = mkfs_wait(&content->mkfs, err);

	if (r == 0)
		r = mkfs_extents(&content->mkfs, &extents, &count, err);
	return r < 0 ? r : write_extents(target, content->mkfs.image, extents, count, err);
}

/* What was never written there reads as noise, and may do so here: only what takes up space is
   copied. */
static int write_volume(
	struct content *content, const struct target *target, struct caisson_error *err)
{
	struct volume_access *source = content->source;
	uint64_t base = source->luks.facts.data_offset, size = content->least, at = 0;
	uint32_t sector = source->luks.facts.sector_size;
	_cleanup_(transfer_freep) struct transfer *transfer = NULL;
	int r = open_transfer(target, source->cipher, size, &transfer, err);

	while (r == 0 && at < size) {
		off_t data = lseek(source->container, (off_t)(base + at), SEEK_DATA), hole;
		uint64_t end = size;

		if (data < 0 && errno == ENXIO)
			break;
		if (data >= 0 && (uint64_t)data >= base + size)
			break;
		/* Whole sectors; where the filesystem cannot tell, all of it. */
		if (data >= 0) {
			at = ((uint64_t)data - base) / sector * sector;
			hole = lseek(source->container, data, SEEK_HOLE);
			if (hole > data && (uint64_t)hole < base + size)
				end = ((uint64_t)hole - base + sector - 1) / sector * sector;
		}
		r = transfer_copy(transfer, source->container, base, at, at, end - at, err);
		at = end;
	}
	return r < 0 ? r : transfer_drain(transfer, err);
}

int content_write(struct content *content, int container, const struct luks_facts *facts,
	uint64_t size, const struct secret *volume_key, struct caisson_error *err)
{
	_cleanup_(luks_cipher_freep) struct luks_cipher *cipher = NULL;
	struct target target = {.content = content, .container = container, .facts = facts};
	int r;

	(void)size;
	if (content->kind == CONTENT_NONE)
		return 0;
	r = luks_cipher_new(facts->cipher, facts->sector_size, volume_key, &cipher, err);
	if (r < 0)
		return r;
	target.cipher = cipher;
	return content->kind == CONTENT_VOLUME ? write_volume(content, &target, err)
					       : write_empty(content, &target, err);
}

void content_done(struct content *content)
{
	mkfs_done(&content->mkfs);
	closep(&content->image);
	*content = CONTENT_INIT;
}
