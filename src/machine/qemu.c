/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/qemu.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* virtio-mmio devices end in "-device", those on PCI in "-pci". */
static const char *bus(const struct qemu_machine *machine)
{
	return machine->microvm ? "device" : "pci";
}

static void add(struct strv *arguments, const char *option, const char *value)
{
	strv_add(arguments, option);
	if (value != NULL)
		strv_add(arguments, value);
}

static void add_platform(const struct qemu_machine *machine, struct strv *arguments)
{
	const char *model = machine->microvm ? "microvm,isa-serial=on,pic=on,rtc=on" : "q35";

	/* A core dump of QEMU must not hold the guest's memory, nor may the host merge its pages.
	 */
	add(arguments, "-machine", NULL);
	strv_add_format(arguments, "%s,dump-guest-core=off,mem-merge=off", model);
	add(arguments, "-accel", machine->kvm ? "kvm" : "tcg,thread=multi");
	add(arguments, "-cpu", machine->kvm ? "host" : "max");
	add(arguments, "-smp", NULL);
	strv_add_format(arguments, "%u", machine->processors);
	add(arguments, "-m", NULL);
	strv_add_format(arguments, "%lluk", (unsigned long long)machine->memory / 1024);
}

static void add_boot(const struct qemu_machine *machine, struct strv *arguments)
{
	add(arguments, "-kernel", machine->kernel);
	add(arguments, "-initrd", NULL);
	strv_add_format(arguments, "/proc/self/fd/%d", machine->initramfs);
	add(arguments, "-append", machine->command_line);
}

/* No object may be called "machine": QEMU 7.2 looks up its own by that name alone, and falls over
 * two. */
static void add_channels(const struct qemu_machine *machine, struct strv *arguments)
{
	add(arguments, "-chardev", NULL);
	strv_add_format(arguments, "socket,id=console,fd=%d", machine->console);
	add(arguments, "-serial", "chardev:console");
	if (machine->vsock_cid != 0) {
		add(arguments, "-device", NULL);
		strv_add_format(arguments, "vhost-vsock-%s,guest-cid=%u,vhostfd=%d", bus(machine),
			machine->vsock_cid, machine->vhost_vsock);
		return;
	}
	add(arguments, "-device", NULL);
	strv_add_format(arguments, "virtio-serial-%s,max_ports=4", bus(machine));
	add(arguments, "-chardev", NULL);
	strv_add_format(arguments, "socket,id=channel0,fd=%d", machine->channel);
	add(arguments, "-device", "virtserialport,chardev=channel0,name=org.caisson.machine");
	if (machine->key_channel >= 0) {
		add(arguments, "-chardev", NULL);
		strv_add_format(arguments, "socket,id=channel1,fd=%d", machine->key_channel);
		add(arguments, "-device", "virtserialport,chardev=channel1,name=org.caisson.key");
	}
}

/* caisson holds the lock on a volume itself (its descriptor is the lock): QEMU's own would only be
   in the way of who reads the file meanwhile. */
static void add_disks(const struct qemu_machine *machine, struct strv *arguments)
{
	for (size_t i = 0; i < machine->disk_count; i++) {
		const struct qemu_disk *disk = &machine->disks[i];
		const char *read_only = disk->read_only ? "on" : "off";

		add(arguments, "-add-fd", NULL);
		strv_add_format(arguments, "set=%zu,fd=%d", i + 1, disk->fd);
		add(arguments, "-blockdev", NULL);
		strv_add_format(arguments,
			"driver=raw,node-name=disk%zu,read-only=%s,discard=unmap,file.driver=file,"
			"file.filename=/dev/fdset/%zu,file.locking=off,file.discard=unmap",
			i, read_only, i + 1);
		add(arguments, "-device", NULL);
		/* By default QEMU stops the machine when the host's disk is full: for ever, here.
		 */
		strv_add_format(arguments,
			"virtio-blk-%s,drive=disk%zu,serial=%s,werror=report,rerror=report",
			bus(machine), i, disk->serial);
	}
}

