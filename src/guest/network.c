/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QEMU's user networking always has the same addresses (slirp): nothing is asked for, nothing
 * waits. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "guest/guest.h"

#define ETHERNET "eth0"
#define ADDRESS  "10.0.2.15"
#define NETMASK  "255.255.255.0"
#define GATEWAY  "10.0.2.2"
#define RESOLVER "10.0.2.3"

static struct sockaddr address_of(const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr out;

	(void)inet_pton(AF_INET, text, &in.sin_addr);
	memcpy(&out, &in, sizeof(out));
	return out;
}

static int link_up(int fd, const char *name, struct caisson_error *err)
{
	struct ifreq request = {.ifr_flags = IFF_UP | IFF_RUNNING};

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return caisson_fail(err, errno, "set the network interface %s up", name);
	return 0;
}

static int ethernet_up(int fd, struct caisson_error *err)
{
	struct ifreq request = {.ifr_name = ETHERNET};
	struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
	int r;

	request.ifr_addr = address_of(ADDRESS);
	if (ioctl(fd, SIOCSIFADDR, &request) < 0)
		return caisson_fail(err, errno, "give %s its address", ETHERNET);
	request.ifr_netmask = address_of(NETMASK);
	if (ioctl(fd, SIOCSIFNETMASK, &request) < 0)
		return caisson_fail(err, errno, "give %s its netmask", ETHERNET);
	r = link_up(fd, ETHERNET, err);
	if (r < 0)
		return r;
	route.rt_dst = address_of("0.0.0.0");
	route.rt_genmask = address_of("0.0.0.0");
	route.rt_gateway = address_of(GATEWAY);
	if (ioctl(fd, SIOCADDRT, &route) < 0)
		return caisson_fail(err, errno, "set the default route");
	return 0;
}

int guest_network_up(bool ethernet, struct caisson_error *err)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return ethernet ? caisson_fail(err, errno, "open a network socket") : 0;
	r = link_up(fd, "lo", err);
	if (r == 0 && ethernet)
		r = ethernet_up(fd, err);
	return r;
}

/* Opens a file of the image's /etc, made when missing. A link to what the image lacks, as that of
   systemd-resolved, gives way to a file in the layer above. */
static int open_target(const char *name, const char *target, struct caisson_error *err)
{
	_cleanup_close_ int folder = guest_root_directory("/etc", 0755, err);
	const int flags = O_RDONLY | O_CREAT | O_NONBLOCK;
	int file;

	if (folder < 0)
		return folder;
	file = guest_root_open(target, flags, 0644, err);
	if ((file == -ENOENT || file == -ELOOP) && unlinkat(folder, name, 0) == 0)
		file = guest_root_open(target, flags, 0644, err);
	return file;
}

/* As a container engine does it: files of ours are bound over the image's, which stays as it is. */
static int bind_file(const char *name, const char *text, struct caisson_error *err)
{
	_cleanup_free_ char *source = format_string("/run/%s", name);
	_cleanup_free_ char *target = format_string("/etc/%s", name);
	_cleanup_close_ int file = -1, content = -1;
	char path[32];
	int r;

	if (source == NULL || target == NULL)
		return caisson_fail(err, ENOMEM, "write %s", name);
	content = open_file(source, O_WRONLY | O_CREAT | O_TRUNC, 0644, err);
	if (content < 0)
		return content;
	r = write_all(content, text, strlen(text), source, err);
	if (r < 0)
		return r;
	file = open_target(name, target, err);
	if (file < 0)
		return file;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	if (mount(source, path, NULL, MS_BIND, NULL) < 0)
		return caisson_fail(err, errno, "put %s in place", target);
	return 0;
}

int guest_network_files(const struct guest_config *config, struct caisson_error *err)
{
	_cleanup_free_ char *hostname = format_string("%s\n", config->machine);
	_cleanup_free_ char *hosts = format_string("127.0.0.1\tlocalhost\n::1\tlocalhost\n%s\t%s\n",
		config->network ? ADDRESS : "127.0.1.1", config->machine);
	int r;

	if (hostname == NULL || hosts == NULL)
		return caisson_fail(err, ENOMEM, "write the host name");
	r = bind_file("hostname", hostname, err);
	if (r == 0)
		r = bind_file("hosts", hosts, err);
	if (r == 0 && config->network)
		r = bind_file("resolv.conf", "nameserver " RESOLVER "\n", err);
	return r;
}
