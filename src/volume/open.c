/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A volume opened on this host, and closed: through the kernel where that can be had, else by a
   process that serves it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attach/control.h"
#include "attach/file_mount.h"
#include "attach/loop.h"
#include "attach/start.h"
#include "base/io.h"
#include "base/path.h"
#include "base/process.h"
#include "volume/access.h"
#include "volume/kernel.h"
#include "volume/opened.h"

#define CLOSE_SECONDS 120 /* for what is written at the end */
#define FILE_SECONDS  5

/* Who keeps others out while no command of ours runs. For people: without it, they are kept out all
   the same. */
static void name_holder(const struct volume_layout *layout, const char *text)
{
	_cleanup_close_ int lock = -1;

	if (volumes_lock(layout, &lock, NULL) == 0)
		(void)volume_write_holder(layout, text, NULL);
}

static int open_by_kernel(struct volume_access *access,
	const struct caisson_volume_open_options *options, struct caisson_error *err)
{
	unsigned int flags =
		(options->read_only ? LUKS_READ_ONLY : 0) | (options->discard ? LUKS_DISCARD : 0);
	char holder[128];
	int r = kernel_possible(err);

	if (r == 0)
		r = kernel_open(access, flags, err);
	if (r < 0)
		return r;
	snprintf(holder, sizeof(holder), "this host (/dev/mapper/caisson-%s)", access->name);
	name_holder(&access->layout, holder);
	return 0;
}

/* Mounts on a loop device whose file nobody serves any more. */
static int sweep_loop(const struct volume_layout *layout, struct caisson_error *err)
{
	_cleanup_mount_points_ struct mount_points points = MOUNT_POINTS_NONE;
	_cleanup_free_ char *file =
		format_string("%s/%s/%s", layout->open, ATTACH_FILE_FOLDER, ATTACH_FILE_NAME);
	_cleanup_free_ char *loop = NULL;
	int r = file != NULL ? mounts_of_file(file, &points, err)
			     : caisson_fail(err, ENOMEM, "clean up");

	if (r == 0)
		r = kernel_loop_of_path(file, &loop, err);
	if (r == 0 && loop != NULL)
		r = mounts_of_device(loop, &points, err);
	for (size_t i = points.count; r == 0 && i-- > 0;)
		r = mount_point_unmount(&points.items[i], true, err);
	if (r == 0 && loop != NULL)
		(void)loop_detach(loop, NULL);
	return r;
}

/* What a server left that was killed. */
int opened_sweep_locked(const struct volume_layout *layout, struct caisson_error *err)
{
	int r;

	if (access(layout->open, F_OK) < 0)
		return 0;
	r = sweep_loop(layout, err);
	if (r == 0)
		r = attach_sweep(layout->open, true, err);
	if (r == 0 && rmdir(layout->open) < 0 && errno != ENOENT)
		r = caisson_fail(err, errno, "remove %s", layout->open);
	return r;
}

struct attach_options opened_server(
	const struct volume_access *access, const char *folder, bool read_only)
{
	return (struct attach_options){
		.container = access->container,
		.volume_key = &access->luks.volume_key,
		.cipher = access->luks.facts.cipher,
		.sector_size = access->luks.facts.sector_size,
		.data_offset = access->luks.facts.data_offset,
		.size = volume_payload_size(access, access->blocks->size),
		.name = access->name,
		.folder = folder,
		.read_only = read_only,
		.file = true,
	};
}

static int open_by_server(struct volume_access *access,
	const struct caisson_volume_open_options *options, struct caisson_error *err)
{
	struct attach_options attach =
		opened_server(access, access->layout.open, options->read_only);
	struct attach_started started;
	char holder[128];
	int r;

	if (access->cipher == NULL)
		return caisson_refuse(err, ENOTSUP,
			"only the kernel can decrypt the volume %s (%s%s)", access->name,
			access->luks.facts.cipher,
			access->luks.integrity ? ", with integrity tags" : "");
	attach.discard = options->discard;
	/* What a killed server left; the container is ours. */
	r = opened_sweep_locked(&access->layout, err);
	if (r == 0)
		r = make_directories(access->layout.open, 0700, err);
	if (r == 0)
		r = attach_start(&attach, &started, err);
	if (r < 0) {
		(void)rmdir(access->layout.open);
		return r;
	}
	snprintf(holder, sizeof(holder), "this host (process %d serves it)", (int)started.pid);
	name_holder(&access->layout, holder);
	return 0;
}

