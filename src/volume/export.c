/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a volume holds, as an image file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/extent.h"
#include "base/io.h"
#include "base/path.h"
#include "base/staging.h"
#include "filesystem/extents.h"
#include "filesystem/qcow2.h"
#include "luks/transfer.h"
#include "volume/access.h"

#define HEADER_ROOM (3u << 20) /* of a container of ours: what is not empty before its payload */

struct export
{
	struct volume_access access;
	const struct volume_export_options *options;
	struct extents extents; /* of the payload */
	uint64_t size;          /* of the payload */
	int to;
	/* Of an encrypted one: */
	struct luks_facts facts;
	struct luks_cipher *cipher;
};

static void export_done(struct export *export)
{
	luks_cipher_free(export->cipher);
	extents_done(&export->extents);
	volume_access_done(&export->access);
}

static int find_extents(struct export *export, struct caisson_error *err)
{
	struct volume_access *access = &export->access;
	_cleanup_blocks_ struct blocks *payload = NULL;
	char kind[FILESYSTEM_KIND_SIZE];
	struct filesystem_image image = {
		.fd = access->container, .base = access->luks.facts.data_offset, .encrypted = true};
	int r = volume_access_payload(access, access->blocks, &payload, err);

	if (r < 0)
		return r;
	image.blocks = payload;
	export->size = payload->size;
	r = filesystem_extents(&image, kind, &export->extents, err);
	if (r == 0)
		extents_round(&export->extents, 4096, export->size);
	return r;
}

static int new_transfer(const struct export *export, uint64_t base, struct transfer **ret_transfer,
	struct caisson_error *err)
{
	const struct transfer_options options = {
		.decrypt = export->access.cipher,
		.encrypt = export->cipher,
		.to = export->to,
		.to_base = base,
		.total = extents_total(&export->extents),
		.progress = export->options->progress,
	};

	return transfer_new(&options, ret_transfer, err);
}

static int write_payload(const struct export *export, uint64_t base, struct caisson_error *err)
{
	_cleanup_(transfer_freep) struct transfer *transfer = NULL;
	int r = new_transfer(export, base, &transfer, err);

	if (r == 0)
		r = transfer_extents(transfer, export->access.container,
			export->access.luks.facts.data_offset, &export->extents, err);
	return r < 0 ? r : transfer_drain(transfer, err);
}

static int set_size(const struct export *export, uint64_t size, struct caisson_error *err)
{
	if (ftruncate(export->to, (off_t)size) < 0)
		return caisson_fail(
			err, errno, "make an image of %llu bytes", (unsigned long long)size);
	return 0;
}

/* A container of its own, whose header is at the front of @fd. */
static int make_header(struct export *export, int fd, struct caisson_error *err)
{
	_cleanup_secret_ struct secret volume_key = SECRET_NONE;
	struct luks_format_options options = LUKS_FORMAT_DEFAULT;
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	options.key = export->options->new_key;
	r = luks_format(path, &options, &export->facts, &volume_key, err);
	return r < 0 ? r
		     : luks_cipher_new(export->facts.cipher, export->facts.sector_size, &volume_key,
			       &export->cipher, err);
}

static int write_raw(struct export *export, struct caisson_error *err)
{
	uint64_t base = export->options->encrypted ? LUKS_DATA_OFFSET : 0;
	int r = set_size(export, base + export->size, err);

	if (r == 0 && export->options->encrypted)
		r = make_header(export, export->to, err);
	return r < 0 ? r : write_payload(export, base, err);
}

/* What the disk in a qcow2 holds: the payload, or a header and the payload behind it. */
static int disk_extents(const struct export *export, uint64_t base, struct extents *extents,
	struct caisson_error *err)
{
	int r = base > 0 ? extents_add(extents, 0, HEADER_ROOM, err) : 0;

	for (size_t i = 0; r == 0 && i < export->extents.count; i++)
		r = extents_add(extents, base + export->extents.items[i].offset,
			export->extents.items[i].length, err);
	return r;
}

static int write_clusters(const struct export *export, const struct qcow2 *qcow2, uint64_t base,
	struct caisson_error *err)
{
	_cleanup_(transfer_freep) struct transfer *transfer = NULL;
	const struct volume_access *access = &export->access;
	int r = new_transfer(export, 0, &transfer, err);

