/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CAISSON_INITRAMFS_H
#define CAISSON_INITRAMFS_H

#include <caisson/caisson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** struct caisson_initramfs_options - what a boot archive is for. Zero is the default. */
struct caisson_initramfs_options {
	const char *programs; /* folder with the guest's programs */
	const char *kernel;   /* NULL: the newest under /boot */
	const char *modules;  /* NULL: the folder of the kernel's release */
	bool pci;             /* virtio over PCI (q35) instead of mmio (microvm) */
	bool no_volumes;      /* without what encrypted volumes need */
	bool no_network;
	bool vsock;
	bool uncompressed; /* instead of zstd */
	int level;         /* of zstd, 1 to 19; 0: the default */
};

/**
 * caisson_initramfs_build() - write the boot archive for these options to @fd, from its start.
 *
 * The same inputs give the same bytes. It holds nothing of one machine: guest.json rides in a
 * second archive behind it. Returns: 0 or a negative errno. Since: 0.1.
 */
CAISSON_EXPORT int caisson_initramfs_build(struct caisson *caisson,
	const struct caisson_initramfs_options *options, int fd, struct caisson_error *err);

/** struct caisson_initramfs_entry - one entry of an archive; valid during the call. */
struct caisson_initramfs_entry {
	const char *path;
	mode_t mode;
	uint32_t size;      /* bytes */
	const char *target; /* of a symbolic link; else NULL */
	uint32_t major, minor;
};

/**
 * caisson_initramfs_list() - call @each for every entry of the archive in @fd, in its order.
 * @what: the name that errors call the archive by.
 *
 * Concatenated archives and zstd or gzip compression are read through. Since: 0.1.
 */
CAISSON_EXPORT int caisson_initramfs_list(int fd, const char *what,
	int (*each)(const struct caisson_initramfs_entry *entry, void *userdata), void *userdata,
	struct caisson_error *err);

#ifdef __cplusplus
}
#endif

#endif
