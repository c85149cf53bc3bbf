/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "guest/guest.h"
#include "wire/frame.h"

static int connect_vsock(unsigned int port, struct caisson_error *err)
{
	struct sockaddr_vm address = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
	_cleanup_close_ int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return caisson_fail(err, errno, "open a vsock");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return caisson_fail(err, errno, "connect to the host's vsock port %u", port);
	return take_fd(&fd);
}

int guest_channel_open(int uevents, const char *name, unsigned int port, struct caisson_error *err)
{
	if (port != 0)
		return connect_vsock(port, err);
	return guest_wait_port(uevents, name, err);
}

void guest_send(struct guest *guest, uint8_t type, const void *payload, size_t size)
{
	(void)frame_put(&guest->out, type, payload, size);
}

int guest_flush(struct guest *guest)
{
	while (guest->out.size > 0) {
		struct pollfd polled = {.fd = guest->channel, .events = POLLOUT};
		ssize_t n = write(guest->channel, guest->out.data, guest->out.size);

		if (n > 0)
			strbuf_consume(&guest->out, (size_t)n);
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		/* A port without a host would say EAGAIN for ever. */
		else if (poll(&polled, 1, -1) > 0 && polled.revents & (POLLHUP | POLLERR))
			return -EPIPE;
	}
	return 0;
}