	for (size_t i = 0; r == 0 && i < export->extents.count; i++) {
		const struct extent *extent = &export->extents.items[i];

		r = transfer_copy_at(transfer, access->container, access->luks.facts.data_offset,
			extent->offset, extent->offset, qcow2_place(qcow2, base + extent->offset),
			extent->length, err);
	}
	return r < 0 ? r : transfer_drain(transfer, err);
}

/* Made beside, in memory, and then put where the disk's first bytes stand. */
static int write_header_clusters(
	struct export *export, const struct qcow2 *qcow2, struct caisson_error *err)
{
	_cleanup_close_ int fd = memfd_create("luks-header", MFD_CLOEXEC);
	_cleanup_free_ uint8_t *bytes = malloc(HEADER_ROOM);
	int r;

	if (fd < 0 || bytes == NULL || ftruncate(fd, (off_t)(LUKS_DATA_OFFSET + export->size)) < 0)
		return caisson_fail(err, bytes == NULL ? ENOMEM : errno, "make a LUKS2 header");
	r = make_header(export, fd, err);
	if (r == 0)
		r = pread_all(fd, bytes, HEADER_ROOM, 0, "the new header", err);
	return r < 0 ? r
		     : pwrite_all(export->to, bytes, HEADER_ROOM, qcow2_place(qcow2, 0),
			       "the image", err);
}

static int write_qcow2(struct export *export, struct caisson_error *err)
{
	uint64_t base = export->options->encrypted ? LUKS_DATA_OFFSET : 0;
	_cleanup_extents_ struct extents extents = EXTENTS_NONE;
	_cleanup_qcow2_ struct qcow2 qcow2 = QCOW2_NONE;
	int r = disk_extents(export, base, &extents, err);

	if (r == 0)
		r = qcow2_plan(base + export->size, &extents, &qcow2, err);
	if (r == 0)
		r = qcow2_begin(&qcow2, export->to, err);
	if (r == 0 && base > 0)
		r = write_header_clusters(export, &qcow2, err);
	if (r == 0)
		r = write_clusters(export, &qcow2, base, err);
	return r < 0 ? r : qcow2_finish(&qcow2, export->to, err);
}

/* Before the work: what would be refused. A device's name must not become a file's. */
static int check_target(
	const char *path, const struct volume_export_options *options, struct caisson_error *err)
{
	struct stat st;

	if (options->encrypted && options->new_key == NULL)
		return caisson_refuse(err, EINVAL,
			"the key service keeps keys of volumes, and not of files: name a passphrase "
			"or a key");
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : caisson_fail(err, errno, "look at %s", path);
	if (!options->overwrite) {
		caisson_refuse(err, EEXIST, "%s is there already", path);
		return S_ISREG(st.st_mode) ? caisson_hint(err, "replace it with --force") : -EEXIST;
	}
	if (!S_ISREG(st.st_mode))
		return caisson_refuse(err, EEXIST, "%s is there already, and is no file", path);
	return 0;
}

static int publish(
	struct staging *staging, const char *path, bool overwrite, struct caisson_error *err)
{
	int r = overwrite ? staging_replace(staging, path_base(path), err)
			  : staging_publish(staging, path_base(path), err);

	return r == -EEXIST ? caisson_hint(err, "replace it with --force") : r;
}

int volume_export(const struct state *state, struct key_service *keys, const char *name,
	const char *path, const struct volume_export_options *options, struct caisson_error *err)
{
	_cleanup_(export_done) struct export export = {
		.access = VOLUME_ACCESS_NONE, .options = options};
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	_cleanup_free_ char *folder = path_parent(path);
	int r = folder != NULL ? 0 : caisson_fail(err, ENOMEM, "export a volume");

	if (r == 0)
		r = check_target(path, options, err);
	if (r == 0)
		r = volume_access_lock_read(state, keys, name, "export", &export.access, err);
	if (r == 0)
		r = volume_access_unlock(
			&export.access, options->key.key, &options->key.limits, err);
	if (r == 0)
		r = find_extents(&export, err);
	if (r == 0)
		r = staging_unnamed(&staging, folder, err);
	if (r < 0)
		return r;
	export.to = staging.fd;
	r = options->qcow2 ? write_qcow2(&export, err) : write_raw(&export, err);
	return r < 0 ? caisson_wrap(err, "export the volume %s", name)
		     : publish(&staging, path, options->overwrite, err);
}
