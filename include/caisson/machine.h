/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CAISSON_MACHINE_H
#define CAISSON_MACHINE_H

#include <caisson/caisson.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How the guest's processors are run. */
enum caisson_accelerator {
	CAISSON_ACCELERATOR_AUTO, /* KVM when a guest really runs on it, else TCG */
	CAISSON_ACCELERATOR_KVM,
	CAISSON_ACCELERATOR_TCG,
};

/** The virtual machine's hardware. */
enum caisson_platform {
	CAISSON_PLATFORM_AUTO, /* microvm when the kernel has virtio-mmio, else q35 */
	CAISSON_PLATFORM_MICROVM,
	CAISSON_PLATFORM_Q35,
};

/** How host and guest talk. */
enum caisson_channel {
	CAISSON_CHANNEL_AUTO, /* vsock when the host and the kernel have it, else virtio-serial */
	CAISSON_CHANNEL_VSOCK,
	CAISSON_CHANNEL_VIRTIO_SERIAL,
};

/** A volume in a machine. */
struct caisson_machine_volume {
	const char *name;
	const char
		*path; /* absolute, in the machine; "/": its writable layer lives on the volume */
	bool read_only;
};

/**
 * struct caisson_machine_options - one run of a workload in a machine of its own.
 *
 * Zero is the default of every field but @image and @programs. Strings and arrays belong to the
 * caller and must live until caisson_machine_run() returns.
 */
struct caisson_machine_options {
	const char *image;    /* "oci:PATH[:TAG]", "oci-archive:FILE[:TAG]" or a PATH */
	const char *name;     /* NULL: made from the image's name */
	const char *programs; /* folder with the guest's programs */

	const struct caisson_machine_volume *volumes;
	size_t volume_count;

	const char *const *command; /* arguments; replace the image's Cmd when there are any */
	size_t command_count;
	const char *entrypoint;         /* NULL: the image's; "": none */
	const char *const *environment; /* "NAME=VALUE", over the image's */
	size_t environment_count;
	const char *directory; /* NULL: the image's */
	const char *user;      /* NULL: the image's */

	uint64_t memory;         /* bytes; 0: 512 MiB */
	unsigned int processors; /* 0: 1 */
	const char *kernel;      /* NULL: the default of those that were built here, else the newest
				    under /boot; a file, a folder or the name of one that was built */
	const char *modules;     /* NULL: the folder of the kernel's release */
	enum caisson_accelerator accelerator;
	enum caisson_platform platform;
	enum caisson_channel channel;
	bool no_network;
	const char *const *publish; /* "[ADDRESS:]HOST-PORT:GUEST-PORT[/udp]"; the address is
				       127.0.0.1 by default */
	size_t publish_count;

	bool terminal;    /* a terminal for the workload */
	bool interactive; /* @input is the workload's standard input; with @terminal it is in raw
			     mode while the workload runs */
	bool console;     /* the kernel's console on @error, too */
	bool remove;      /* keep no machine folder when it ends */
	unsigned int boot_timeout; /* seconds until the guest must have answered; 0: 120 */

	int input, output, error; /* descriptors of the caller's standard streams */
};

/**
 * caisson_machine_run() - start a machine, run its workload to the end, and take everything down
 * again.
 *
 * While it runs, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 of the calling process go to
 * the workload, SIGWINCH sets its terminal's size, and a third SIGINT or SIGTERM kills the machine.
 * They are blocked and read from a descriptor: call this from a process with one thread. SIGPIPE
 * must be ignored.
 *
 * Returns: the workload's status as a shell has it (0 to 255; 128 + N for signal N), or a negative
 * errno. When the command could not be run, -ENOENT or -EACCES with *@ret_status 127 or 126;
 * otherwise *@ret_status is 125 on failure, which an output that could not be written (but for
 * EPIPE) is, too. @ret_status may be NULL. Since: 0.1.
 */
CAISSON_EXPORT int caisson_machine_run(struct caisson *caisson,
	const struct caisson_machine_options *options, int *ret_status, struct caisson_error *err);

#ifdef __cplusplus
}
#endif

#endif
