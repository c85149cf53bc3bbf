/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU: its command line, as a pure function of what the machine is. Everything that QEMU opens for
 * the machine is handed to it as a descriptor, so that it needs no path, no privilege and leaves no
 * socket.
 */
#pragma once

#include <caisson/error.h>
#include <caisson/log.h>
#include <caisson/machine.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/state.h"
#include "base/strbuf.h"
#include "kernel/kernel.h"

#define QEMU_PROGRAM    "qemu-system-x86_64"
#define QEMU_DISKS_MOST 17

struct qemu_disk {
	int fd;
	bool read_only;
	const char *serial; /* at most 20 bytes (virtio-blk) */
};

struct qemu_machine {
	const char *name;
	bool kvm;
	bool microvm;
	uint64_t memory; /* bytes */
	unsigned int processors;
	const char *kernel; /* path */
	int initramfs;
	const char *command_line; /* of the kernel */
	int console;              /* socket */
	int channel, key_channel; /* sockets; -1 with vsock */
	uint32_t vsock_cid;       /* 0 without */
	int vhost_vsock;          /* the device, open; with vsock_cid */
	struct qemu_disk disks[QEMU_DISKS_MOST];
	size_t disk_count;
	bool network;
	const char *const *publish;
	size_t publish_count;
};

/* The arguments, QEMU_PROGRAM first. */
int qemu_arguments(
	const struct qemu_machine *machine, struct strv *arguments, struct caisson_error *err);
/* Every descriptor that the arguments name; at least QEMU_DISKS_MOST + 5 places. */
size_t qemu_descriptors(const struct qemu_machine *machine, int *ret_fds);

/* accelerator.c */
/*
 * Whether guests really run under KVM here: on some hosts /dev/kvm opens and a guest then stands
 * still, so a kernel is started and given some seconds to say its first word. The answer is kept
 * until the host's next boot. *ret_usable is false, with the reason as a note, when not.
 */
int accelerator_kvm_usable(const struct state *state, const struct kernel *kernel,
	const struct caisson_log *log, bool *ret_usable, struct caisson_error *err);
/* The frequency of the processor's time stamp counter in kHz, kept until the next boot; 0 when it
   cannot be told. */
unsigned int accelerator_tsc_khz(const struct state *state);