static bool parse_port(const char *text, size_t length, unsigned int *ret_port)
{
	unsigned int port = 0;

	if (length == 0 || length > 5)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		port = port * 10 + (unsigned int)(text[i] - '0');
	}
	*ret_port = port;
	return port > 0 && port < 65536;
}

/* [ADDRESS:]HOST-PORT:GUEST-PORT[/udp] as ",hostfwd=..."; nothing else of @text gets through, so
   that it cannot carry options of QEMU's own. */
static int add_publish(const char *text, struct strbuf *options, struct caisson_error *err)
{
	_cleanup_free_ char *copy = strdup(text);
	const char *protocol = "tcp", *address = "127.0.0.1", *host_text;
	unsigned int host = 0, guest = 0;
	struct in_addr parsed;
	char *slash, *guest_text, *colon;

	if (copy == NULL)
		return caisson_fail(err, ENOMEM, "publish %s", text);
	slash = strchr(copy, '/');
	if (slash != NULL) {
		*slash = '\0';
		protocol = slash + 1;
	}
	guest_text = strrchr(copy, ':');
	host_text = copy;
	if (guest_text != NULL) {
		*guest_text++ = '\0';
		colon = strrchr(copy, ':');
		if (colon != NULL) {
			*colon = '\0';
			address = copy;
			host_text = colon + 1;
		}
	}
	if (guest_text == NULL || !parse_port(host_text, strlen(host_text), &host) ||
		!parse_port(guest_text, strlen(guest_text), &guest) ||
		inet_pton(AF_INET, address, &parsed) != 1 ||
		(strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0))
		return caisson_refuse(err, EINVAL,
			"'%s' does not publish a port: [ADDRESS:]HOST-PORT:GUEST-PORT[/udp]", text);
	strbuf_add_format(options, ",hostfwd=%s:%s:%u-:%u", protocol, address, host, guest);
	return 0;
}

static int add_network(
	const struct qemu_machine *machine, struct strv *arguments, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf options = STRBUF_INIT;

	if (!machine->network)
		return 0;
	strbuf_add_string(&options, "user,id=net,ipv6=off");
	for (size_t i = 0; i < machine->publish_count; i++) {
		int r = add_publish(machine->publish[i], &options, err);

		if (r < 0)
			return r;
	}
	add(arguments, "-netdev", NULL);
	strv_add_owned(arguments, strbuf_take(&options));
	add(arguments, "-device", NULL);
	/* No boot from it: the option ROM would only cost time. */
	strv_add_format(arguments, "virtio-net-%s,netdev=net%s", bus(machine),
		machine->microvm ? "" : ",romfile=");
	return 0;
}

int qemu_arguments(
	const struct qemu_machine *machine, struct strv *arguments, struct caisson_error *err)
{
	int r;

	strv_add(arguments, QEMU_PROGRAM);
	add(arguments, "-name", NULL);
	strv_add_format(arguments, "caisson-%s", machine->name);
	add(arguments, "-nodefaults", NULL);
	add(arguments, "-no-user-config", NULL);
	add(arguments, "-no-reboot", NULL);
	add(arguments, "-display", "none");
	add(arguments, "-sandbox",
		"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	add_platform(machine, arguments);
	add_boot(machine, arguments);
	add_channels(machine, arguments);
	add_disks(machine, arguments);
	add(arguments, "-object", "rng-builtin,id=random");
	add(arguments, "-device", NULL);
	strv_add_format(arguments, "virtio-rng-%s,rng=random", bus(machine));
	r = add_network(machine, arguments, err);
	if (r < 0)
		return r;
	return strv_ok(arguments) ? 0 : caisson_fail(err, ENOMEM, "make QEMU's command line");
}

size_t qemu_descriptors(const struct qemu_machine *machine, int *ret_fds)
{
	const int single[] = {machine->initramfs, machine->console, machine->channel,
		machine->key_channel, machine->vsock_cid != 0 ? machine->vhost_vsock : -1};
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(single); i++) {
		if (single[i] >= 0)
			ret_fds[count++] = single[i];
	}
	for (size_t i = 0; i < machine->disk_count; i++)
		ret_fds[count++] = machine->disks[i].fd;
	return count;
}
