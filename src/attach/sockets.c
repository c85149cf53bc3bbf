/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "base/io.h"
#include "base/macros.h"

/* An address has 108 bytes, a path may have more: it goes by the folder's descriptor. */
static int name_address(const char *folder, const char *name, struct sockaddr_un *ret_address,
	int *ret_folder, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(folder, O_PATH | O_DIRECTORY, 0, err);
	int length;

	if (fd < 0)
		return fd;
	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	length = snprintf(ret_address->sun_path, sizeof(ret_address->sun_path),
		"/proc/self/fd/%d/%s", fd, name);
	if (length < 0 || (size_t)length >= sizeof(ret_address->sun_path))
		return caisson_fail(err, ENAMETOOLONG, "make a socket called %s", name);
	*ret_folder = take_fd(&fd);
	return 0;
}

int unix_bind(const char *folder, const char *name, struct caisson_error *err)
{
	_cleanup_close_ int folder_fd = -1, fd = -1;
	struct sockaddr_un address;
	int r = name_address(folder, name, &address, &folder_fd, err);

	if (r < 0)
		return r;
	if (unlinkat(folder_fd, name, 0) < 0 && errno != ENOENT)
		return caisson_fail(err, errno, "remove %s/%s", folder, name);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* The name gets the mode of the socket, not of the umask alone. */
	if (fd < 0 || fchmod(fd, 0600) < 0 ||
		bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return caisson_fail(err, errno, "make the socket %s/%s", folder, name);
	return take_fd(&fd);
}

int unix_connect(const char *folder, const char *name, uint64_t deadline, struct caisson_error *err)
{
	_cleanup_close_ int folder_fd = -1, fd = -1;
	struct sockaddr_un address;
	int r = name_address(folder, name, &address, &folder_fd, err);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return caisson_fail(err, errno, "make a socket");
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		/* EAGAIN: more wait to be let in than there is room for. */
		if (errno != EINTR && errno != EAGAIN)
			return caisson_fail(err, errno, "connect to %s/%s", folder, name);
		if (now_usec() >= deadline)
			return caisson_fail(err, ETIMEDOUT, "connect to %s/%s", folder, name);
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	return take_fd(&fd);
}
