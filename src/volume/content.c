/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/content.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/extent.h"
#include "base/io.h"
#include "filesystem/extents.h"
#include "filesystem/probe.h"
#include "luks/payload.h"

#define SECTOR_MOST 4096u

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

static void take_image(struct content *content, const struct stat *st)
{
	content->kind = CONTENT_IMAGE;
	content->least = ((uint64_t)st->st_size + SECTOR_MOST - 1) / SECTOR_MOST * SECTOR_MOST;
}

/* The image of a filesystem is taken as it is. */
static int open_image(struct content *content, struct caisson_error *err)
{
	_cleanup_blocks_ struct blocks *blocks = NULL;
	struct stat st;
	int r;

	if (fstat(content->image, &st) < 0)
		return caisson_fail(err, errno, "stat %s", content->from);
	r = blocks_of_file(content->image, (uint64_t)st.st_size, true, content->from, &blocks, err);
	if (r == 0)
		r = filesystem_kind(blocks, content->filesystem, err);
	if (r < 0 || content->filesystem[0] == '\0')
		return r;
	if (strncmp(content->filesystem, "crypto_", 7) == 0)
		return caisson_refuse(err, EINVAL,
			"%s is encrypted itself: its content is wanted, not what hides it",
			content->from);
	take_image(content, &st);
	return 0;
}

