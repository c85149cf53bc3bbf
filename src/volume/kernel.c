/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "attach/loop.h"
#include "base/io.h"
#include "base/path.h"
#include "base/process.h"
#include "base/strbuf.h"
#include "luks/mapping.h"

#define CLOSE_WAIT_S     10
#define MODPROBE_SECONDS 30
#define TRY_NSEC         10000000

void kernel_mapping_name(const char *volume, char ret_name[static KERNEL_NAME_SIZE])
{
	snprintf(ret_name, KERNEL_NAME_SIZE, "caisson-%s", volume);
}

static bool has_line(const char *path, const char *wanted)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	if (read_file(path, 4096, &text, NULL) < 0 || text.data == NULL)
		return false;
	text.data[strcspn(text.data, "\n")] = '\0';
	return strcmp(text.data, wanted) == 0;
}

/* The folder in /sys/block of the mapping that is called @name; NULL when there is none. sysfs
   tells everybody, where device-mapper itself answers root alone. */
static char *find_mapping(const char *name)
{
	_cleanup_closedir_ DIR *blocks = opendir("/sys/block");
	struct dirent *entry;

	while (blocks != NULL && (entry = readdir(blocks)) != NULL) {
		_cleanup_free_ char *folder = path_join("/sys/block", entry->d_name);
		_cleanup_free_ char *file = format_string("%s/dm/name", folder);

		if (strncmp(entry->d_name, "dm-", 3) == 0 && file != NULL && has_line(file, name))
			return take_ptr(folder);
	}
	return NULL;
}

/* The first of what the block device in @folder stands on ("loop0", "dm-0", "vdb1"). */
static bool first_slave(const char *folder, char *ret_name, size_t size)
{
	_cleanup_free_ char *slaves = path_join(folder, "slaves");
	_cleanup_closedir_ DIR *directory = slaves != NULL ? opendir(slaves) : NULL;
	struct dirent *entry;

	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(ret_name, size, "%s", entry->d_name);
		return true;
	}
	return false;
}

/* Calls @is for what the mapping stands on, and what that stands on if it is a mapping, too: there
   may be dm-integrity in between, and a container may be on another's mapping (LVM). */
static bool stands_on_any(const char *mapping, bool (*is)(const char *name, const void *userdata),
	const void *userdata)
{
	_cleanup_free_ char *folder = strdup(mapping);
	char name[64];

	for (int depth = 0; folder != NULL && depth < 4 && first_slave(folder, name, sizeof(name));
		depth++) {
		if (is(name, userdata))
			return true;
		if (strncmp(name, "dm-", 3) != 0)
			return false;
		free(folder);
		folder = path_join("/sys/block", name);
	}
	return false;
}

static bool is_number(const char *name, const void *userdata)
{
	_cleanup_free_ char *dev = format_string("/sys/class/block/%s/dev", name);

	return dev != NULL && has_line(dev, userdata);
}

static bool is_loop(const char *name, const void *userdata)
{
	return strcmp(name, userdata) == 0;
}

/* Whether what the mapping stands on is the container: the device itself, or a loop device of it.
 */
static bool stands_on(const char *mapping, const struct volume_layout *layout)
{
	_cleanup_close_ int fd = open(layout->container, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ char *loop = NULL;
	char number[32];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	snprintf(number, sizeof(number), "%u:%u", major(st.st_rdev), minor(st.st_rdev));
	if (layout->on_device)
		return stands_on_any(mapping, is_number, number);
	/* By what the kernel has open, and not by a name that it had. */
	return loop_find(fd, &loop, NULL) == 1 && stands_on_any(mapping, is_loop, path_base(loop));
}

int kernel_loop_of_path(const char *file, char **ret_loop, struct caisson_error *err)
{
	_cleanup_closedir_ DIR *blocks = opendir("/sys/block");
	struct dirent *entry;

	*ret_loop = NULL;
	while (blocks != NULL && (entry = readdir(blocks)) != NULL) {
		_cleanup_free_ char *path =
			format_string("/sys/block/%s/loop/backing_file", entry->d_name);

		if (strncmp(entry->d_name, "loop", 4) != 0 || path == NULL || !has_line(path, file))
			continue;
		*ret_loop = path_join("/dev", entry->d_name);
		return *ret_loop != NULL ? 0 : caisson_fail(err, ENOMEM, "find a loop device");
	}
	return 0;
}

int kernel_is_open(const struct volume_layout *layout, const char *volume, bool *ret_open,
	struct caisson_error *err)
{
	_cleanup_free_ char *mapping = NULL;
	char name[KERNEL_NAME_SIZE];

	kernel_mapping_name(volume, name);
	mapping = find_mapping(name);
	*ret_open = mapping != NULL && stands_on(mapping, layout);
	if (mapping != NULL && !*ret_open)
		return caisson_refuse(err, EEXIST,
			"there is a /dev/mapper/%s already, and it is not of this volume", name);
	return 0;
}

/* What was being made. */
struct making {
	const char *prefix; /* of files in the folder of volumes */
	const char *device; /* NULL: none */
};

static bool is_being_made(const char *name, const void *userdata)
{
	_cleanup_free_ char *path = format_string("/sys/block/%s/loop/backing_file", name);
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	const struct making *making = userdata;

	if (path == NULL || read_file(path, 8192, &text, NULL) < 0 || text.data == NULL)
		return false;
	text.data[strcspn(text.data, "\n")] = '\0';
	return strncmp(text.data, making->prefix, strlen(making->prefix)) == 0 ||
	       (making->device != NULL && strcmp(text.data, making->device) == 0);
}

/* Whether the mapping stands on a loop device of a file that was being made in the folder of
   volumes, or of @device. */
static bool stands_on_new(
	const char *mapping, const struct volume_layout *layout, const char *device)
{
	_cleanup_free_ char *prefix = path_join(layout->volumes, ".new-");
	_cleanup_free_ char *real = device != NULL ? realpath(device, NULL) : NULL;
	const struct making making = {.prefix = prefix, .device = real};

	return prefix != NULL && stands_on_any(mapping, is_being_made, &making);
}

int kernel_sweep(const struct volume_layout *layout, const char *volume, const char *device,
	struct caisson_error *err)
{
	char names[2][KERNEL_NAME_SIZE];
	int r = 0;

	kernel_mapping_name(volume, names[0]);
	snprintf(names[1], sizeof(names[1]), "%.64s" LUKS_WIPE_SUFFIX, names[0]);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *mapping = find_mapping(names[i]);

		if (mapping != NULL && stands_on_new(mapping, layout, device))
			r = luks_unmap(names[i], LUKS_UNMAP_LATER, err);
	}
	return r;
}

