/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Another size for a volume: its container, and the filesystem in it.
 *
 * Free: ext4's own resize2fs works on the blocks as a journal will make them (volume/redo.h), so
 * that what it does is all there or not at all. Open: the container grows, then what stands on it,
 * then the filesystem, which its kernel grows under its own journal; cut off in between, the
 * filesystem is smaller than it could be, and the next resize goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach/control.h"
#include "attach/e2fs.h"
#include "attach/loop.h"
#include "base/io.h"
#include "base/path.h"
#include "filesystem/probe.h"
#include "volume/access.h"
#include "volume/kernel.h"
#include "volume/opened.h"
#include "volume/redo.h"
#include "volume/tools.h"

#define CONTROL_SECONDS 30

/* e2fsck(8): below it, nothing is left that is wrong. */
#define FSCK_UNCORRECTED 4

struct resize {
	struct volume_access access;
	uint64_t old_size, new_size; /* of the container, bytes */
	char kind[FILESYSTEM_KIND_SIZE];
};

static void resize_done(struct resize *resize)
{
	volume_access_done(&resize->access);
}

/* What the program says in its own name, or else at the end. */
static const char *complaint(const char *program, struct strbuf *output)
{
	char *save = NULL, *last = NULL;

	if (output->data == NULL)
		return "it said nothing";
	for (char *line = strtok_r(output->data, "\n", &save); line != NULL;
		line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, program, strlen(program)) == 0 && line[strlen(program)] == ':')
			return line + strlen(program) + 1;
		last = line;
	}
	return last != NULL ? last : "it said nothing";
}

static int run_ext(
	const char *const argv[], struct blocks *payload, int least_bad, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	int status = 0, r = attach_e2fs(argv, payload, NULL, &output, &status, err);

	if (r < 0 || status < least_bad)
		return r;
	return caisson_refuse(err, EIO, "%s ended with status %d: %s", argv[0], status,
		complaint(argv[0], &output));
}

/* resize2fs wants a filesystem that was just checked. */
static int resize_ext(struct blocks *payload, uint64_t size, struct caisson_error *err)
{
	static const char *const check[] = {"e2fsck", "-f", "-p", "@", NULL};
	char sectors[32];
	const char *const argv[] = {"resize2fs", "@", sectors, NULL};
	int r = run_ext(check, payload, FSCK_UNCORRECTED, err);

	if (r < 0)
		return r;
	snprintf(sectors, sizeof(sectors), "%llus", (unsigned long long)size / 512);
	return run_ext(argv, payload, 1, err);
}

static int check_target(const struct resize *resize, struct caisson_error *err)
{
	const struct volume_access *access = &resize->access;

	if (access->layout.on_device && resize->new_size > resize->old_size)
		return caisson_refuse(err, ENOSPC, "%s has only %llu bytes",
			access->layout.container, (unsigned long long)resize->old_size);
	if (access->luks.payload_size != 0)
		return caisson_refuse(err, ENOTSUP,
			"the header of the volume %s says how large it is: it was not made here",
			access->name);
	if (access->luks.integrity)
		return caisson_refuse(err, ENOTSUP,
			"the volume %s has integrity tags for each of its blocks: it keeps its "
			"size",
			access->name);
	if (resize->new_size <
		access->luks.facts.data_offset + access->luks.facts.sector_size * 8ull)
		return caisson_refuse(err, EINVAL, "less than the header leaves no payload");
	return 0;
}

/* All of it, or nothing. */
static int resize_free_ext(struct resize *resize, struct caisson_error *err)
{
	struct volume_access *access = &resize->access;
	_cleanup_(redo_freep) struct redo *redo = NULL;
	_cleanup_blocks_ struct blocks *payload = NULL;
	uint64_t room = MAX(resize->old_size, resize->new_size);
	int r = redo_new(access->blocks, access->layout.folder, room, false, &redo, err);

	if (r == 0)
		r = volume_access_payload(access, redo_blocks(redo), &payload, err);
	if (r == 0)
		r = resize_ext(payload, volume_payload_size(access, resize->new_size), err);
	if (r < 0)
		return r;
	redo_set_size(redo, access->layout.on_device ? resize->old_size : resize->new_size);
	return redo_commit(redo, access->container, err);
}

