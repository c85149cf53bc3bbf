/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/file_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/macros.h"
#include "base/process.h"
#include "base/strbuf.h"

#define FUSE_DEVICE    "/dev/fuse"
#define HELPER         "fusermount3"
#define HELPER_MSEC    10000
#define HELPER_SECONDS 60

static int mount_by_ourselves(const char *path, bool read_only, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(FUSE_DEVICE, O_RDWR, 0, err);
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | (read_only ? MS_RDONLY : 0);
	char data[160];

	if (fd < 0)
		return fd;
	snprintf(data, sizeof(data),
		"fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions", fd, geteuid(),
		getegid());
	if (mount("caisson", path, "fuse.caisson", flags, data) < 0)
		return caisson_fail(err, errno, "mount a FUSE file system on %s", path);
	return take_fd(&fd);
}

/* What fusermount3 sends is one byte with a descriptor. */
static int receive_descriptor(int socket, struct caisson_error *err)
{
	union {
		struct cmsghdr align;
		char data[CMSG_SPACE(sizeof(int))];
	} control = {.data = {0}};
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.data,
		.msg_controllen = sizeof(control.data)};
	struct pollfd polled = {.fd = socket, .events = POLLIN};
	struct cmsghdr *header;
	int fd;

	if (poll(&polled, 1, HELPER_MSEC) <= 0 || recvmsg(socket, &message, MSG_CMSG_CLOEXEC) <= 0)
		return caisson_refuse(err, EPERM, HELPER " handed over no descriptor");
	header = CMSG_FIRSTHDR(&message);
	if (header == NULL || header->cmsg_type != SCM_RIGHTS ||
		header->cmsg_len < CMSG_LEN(sizeof(fd)))
		return caisson_refuse(err, EPERM, HELPER " handed over no descriptor");
	memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

static int mount_by_helper(const char *path, bool read_only, struct caisson_error *err)
{
	const char *argv[] = {HELPER, "-o",
		read_only ? "ro,noexec,fsname=caisson,subtype=caisson,default_permissions"
			  : "rw,noexec,fsname=caisson,subtype=caisson,default_permissions",
		"--", path, NULL};
	struct process_options options = PROCESS_OPTIONS_INIT;
	_cleanup_close_ int ours = -1, theirs = -1, fd = -1;
	char variable[32];
	const char *environment[] = {variable, NULL};
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return caisson_fail(err, errno, "make a pair of sockets");
	ours = pair[0];
	theirs = pair[1];
	snprintf(variable, sizeof(variable), "_FUSE_COMMFD=%d", theirs);
	options.seconds = HELPER_SECONDS;
	options.keep_fds = &theirs;
	options.keep_count = 1;
	options.environment = environment;
	r = process_run(argv, &options, NULL, err);
	if (r < 0)
		return r;
	fd = receive_descriptor(ours, err);
	return take_fd(&fd);
}

int attach_file_mount(const char *path, bool read_only, struct caisson_error *err)
{
	if (access(FUSE_DEVICE, R_OK | W_OK) < 0)
		return caisson_refuse(err, EOPNOTSUPP,
			"there is no FUSE here (" FUSE_DEVICE ": %s)", strerror(errno));
	return geteuid() == 0 ? mount_by_ourselves(path, read_only, err)
			      : mount_by_helper(path, read_only, err);
}

bool attach_is_mount_point(const char *path)
{
	struct statx attributes;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, 0,
		    &attributes) < 0)
		return errno == ENOTCONN; /* its server is gone */
	return (attributes.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

static int unmount_by_helper(const char *path, bool lazy, struct caisson_error *err)
{
	const char *argv[] = {
		HELPER, "-u", lazy ? "-z" : "--", lazy ? "--" : path, lazy ? path : NULL, NULL};
	struct process_options options = PROCESS_OPTIONS_INIT;
	struct caisson_error failure = {0};
	int r;

	options.seconds = HELPER_SECONDS;
	r = process_run(argv, &options, NULL, &failure);
	if (r == 0)
		return 0;
	if (r != -ETIMEDOUT && r != -ENOENT && !attach_is_mount_point(path))
		return 0;
	if (strstr(failure.message, strerror(EBUSY)) != NULL)
		return caisson_refuse(err, EBUSY, "%s cannot be unmounted: it is in use", path);
	if (err == NULL)
		return r;
	*err = failure;
	return caisson_wrap(err, "unmount %s", path);
}

int attach_file_unmount(const char *path, bool lazy, struct caisson_error *err)
{
	/* They may be stacked, after a kill in between. */
	for (int i = 0; i < 16 && attach_is_mount_point(path); i++) {
		int r = 0;

		if (geteuid() != 0)
			r = unmount_by_helper(path, lazy, err);
		else if (umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) < 0 &&
			 errno != EINVAL && errno != ENOENT)
			r = caisson_fail(err, errno, "unmount %s", path);
		if (r < 0)
			return r;
	}
	return 0;
}
