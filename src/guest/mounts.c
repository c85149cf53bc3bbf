/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The workload's root: the image read-only below, a writable layer above (on a volume if asked,
 * else in memory), the kernel's filesystems in it. Nothing is required of the image, and nothing is
 * written to it: a mount point that it lacks is made in the layer above.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "guest/guest.h"

static int mount_at(const char *source, const char *target, const char *type, unsigned long flags,
	const char *options, struct caisson_error *err)
{
	if (mount(source, target, type, flags, options) < 0)
		return caisson_fail(err, errno, "mount %s (%s) on %s", source, type, target);
	return 0;
}

static int make_and_mount(const char *source, const char *target, const char *type,
	unsigned long flags, const char *options, struct caisson_error *err)
{
	int r = make_directories(target, 0755, err);

	return r < 0 ? r : mount_at(source, target, type, flags, options, err);
}

int guest_mount_early(struct caisson_error *err)
{
	const unsigned long strict = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	int r;

	r = make_and_mount("proc", "/proc", "proc", strict, NULL, err);
	if (r == 0)
		r = make_and_mount("sysfs", "/sys", "sysfs", strict, NULL, err);
	if (r == 0)
		r = make_and_mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755", err);
	if (r == 0)
		r = make_and_mount("tmpfs", "/run", "tmpfs", strict, "mode=0755", err);
	return r;
}

static int open_in_root(int root, const char *path, int flags, mode_t mode)
{
	struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

int guest_root_open(const char *path, int flags, mode_t mode, struct caisson_error *err)
{
	_cleanup_close_ int root = open_file(GUEST_ROOT, O_PATH | O_DIRECTORY, 0, err);
	int fd;

	if (root < 0)
		return root;
	fd = open_in_root(root, path, flags, mode);
	if (fd < 0)
		return caisson_fail(err, errno, "open %s in the image", path);
	return fd;
}

/* Each part is opened, or made in the folder before it, so that a link in the image cannot lead
 * out. */
int guest_root_directory(const char *path, mode_t mode, struct caisson_error *err)
{
	_cleanup_close_ int root = open_file(GUEST_ROOT, O_PATH | O_DIRECTORY, 0, err);
	_cleanup_close_ int parent = -1;
	_cleanup_free_ char *copy = strdup(path);
	char *part, *rest;

	if (root < 0)
		return root;
	if (copy == NULL)
		return caisson_fail(err, ENOMEM, "open %s", path);
	parent = open_in_root(root, "/", O_PATH | O_DIRECTORY, 0);
	for (part = strtok_r(copy, "/", &rest); part != NULL && parent >= 0;
		part = strtok_r(NULL, "/", &rest)) {
		_cleanup_free_ char *so_far = strndup(path, (size_t)(part - copy) + strlen(part));
		int next;

		if (so_far == NULL)
			return caisson_fail(err, ENOMEM, "open %s", path);
		next = open_in_root(root, so_far, O_PATH | O_DIRECTORY, 0);
		if (next < 0 && errno == ENOENT && mkdirat(parent, part, mode) == 0)
			next = open_in_root(root, so_far, O_PATH | O_DIRECTORY, 0);
		if (next < 0)
			return caisson_fail(
				err, errno, "make the folder %s in the machine", so_far);
		closep(&parent);
		parent = next;
	}
	if (parent < 0)
		return caisson_fail(err, errno, "open %s", path);
	return take_fd(&parent);
}

static int mount_in_root(const char *source, const char *target, const char *type,
	unsigned long flags, const char *options, struct caisson_error *err)
{
	_cleanup_close_ int fd = guest_root_directory(target, 0755, err);
	char path[32];

	if (fd < 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (mount(source, path, type, flags, options) < 0)
		return caisson_fail(err, errno, "mount %s (%s) on %s", source, type, target);
	return 0;
}

int guest_mount_root(struct guest *guest, const char *layer, struct caisson_error *err)
{
	_cleanup_free_ char *disk = NULL, *upper = NULL, *work = NULL, *options = NULL;
	int r;

	r = guest_wait_disk(guest->uevents, guest->config.image_serial, &disk, err);
	if (r == 0)
		r = make_and_mount(disk, GUEST_IMAGE, "squashfs", MS_RDONLY | MS_NODEV, NULL, err);
	if (r < 0)
		return r;
	if (layer == NULL) {
		layer = "/run/layer";
		r = make_and_mount("tmpfs", layer, "tmpfs", 0, "mode=0755,size=50%", err);
		if (r < 0)
			return r;
	}
	upper = path_join(layer, "upper");
	work = path_join(layer, "work");
	options = format_string("lowerdir=%s,upperdir=%s,workdir=%s", GUEST_IMAGE, upper, work);
	if (upper == NULL || work == NULL || options == NULL)
		return caisson_fail(err, ENOMEM, "mount the root");
	r = make_directories(upper, 0755, err);
	if (r == 0)
		r = make_directories(work, 0755, err);
	if (r == 0)
		r = make_and_mount("overlay", GUEST_ROOT, "overlay", 0, options, err);
	return r;
}

/* What programs expect of /dev beside the kernel's own nodes. */
static int link_device_names(struct caisson_error *err)
{
	static const struct {
		const char *target, *name;
	} links[] = {
		{"/proc/self/fd", "/dev/fd"},
		{"/proc/self/fd/0", "/dev/stdin"},
		{"/proc/self/fd/1", "/dev/stdout"},
		{"/proc/self/fd/2", "/dev/stderr"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		if (symlink(links[i].target, links[i].name) < 0 && errno != EEXIST)
			return caisson_fail(err, errno, "make the link %s", links[i].name);
	}
	return 0;
}

int guest_mount_system(struct guest *guest _unused_, struct caisson_error *err)
{
	static const struct {
		const char *source, *target, *type;
		unsigned long flags;
		const char *options;
		bool optional; /* a kernel without it still runs most workloads */
	} mounts[] = {
		{"proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, false},
		{"sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, false},
		{"devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755", false},
		{"devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
			"newinstance,ptmxmode=0666,mode=0620,gid=5", false},
		{"shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777", false},
		{"mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, true},
		{"tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755", false},
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL,
			true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		int r = mount_in_root(mounts[i].source, mounts[i].target, mounts[i].type,
			mounts[i].flags, mounts[i].options, err);

		if (r < 0 && !mounts[i].optional)
			return r;
	}
	return link_device_names(err);
}