/* Bytes of which nothing is known, and nothing is asked. */
static int open_raw(struct content *content, struct caisson_error *err)
{
	struct stat st;

	content->image = open_file(content->from, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
	if (content->image < 0)
		return content->image;
	if (fstat(content->image, &st) < 0)
		return caisson_fail(err, errno, "stat %s", content->from);
	if (!S_ISREG(st.st_mode))
		return caisson_refuse(err, EINVAL,
			"%s is not a regular file, whose bytes could be taken as they are",
			content->from);
	take_image(content, &st);
	return 0;
}

/* What can be read twice is measured first. What comes out of a pipe must be said how large. */
static int open_tree(struct content *content, bool twice, uint64_t size, struct caisson_error *err)
{
	struct fill_need need;
	int r;

	closep(&content->image);
	content->image = -1;
	r = fill_source_open(content->from, NULL, &content->tree, err);
	if (r < 0)
		return r;
	if (size > 0)
		content->tree->most = size;
	if (!twice && size == 0) {
		caisson_refuse(err, EINVAL, "%s can be read only once: how large shall it be?",
			content->from);
		return caisson_hint(err, "say it with --size: --size 1G");
	}
	if (!twice)
		return 0;
	/* What is measured has a tenth of room, which need not be. */
	r = fill_measure(content->tree, size + size / 8, &need, err);
	if (r == -EFBIG && size > 0)
		return caisson_refuse(err, ENOSPC,
			"what is in %s does not fit a volume of %llu bytes", content->from,
			(unsigned long long)size);
	if (r < 0)
		return r;
	content->files = need.files;
	content->total = need.content;
	content->least = size > 0 ? 0 : need.size;
	return 0;
}

static int open_from(struct content *content, bool chosen, uint64_t size, struct caisson_error *err)
{
	struct stat st;
	int r = 0;

	content->image = open_file(content->from, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
	if (content->image < 0)
		return content->image;
	if (fstat(content->image, &st) < 0)
		return caisson_fail(err, errno, "stat %s", content->from);
	content->kind = CONTENT_TREE;
	if (S_ISREG(st.st_mode))
		r = open_image(content, err);
	if (r < 0)
		return r;
	if (content->kind == CONTENT_IMAGE && chosen)
		return caisson_refuse(err, EINVAL,
			"%s is the image of a filesystem (%s) already: --filesystem makes no sense",
			content->from, content->filesystem);
	if (content->kind == CONTENT_IMAGE)
		return 0;
	snprintf(content->filesystem, sizeof(content->filesystem), "ext4");
	return open_tree(content, S_ISREG(st.st_mode) || S_ISDIR(st.st_mode), size, err);
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
	if (options->from == NULL)
		return 0;
	content->from = options->from;
	if (content->kind == CONTENT_NONE)
		return open_raw(content, err);
	if (strcmp(type, "ext4") != 0)
		return caisson_refuse(err, ENOTSUP,
			"a volume is filled as ext4, and not as %s: make it empty, mount it, and "
			"copy what shall be in it",
			type);
	return open_from(content, options->filesystem != NULL, options->size, err);
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
	return mkfs_start(&content->mkfs, content->filesystem, size,
		content->files > 0 ? fill_inodes(size, content->files) : 0, content->label, err);
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

/* To the same places of the payload. */
static int write_extents(const struct target *target, const struct luks_cipher *decrypt, int from,
	uint64_t base, struct extents *extents, uint64_t end, struct caisson_error *err)
{
	_cleanup_(transfer_freep) struct transfer *transfer = NULL;
	int r;

	extents_round(extents, SECTOR_MOST, end);
	r = open_transfer(target, decrypt, extents_total(extents), &transfer, err);
	if (r == 0)
		r = transfer_extents(transfer, from, base, extents, err);
	return r < 0 ? r : transfer_drain(transfer, err);
}

static int write_empty(
	struct content *content, const struct target *target, struct caisson_error *err)
{
	_cleanup_extents_ struct extents extents = EXTENTS_NONE;
	int r = mkfs_wait(&content->mkfs, err);

	if (r == 0)
		r = mkfs_extents(&content->mkfs, &extents, err);
	return r < 0 ? r
		     : write_extents(target, NULL, content->mkfs.image, 0, &extents,
			       content->mkfs.size, err);
}

/* The new filesystem's own blocks are there already: it is filled where it is. */
static int write_tree(struct content *content, const struct target *target, uint64_t size,
	struct caisson_error *err)
{
	uint64_t base = target->facts->data_offset;
	_cleanup_blocks_ struct blocks *container = NULL, *payload = NULL;
	_cleanup_(transfer_freep) struct transfer *transfer = NULL;
	int r = write_empty(content, target, err);

	if (r == 0)
		r = blocks_of_file(
			target->container, base + size, false, "the container", &container, err);
	if (r == 0)
		r = luks_payload_new(container, base, size, target->cipher, &payload, err);
	if (r == 0)
		r = open_transfer(target, NULL, content->total, &transfer, err);
	return r < 0 ? r : fill_ext4(payload, transfer, content->tree, NULL, err);
}

static int write_image(
	struct content *content, const struct target *target, struct caisson_error *err)
{
	_cleanup_extents_ struct extents extents = EXTENTS_NONE;
	_cleanup_blocks_ struct blocks *blocks = NULL;
	struct filesystem_image image = {.fd = content->image};
	char kind[FILESYSTEM_KIND_SIZE];
	struct stat st;
	int r;

	if (fstat(content->image, &st) < 0)
		return caisson_fail(err, errno, "stat %s", content->from);
	r = blocks_of_file(content->image, (uint64_t)st.st_size, true, content->from, &blocks, err);
	image.blocks = blocks;
	if (r == 0)
		r = filesystem_extents(&image, kind, &extents, err);
	return r < 0 ? r
		     : write_extents(
			       target, NULL, content->image, 0, &extents, content->least, err);
}

static int write_volume(
	struct content *content, const struct target *target, struct caisson_error *err)
{
	struct volume_access *source = content->source;
	_cleanup_extents_ struct extents extents = EXTENTS_NONE;
	_cleanup_blocks_ struct blocks *payload = NULL;
	struct filesystem_image image = {
		.fd = source->container, .base = source->luks.facts.data_offset, .encrypted = true};
	char kind[FILESYSTEM_KIND_SIZE];
	int r = volume_access_payload(source, source->blocks, &payload, err);

	image.blocks = payload;
	if (r == 0)
		r = filesystem_extents(&image, kind, &extents, err);
	if (r == 0 && content->filesystem[0] == '\0')
		snprintf(content->filesystem, sizeof(content->filesystem), "%s",
			kind[0] != '\0' ? kind : "none");
	return r < 0 ? r
		     : write_extents(target, source->cipher, source->container, image.base,
			       &extents, content->least, err);
}

int content_write(struct content *content, int container, const struct luks_facts *facts,
	uint64_t size, const struct secret *volume_key, struct caisson_error *err)
{
	_cleanup_(luks_cipher_freep) struct luks_cipher *cipher = NULL;
	struct target target = {.content = content, .container = container, .facts = facts};
	int r;

	if (content->kind == CONTENT_NONE)
		return 0;
	r = luks_cipher_new(facts->cipher, facts->sector_size, volume_key, &cipher, err);
	if (r < 0)
		return r;
	target.cipher = cipher;
	switch (content->kind) {
	case CONTENT_IMAGE:
		return write_image(content, &target, err);
	case CONTENT_VOLUME:
		return write_volume(content, &target, err);
	case CONTENT_TREE:
		return write_tree(content, &target, size, err);
	case CONTENT_NONE:
	case CONTENT_EMPTY:
		break;
	}
	return write_empty(content, &target, err);
}

void content_done(struct content *content)
{
	mkfs_done(&content->mkfs);
	fill_source_free(content->tree);
	closep(&content->image);
	*content = CONTENT_INIT;
}
