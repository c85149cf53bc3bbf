/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "base/macros.h"

#define VHOST_DEVICE "/dev/vhost-vsock"

int vsock_open_device(struct caisson_error *err)
{
	int fd = open_file(VHOST_DEVICE, O_RDWR, 0, err);

	if (fd == -ENOENT)
		return caisson_hint(err, "load the kernel module vhost_vsock on this host");
	return fd;
}

bool vsock_usable(void)
{
	_cleanup_close_ int device = open(VHOST_DEVICE, O_RDWR | O_CLOEXEC);
	_cleanup_close_ int fd = -1;

	if (device < 0)
		return false;
	fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd >= 0;
}

int vsock_listen(unsigned int *ret_port, struct caisson_error *err)
{
	struct sockaddr_vm address = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = VMADDR_PORT_ANY};
	socklen_t size = sizeof(address);
	_cleanup_close_ int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return caisson_fail(err, errno, "open a vsock");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 4) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return caisson_fail(err, errno, "listen on a vsock");
	*ret_port = address.svm_port;
	return take_fd(&fd);
}

int vsock_accept(int listener, uint32_t cid, struct caisson_error *err)
{
	struct sockaddr_vm peer;
	socklen_t size = sizeof(peer);
	_cleanup_close_ int fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC);

	if (fd < 0)
		return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED
			       ? -EAGAIN
			       : caisson_fail(err, errno, "accept a vsock connection");
	/* Any guest of this host can connect: only ours is heard. */
	if (peer.svm_cid != cid)
		return -EAGAIN;
	return take_fd(&fd);
}

uint32_t vsock_random_cid(void)
{
	uint32_t cid = 0;

	(void)!getrandom(&cid, sizeof(cid), 0);
	return 3 + cid % 0x7ffffff0u;
}
