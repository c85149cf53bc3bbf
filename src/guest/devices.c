/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting for devices: look in sysfs, and look again whenever the kernel says that something came.
 * The socket is opened before the first module is loaded, so that nothing can come unseen.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "guest/guest.h"

#define WAIT_USEC (20 * 1000000ull)

int guest_open_uevents(struct caisson_error *err)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
	_cleanup_close_ int fd = socket(
		AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

	if (fd < 0)
		return caisson_fail(err, errno, "open a socket for the kernel's device events");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return caisson_fail(err, errno, "listen to the kernel's device events");
	return take_fd(&fd);
}

/* -ETIMEDOUT when nothing happens until @deadline. An overrun of the socket (ENOBUFS) is an event
   too: whoever waits looks at sysfs, not at the messages. */
static int wait_uevent(int uevents, uint64_t deadline)
{
	struct pollfd polled = {.fd = uevents, .events = POLLIN};
	uint64_t now = now_usec();
	char event[4096];

	if (now >= deadline)
		return -ETIMEDOUT;
	if (poll(&polled, 1, (int)((deadline - now) / 1000) + 1) < 0 && errno != EINTR)
		return -errno;
	while (recv(uevents, event, sizeof(event), MSG_DONTWAIT) > 0)
		;
	return 0;
}

/* Looks through the folders of @class for one whose attribute file holds @wanted; its name or NULL.
 */
static char *find_by_attribute(const char *class, const char *attribute, const char *wanted)
{
	_cleanup_closedir_ DIR *folder = opendir(class);
	struct dirent *entry;

	if (folder == NULL)
		return NULL;
	while ((entry = readdir(folder)) != NULL) {
		_cleanup_strbuf_ struct strbuf value = STRBUF_INIT;
		_cleanup_free_ char *path = NULL;

		if (entry->d_name[0] == '.')
			continue;
		path = format_string("%s/%s/%s", class, entry->d_name, attribute);
		if (path == NULL || read_file(path, 256, &value, NULL) < 0)
			continue;
		if (value.size > 0 && value.data[value.size - 1] == '\n')
			value.data[--value.size] = '\0';
		if (strcmp(value.data, wanted) == 0)
			return strdup(entry->d_name);
	}
	return NULL;
}

static int wait_by_attribute(int uevents, const char *class, const char *attribute,
	const char *wanted, const char *what, char **ret_path, struct caisson_error *err)
{
	uint64_t deadline = now_usec() + WAIT_USEC;

	for (;;) {
		_cleanup_free_ char *name = find_by_attribute(class, attribute, wanted);
		_cleanup_free_ char *path = NULL;
		int r;

		if (name != NULL) {
			path = path_join("/dev", name);
			if (path == NULL)
				return caisson_fail(err, ENOMEM, "wait for a device");
			if (access(path, F_OK) == 0) {
				*ret_path = take_ptr(path);
				return 0;
			}
		}
		r = wait_uevent(uevents, deadline);
		if (r == -ETIMEDOUT)
			return caisson_refuse(err, ETIMEDOUT,
				"the %s '%s' did not appear within %d s", what, wanted,
				(int)(WAIT_USEC / 1000000));
		if (r < 0)
			return caisson_fail(err, r, "wait for the %s '%s'", what, wanted);
	}
}

int guest_wait_disk(int uevents, const char *serial, char **ret_path, struct caisson_error *err)
{
	return wait_by_attribute(
		uevents, "/sys/block", "serial", serial, "virtio disk", ret_path, err);
}

int guest_wait_port(int uevents, const char *name, struct caisson_error *err)
{
	_cleanup_free_ char *path = NULL;
	int r = wait_by_attribute(
		uevents, "/sys/class/virtio-ports", "name", name, "virtio-serial port", &path, err);

	if (r < 0)
		return r;
	return open_file(path, O_RDWR, 0, err);
}
