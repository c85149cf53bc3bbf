/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugin/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/path.h"

#define BACKLOG      64
#define INHERITED_FD (STDERR_FILENO + 1)

static int new_socket(struct caisson_error *err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 ? fd : caisson_fail(err, errno, "make a socket");
}

/* What a service left that was killed. */
static int remove_stale(const struct sockaddr_un *address, struct caisson_error *err)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : caisson_fail(err, errno, "stat %s", address->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return caisson_refuse(
			err, EEXIST, "%s is there, and is not a socket", address->sun_path);
	fd = new_socket(err);
	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return caisson_refuse(err, EADDRINUSE, "another service listens at %s already",
			address->sun_path);
	if (errno != ECONNREFUSED)
		return caisson_fail(err, errno, "connect to %s", address->sun_path);
	if (unlink(address->sun_path) < 0 && errno != ENOENT)
		return caisson_fail(err, errno, "remove %s", address->sun_path);
	return 0;
}

static int make_folder(const char *path, struct caisson_error *err)
{
	_cleanup_free_ char *copy = strdup(path);

	if (copy == NULL)
		return caisson_fail(err, ENOMEM, "listen at %s", path);
	/* As Docker makes its own /run/docker. */
	return make_directories(dirname(copy), 0700, err);
}

int socket_listen(const char *path, gid_t group, int *ret_fd, struct caisson_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	mode_t before;
	int r;

	if (strlen(path) >= sizeof(address.sun_path))
		return caisson_refuse(err, ENAMETOOLONG,
			"the path of a socket has at most %zu characters, not %zu: %s",
			sizeof(address.sun_path) - 1, strlen(path), path);
	memcpy(address.sun_path, path, strlen(path));
	r = make_folder(path, err);
	if (r == 0)
		r = remove_stale(&address, err);
	if (r < 0)
		return r;
	fd = new_socket(err);
	if (fd < 0)
		return fd;
	/* From its first moment on for nobody else. */
	before = umask(0117);
	r = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	umask(before);
	if (r < 0)
		return caisson_fail(err, errno, "bind %s", address.sun_path);
	if ((group != (gid_t)-1 && lchown(address.sun_path, (uid_t)-1, group) < 0) ||
		listen(fd, BACKLOG) < 0) {
		r = caisson_fail(err, errno, "listen at %s", address.sun_path);
		(void)unlink(address.sun_path);
		return r;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

int socket_inherit(const char *pid, const char *count, int *ret_fd, struct caisson_error *err)
{
	socklen_t size = sizeof(int);
	int domain = 0, listening = 0;

	/* They may have been meant for the process that started us. */
	if (pid == NULL || count == NULL || strtoul(pid, NULL, 10) != (unsigned long)getpid())
		return 0;
	if (strcmp(count, "1") != 0)
		return caisson_refuse(err, EINVAL,
			"systemd has handed over %s sockets: one is what is wanted", count);
	if (getsockopt(INHERITED_FD, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
		getsockopt(INHERITED_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0)
		return caisson_fail(err, errno, "take systemd's socket over");
	if (domain != AF_UNIX || listening == 0)
		return caisson_refuse(
			err, EINVAL, "what systemd has handed over is no listening UNIX socket");
	if (fcntl(INHERITED_FD, F_SETFD, FD_CLOEXEC) < 0)
		return caisson_fail(err, errno, "take systemd's socket over");
	*ret_fd = INHERITED_FD;
	return 1;
}