static bool have_device_mapper(void)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	return read_file("/proc/misc", 65536, &text, NULL) == 0 && text.data != NULL &&
	       strstr(text.data, " device-mapper\n") != NULL;
}

int kernel_sweep_open(const char *volume, struct caisson_error *err)
{
	char name[KERNEL_NAME_SIZE];

	/* Only root can have made one. sysfs does not show a mapping before it has a table. */
	if (geteuid() != 0 || !have_device_mapper() ||
		access("/dev/mapper/control", R_OK | W_OK) < 0)
		return 0;
	kernel_mapping_name(volume, name);
	return luks_map_sweep(name, err);
}

int kernel_possible(struct caisson_error *err)
{
	static const char *const argv[] = {"modprobe", "-q", "dm-crypt", NULL};

	if (geteuid() != 0)
		return caisson_refuse(err, EPERM, "that takes root");
	if (have_device_mapper())
		return 0;
	(void)process_run_for(argv, MODPROBE_SECONDS, NULL);
	return have_device_mapper()
		       ? 0
		       : caisson_refuse(err, EOPNOTSUPP, "the kernel has no device-mapper here");
}

/* The lock moves to the loop device, with the open file description. */
static int open_on_loop(struct volume_access *access, const char *name, unsigned int flags,
	struct caisson_error *err)
{
	const struct loop_options options = {
		.read_only = (flags & LUKS_READ_ONLY) != 0, .name = access->name};
	_cleanup_free_ char *loop = NULL;
	_cleanup_close_ int fd = loop_attach(access->container, &options, &loop, err);

	return fd < 0 ? fd : luks_map(loop, name, &access->luks, flags, err);
}

/* The kernel's claim on the device takes our lock's place: both at once it refuses. */
static int open_on_device(struct volume_access *access, const char *name, unsigned int flags,
	struct caisson_error *err)
{
	closep(&access->container);
	access->container = -1;
	return luks_map(access->layout.container, name, &access->luks, flags, err);
}

int kernel_open(struct volume_access *access, unsigned int flags, struct caisson_error *err)
{
	char name[KERNEL_NAME_SIZE];
	bool open = false;
	int r = kernel_is_open(&access->layout, access->name, &open, err);

	kernel_mapping_name(access->name, name);
	if (r < 0)
		return r;
	return access->layout.on_device ? open_on_device(access, name, flags, err)
					: open_on_loop(access, name, flags, err);
}

/* An autoclear loop device may outlive the mapping by a moment. */
static int wait_free(const struct volume_layout *layout, struct caisson_error *err)
{
	uint64_t until = now_usec() + CLOSE_WAIT_S * UINT64_C(1000000);
	const struct timespec pause = {.tv_nsec = TRY_NSEC};
	_cleanup_close_ int fd = open(layout->container, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || layout->on_device)
		return 0;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (now_usec() > until)
			return caisson_refuse(err, EBUSY,
				"the kernel still has %s %d seconds after it was closed",
				layout->container, CLOSE_WAIT_S);
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}

int kernel_close(const struct volume_layout *layout, const char *volume, bool later,
	struct caisson_error *err)
{
	char name[KERNEL_NAME_SIZE];
	int r;

	kernel_mapping_name(volume, name);
	r = luks_unmap(name, later ? LUKS_UNMAP_LATER : LUKS_UNMAP, err);
	return r < 0 || later ? r : wait_free(layout, err);
}

static int resize_loop(const struct volume_access *access, struct caisson_error *err)
{
	_cleanup_free_ char *loop = NULL;
	_cleanup_close_ int fd = open_file(access->layout.container, O_RDONLY, 0, err);
	int r = fd < 0 ? fd : loop_find(fd, &loop, err);

	if (r < 0)
		return r;
	return r == 1 ? loop_update_size(loop, err)
		      : caisson_refuse(
				err, ENODEV, "no loop device has %s", access->layout.container);
}

int kernel_resize(struct volume_access *access, struct caisson_error *err)
{
	char name[KERNEL_NAME_SIZE];
	int r = access->layout.on_device ? 0 : resize_loop(access, err);

	kernel_mapping_name(access->name, name);
	return r < 0 ? r : luks_map_resize(name, &access->luks, err);
}
