/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Guest kernels: finding one, what it can do, and the form that starts fastest. */
#pragma once

#include <caisson/error.h>
#include <caisson/log.h>
#include <stdbool.h>

#include "base/state.h"

struct kernel {
	char *path;    /* of the image: bzImage or vmlinux */
	char *release; /* "6.1.0-56-cloud-amd64" */
	char *modules; /* folder with modules.dep; NULL when the kernel has none */
	char *config;  /* its .config; NULL when none was found */
};

#define KERNEL_NONE ((struct kernel){NULL, NULL, NULL, NULL})

/*
 * @path: NULL for the newest /boot/vmlinuz-* that has a modules folder (by version number, not by
 * name). @modules: NULL for /lib/modules/RELEASE (or /usr/lib/modules/RELEASE). The release of a
 * given path is read from the image itself (bzImage setup header, or "Linux version" in a vmlinux).
 */
int kernel_find(const char *path, const char *modules, struct kernel *ret_kernel,
	struct caisson_error *err);
void kernel_done(struct kernel *kernel);

/* What a machine asks of its kernel. */
enum kernel_feature {
	KERNEL_BASE = 1 << 0,    /* squashfs, overlay, tmpfs, devtmpfs, virtio block and console */
	KERNEL_MMIO = 1 << 1,    /* virtio over mmio (QEMU microvm) */
	KERNEL_PCI = 1 << 2,     /* virtio over PCI (QEMU q35) */
	KERNEL_VOLUME = 1 << 3,  /* dm-crypt with AES-XTS, ext4 */
	KERNEL_NETWORK = 1 << 4, /* virtio network */
	KERNEL_VSOCK = 1 << 5,   /* virtio vsock */
};

/*
 * One requirement: met by the module, or by the option built in. The table is data: the modules
 * that go into a boot archive, the check before a start and the documentation all come from it.
 */
struct kernel_requirement {
	unsigned int feature; /* one bit of enum kernel_feature */
	const char *option;   /* "CONFIG_DM_CRYPT" */
	const char *module;   /* "dm_crypt"; NULL when the option cannot be one */
	bool optional;        /* speed or convenience alone: its absence is no failure */
	const char *reason;   /* what cannot be done without it, as the user would say it */
};

const struct kernel_requirement *kernel_requirements(size_t *ret_count);
/* -ENOTSUP naming the first option that is missing and what for. A kernel whose modules folder and
   config are both unknown passes: the guest will say what is missing. */
int kernel_check(const struct kernel *kernel, unsigned int features, struct caisson_error *err);

/*
 * The uncompressed vmlinux inside a bzImage, when it can be started through PVH (it carries the
 * XEN_ELFNOTE_PHYS32_ENTRY note): a guest skips decompression. Kept in the state directory by
 * content. *ret_path is NULL when the kernel has no such form. A vmlinux with the note is returned
 * as it is.
 */
int kernel_pvh_image(const struct state *state, const struct kernel *kernel,
	const struct caisson_log *log, char **ret_path, struct caisson_error *err);

#define _cleanup_kernel_ _cleanup_(kernel_done)