static int open_either(struct volume_access *access,
	const struct caisson_volume_open_options *options, char *why, size_t size,
	struct caisson_error *err)
{
	struct caisson_error failure = {0};
	int r;

	why[0] = '\0';
	if (options->way == CAISSON_VOLUME_USERSPACE)
		return open_by_server(access, options, err);
	r = open_by_kernel(access, options, &failure);
	if (r == 0)
		return 0;
	/* Only by the kernel, or nothing to fall back with: the lock went with a failed mapping. */
	if (options->way == CAISSON_VOLUME_KERNEL || access->cipher == NULL ||
		access->container < 0) {
		if (err != NULL)
			*err = failure;
		return r;
	}
	snprintf(why, size, "%s", failure.message);
	return open_by_server(access, options, err);
}

/* It is open in the way that is wanted, or else that is refused. */
static int check_open(const char *name, const struct caisson_volume_open_options *options,
	struct caisson_volume_opened *opened, struct caisson_error *err)
{
	if ((options->way != CAISSON_VOLUME_ANY && options->way != opened->way) ||
		options->read_only != opened->read_only) {
		caisson_refuse(err, EBUSY, "the volume %s is open %s%s already", name,
			opened->way == CAISSON_VOLUME_KERNEL ? "through dm-crypt" : "in user space",
			opened->read_only ? ", for reading alone," : "");
		return caisson_hint(err, "close it first: caisson volume close %s", name);
	}
	opened->was_open = true;
	return 0;
}

/* Somebody has it: perhaps we ourselves, in the way that is wanted. */
static int find_open(const struct state *state, const char *name,
	const struct caisson_volume_open_options *options, const struct caisson_error *busy,
	struct caisson_volume_opened *ret_opened, struct caisson_error *err)
{
	_cleanup_volume_layout_ struct volume_layout layout = VOLUME_LAYOUT_NONE;
	int r = volume_layout(state, name, &layout, err);

	if (r == 0)
		r = opened_look(&layout, name, ret_opened, err);
	if (r == 1)
		return check_open(name, options, ret_opened, err);
	if (r < 0)
		return r;
	if (err != NULL)
		*err = *busy;
	return -EBUSY;
}

/* A container that somebody made shorter: what is missing would be read as errors, later. */
static int check_whole(struct volume_access *access,
	const struct caisson_volume_open_options *options, struct caisson_error *err)
{
	_cleanup_blocks_ struct blocks *payload = NULL;
	struct volume_usage usage = {.size = 0};

	if (access->cipher == NULL || options->read_only ||
		volume_access_payload(access, access->blocks, &payload, NULL) < 0 ||
		volume_usage_of(payload, &usage, NULL) < 0 || usage.size <= payload->size)
		return 0;
	caisson_refuse(err, EUCLEAN,
		"the volume %s was cut short: its filesystem has %llu bytes, its container room for "
		"%llu",
		access->name, (unsigned long long)usage.size, (unsigned long long)payload->size);
	return caisson_hint(err, "to save what is there: --read-only");
}

int opened_open(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key, const struct caisson_volume_open_options *options,
	struct caisson_volume_opened *ret_opened, struct caisson_error *err)
{
	_cleanup_volume_access_ struct volume_access access = VOLUME_ACCESS_NONE;
	struct caisson_error failure = {0};
	char why[256] = "";
	int r = volume_access_lock(
		state, keys, name, "open", options->read_only, &access, &failure);

	if (r == -EBUSY)
		return find_open(state, name, options, &failure, ret_opened, err);
	if (r < 0) {
		if (err != NULL)
			*err = failure;
		return r;
	}
	r = volume_access_unlock(&access, key->key, &key->limits, err);
	if (r == 0)
		r = check_whole(&access, options, err);
	if (r == 0)
		r = open_either(&access, options, why, sizeof(why), err);
	if (r == 0)
		r = opened_look(&access.layout, name, ret_opened, err);
	if (r == 0)
		return caisson_refuse(err, EIO, "the volume %s was closed at once", name);
	if (r < 0)
		return r;
	snprintf(ret_opened->why, sizeof(ret_opened->why), "%s", why);
	return 0;
}

int volume_open(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key, const struct caisson_volume_open_options *options,
	struct caisson_volume_opened *ret_opened, struct caisson_error *err)
{
	_cleanup_volume_layout_ struct volume_layout layout = VOLUME_LAYOUT_NONE;
	_cleanup_close_ int lock = -1;
	int r = volume_layout_locked(state, name, &layout, &lock, err);