/* Never shorter: what is cut off here is gone. */
static int grow_container(struct resize *resize, struct caisson_error *err)
{
	const struct volume_access *access = &resize->access;
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (access->layout.on_device)
		return 0;
	fd = open_file(access->layout.container, O_RDWR | O_NOFOLLOW, 0, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", access->layout.container);
	if ((uint64_t)st.st_size >= resize->new_size)
		return 0;
	if (ftruncate(fd, (off_t)resize->new_size) < 0 || fsync(fd) < 0)
		return caisson_fail(err, errno, "resize %s", access->layout.container);
	return 0;
}

static int find_kind(struct resize *resize, struct caisson_error *err)
{
	_cleanup_blocks_ struct blocks *payload = NULL;
	int r;

	if (resize->access.cipher == NULL && resize->access.has_record) {
		snprintf(
			resize->kind, sizeof(resize->kind), "%s", resize->access.record.filesystem);
		return 0;
	}
	r = volume_access_payload(&resize->access, resize->access.blocks, &payload, err);
	return r < 0 ? r : filesystem_kind(payload, resize->kind, err);
}

/* Mounted for a moment where nobody else sees it, when it is not mounted already. */
static int grow_filesystem(const struct resize *resize, const struct caisson_volume_opened *opened,
	const char *device, struct caisson_error *err)
{
	int r = opened->mount_point[0] != '\0'
			? tools_grow(resize->kind, device, opened->mount_point, err)
			: tools_grow_privately(
				  resize->kind, device, resize->access.layout.mounts, err);

	if (r < 0)
		return caisson_wrap(err,
			"the container has grown, and its filesystem has not (the same command "
			"tries it again)");
	return 0;
}

/* Before anything is changed: whether all of it can be. */
static int check_served(const struct resize *resize, const struct caisson_volume_opened *opened,
	char *loop, size_t size, struct caisson_error *err)
{
	struct attach_status status;
	int r = attach_status(resize->access.layout.open, &status, err);

	if (r < 0)
		return r;
	if (status.connections > 0)
		return caisson_refuse(err, EBUSY,
			"the volume %s has %u NBD clients, who know its old size",
			resize->access.name, status.connections);
	opened_loop(opened, loop, size);
	if (loop[0] != '\0')
		return 0;
	caisson_refuse(err, EBUSY, "the volume %s is open, and not mounted by the kernel",
		resize->access.name);
	return caisson_hint(err, "close it first: caisson volume unmount %s", resize->access.name);
}

static int grow_served(struct resize *resize, const struct caisson_volume_opened *opened,
	struct caisson_error *err)
{
	const struct volume_access *access = &resize->access;
	char request[64], loop[256];
	struct stat st;
	int r = check_served(resize, opened, loop, sizeof(loop), err);

	if (r == 0)
		r = grow_container(resize, err);
	if (r < 0)
		return r;
	snprintf(request, sizeof(request), "resize %llu",
		(unsigned long long)volume_payload_size(access, resize->new_size));
	r = attach_control(access->layout.open, request, CONTROL_SECONDS, NULL, NULL, err);
	if (r < 0)
		return r;
	/* The kernel asks how large the file is when somebody looks. */
	if (stat(opened->file, &st) < 0)
		return caisson_fail(err, errno, "stat %s", opened->file);
	r = loop_update_size(loop, err);
	return r < 0 ? r : grow_filesystem(resize, opened, loop, err);
}

static int grow_mapped(struct resize *resize, const struct caisson_volume_opened *opened,
	struct caisson_error *err)
{
	int r = grow_container(resize, err);

	if (r == 0)
		r = kernel_resize(&resize->access, err);
	if (r < 0 || resize->kind[0] == '\0' || strcmp(resize->kind, "none") == 0)
		return r;
	return grow_filesystem(resize, opened, opened->device, err);
}

static int grow_open(struct resize *resize, const struct caisson_volume_opened *opened,
	struct caisson_error *err)
{
	if (resize->new_size < resize->old_size) {
		caisson_refuse(err, EBUSY, "the volume %s is open, and can only grow",
			resize->access.name);
		return caisson_hint(
			err, "close it first: caisson volume unmount %s", resize->access.name);
	}
	if (resize->kind[0] != '\0' && strcmp(resize->kind, "none") != 0 &&
		!tools_can_grow(resize->kind))
		return caisson_refuse(
			err, ENOTSUP, "'%s' is no filesystem that can grow here", resize->kind);
	return opened->way == CAISSON_VOLUME_KERNEL ? grow_mapped(resize, opened, err)
						    : grow_served(resize, opened, err);
}

static int resize_open(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key, uint64_t size, const struct caisson_error *why,
	struct caisson_error *err)
{
	_cleanup_(resize_done) struct resize resize = {
		.access = VOLUME_ACCESS_NONE, .new_size = size};
	struct caisson_volume_opened opened;
	int r = volume_access_peek(state, keys, name, &resize.access, err);

	if (r == 0)
		r = opened_look(&resize.access.layout, name, &opened, err);
	if (r == 0) {
		/* A machine has it, or another command. */
		if (err != NULL)
			*err = *why;
		return -why->code;
	}
	if (r > 0)
		r = volume_access_unlock(&resize.access, key->key, &key->limits, err);
	resize.old_size = resize.access.blocks != NULL ? resize.access.blocks->size : 0;
	if (r == 0)
		r = find_kind(&resize, err);
	if (r == 0)
		r = check_target(&resize, err);
	return r < 0 ? r : grow_open(&resize, &opened, err);
}

/* What is cut off of anything else would be gone. */
static int refuse_shrink(const struct resize *resize, struct caisson_error *err)
{
	if (resize->kind[0] == '\0' || strcmp(resize->kind, "none") == 0)
		return caisson_refuse(err, ENOTSUP,
			"what is in the volume %s is not known: it can only grow",
			resize->access.name);
	return caisson_refuse(err, ENOTSUP, "a volume with %s can only grow", resize->kind);
}

/* xfs and btrfs grow mounted alone. */
static int resize_free_other(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key, struct resize *resize, struct caisson_error *err)
{
	const struct caisson_volume_open_options options = {.way = CAISSON_VOLUME_ANY};
	_cleanup_volume_layout_ struct volume_layout layout = VOLUME_LAYOUT_NONE;
	struct caisson_error none = {.code = EBUSY};
	struct caisson_volume_opened opened;
	uint64_t size = resize->new_size;
	_cleanup_close_ int loop = -1;
	int r, closed;

	if (geteuid() != 0)
		return caisson_refuse(err, EPERM,
			"%s grows while it is mounted, and mounting it takes root", resize->kind);
	volume_access_done(&resize->access);
	r = volume_layout(state, name, &layout, err);
	if (r == 0)
		r = opened_open(state, keys, name, key, &options, &opened, err);
	if (r < 0)
		return r;
	if (opened.way == CAISSON_VOLUME_USERSPACE)
		loop = tools_open_loop(opened.file, err);
	r = opened.way == CAISSON_VOLUME_USERSPACE && loop < 0
		    ? loop
		    : resize_open(state, keys, name, key, size, &none, err);
	closep(&loop);
	loop = -1;
	closed = opened_close(&layout, name, &opened, false, r < 0 ? NULL : err);
	return r < 0 ? r : closed;
}

static int resize_free(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key, struct resize *resize, struct caisson_error *err)
{
	int r = volume_access_unlock(&resize->access, key->key, &key->limits, err);

	resize->old_size = resize->access.blocks->size;
	if (r == 0)
		r = find_kind(resize, err);
	if (r == 0)
		r = check_target(resize, err);
	if (r < 0)
		return r;
	if (strncmp(resize->kind, "ext", 3) == 0)
		return resize_free_ext(resize, err);
	if (resize->new_size < resize->old_size)
		return refuse_shrink(resize, err);
	if (resize->kind[0] == '\0' || strcmp(resize->kind, "none") == 0)
		return grow_container(resize, err);
	return resize_free_other(state, keys, name, key, resize, err);
}

int volume_resize(const struct state *state, struct key_service *keys, const char *name,
	uint64_t size, const struct volume_key *key, struct caisson_error *err)
{
	_cleanup_(resize_done) struct resize resize = {.access = VOLUME_ACCESS_NONE};
	_cleanup_volume_layout_ struct volume_layout layout = VOLUME_LAYOUT_NONE;
	struct caisson_error failure = {0};
	_cleanup_close_ int lock = -1;
	int r = volume_round_size(size, &resize.new_size, err);

	if (r < 0)
		return r;
	/* Nobody opens, closes or destroys it meanwhile. */
	r = volume_layout_locked(state, name, &layout, &lock, err);
	if (r < 0)
		return r;
	r = volume_access_lock(state, keys, name, "resize", false, &resize.access, &failure);
	if (r == -EBUSY)
		return resize_open(state, keys, name, key, resize.new_size, &failure, err);
	if (r < 0) {
		if (err != NULL)
			*err = failure;
		return r;
	}
	return resize_free(state, keys, name, key, &resize, err);
}