	return r < 0 ? r : opened_open(state, keys, name, key, options, ret_opened, err);
}

static int refuse_mounted(
	const struct caisson_volume_opened *opened, const char *name, struct caisson_error *err)
{
	caisson_refuse(err, EBUSY, "the volume %s is mounted on %s", name, opened->mount_point);
	return caisson_hint(err, "unmount it: caisson volume unmount %s", name);
}

/* A loop device lets its file go a moment after it was unmounted. */
static void wait_for_file(const struct volume_layout *layout)
{
	uint64_t until = now_usec() + FILE_SECONDS * UINT64_C(1000000);
	const struct timespec pause = {.tv_nsec = 10000000};
	struct attach_status status;

	while (now_usec() < until && attach_status(layout->open, &status, NULL) == 0 &&
		status.files > 0)
		(void)nanosleep(&pause, NULL);
}

/* The server cannot unmount its file; whoever still reads it is who keeps this from closing. */
static int unmount_file(const struct volume_layout *layout, bool later, struct caisson_error *err)
{
	_cleanup_free_ char *folder = path_join(layout->open, ATTACH_FILE_FOLDER);
	struct attach_status status;

	if (folder == NULL)
		return caisson_fail(err, ENOMEM, "close a volume");
	if (!later) {
		wait_for_file(layout);
		/* Before its file goes: what cannot be closed shall stay as it is. */
		if (attach_status(layout->open, &status, NULL) == 0 && status.connections > 0)
			return caisson_refuse(err, EBUSY, "the volume has %u NBD client%s",
				status.connections, status.connections == 1 ? "" : "s");
	}
	return attach_file_unmount(folder, later, err);
}

int opened_close(const struct volume_layout *layout, const char *name,
	const struct caisson_volume_opened *opened, bool later, struct caisson_error *err)
{
	char loop[256];
	int r;

	if (opened->way == CAISSON_VOLUME_KERNEL)
		return kernel_close(layout, name, later, err);
	opened_loop(opened, loop, sizeof(loop));
	if (loop[0] != '\0')
		(void)loop_detach(loop, NULL);
	r = unmount_file(layout, later, err);
	if (r < 0)
		return r;
	r = attach_control(
		layout->open, later ? "close later" : "close", CLOSE_SECONDS, NULL, NULL, err);
	if (r == -ENOENT || r == -ECONNREFUSED)
		r = 0;
	if (r < 0)
		return r;
	r = attach_sweep(layout->open, later, err);
	if (r == 0 && rmdir(layout->open) < 0 && errno != ENOENT)
		r = caisson_fail(err, errno, "remove %s", layout->open);
	return r;
}

int opened_abort(const struct volume_layout *layout, const char *name,
	const struct caisson_volume_opened *opened, struct caisson_error *err)
{
	int r;

	if (opened->way == CAISSON_VOLUME_KERNEL)
		return kernel_close(layout, name, true, err);
	r = attach_control(layout->open, "close force", CLOSE_SECONDS, NULL, NULL, err);
	if (r == -ENOENT || r == -ECONNREFUSED)
		r = 0;
	return r < 0 ? r : attach_sweep(layout->open, true, err);
}

int opened_sweep(const struct volume_layout *layout, const char *name, struct caisson_error *err)
{
	_cleanup_close_ int container = -1;
	struct caisson_error failure = {0};
	int r;

	if (access(layout->open, F_OK) < 0)
		return 0;
	r = volume_lock_container(layout, name, O_RDONLY, &container, &failure);
	/* Whoever has it, what is in the folder is theirs. */
	if (r == -EBUSY) {
		if (err != NULL)
			*err = failure;
		return r;
	}
	return opened_sweep_locked(layout, err);
}

int volume_close(const struct state *state, const char *name, struct caisson_error *err)
{
	_cleanup_volume_layout_ struct volume_layout layout = VOLUME_LAYOUT_NONE;
	struct caisson_volume_opened opened;
	_cleanup_close_ int lock = -1;
	int r = volume_layout_locked(state, name, &layout, &lock, err);

	if (r == 0)
		r = opened_look(&layout, name, &opened, err);
	if (r < 0)
		return r;
	if (r == 0)
		return opened_sweep(&layout, name, err);
	if (opened.mount_point[0] != '\0')
		return refuse_mounted(&opened, name, err);
	return opened_close(&layout, name, &opened, false, err);
}
