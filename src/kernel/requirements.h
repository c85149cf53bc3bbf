/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a kernel has to have, and why: the tables are made of the fragments and profiles in kernel/
 * when caisson is built (make_tables.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/release.h"

/* What asks something of a kernel. The order is that of features.c. */
enum kernel_feature {
	KERNEL_BASE = 1 << 0, /* the boot archive, images, virtio block and console */
	KERNEL_MMIO = 1 << 1, /* virtio over mmio (QEMU microvm, Firecracker) */
	KERNEL_PCI = 1 << 2,  /* virtio over PCI (QEMU q35, Cloud Hypervisor) */
	KERNEL_VOLUME = 1 << 3,
	KERNEL_INTEGRITY = 1 << 4,
	KERNEL_NETWORK = 1 << 5,
	KERNEL_VSOCK = 1 << 6,
	KERNEL_TPM = 1 << 7,
	KERNEL_VERITY = 1 << 8,
	KERNEL_XFS = 1 << 9,
	KERNEL_BTRFS = 1 << 10,
	KERNEL_EROFS = 1 << 11,
	KERNEL_FUSE = 1 << 12,
	KERNEL_CONTAINER = 1 << 13,
	KERNEL_OBSERVE = 1 << 14,
	KERNEL_CONFIDENTIAL = 1 << 15,
};

struct kernel_feature_name {
	unsigned int feature;
	const char *name;    /* "volume" */
	const char *summary; /* "encrypted volumes" */
};

/* All of them, in the order of their bits. */
const struct kernel_feature_name *kernel_features(size_t *ret_count);
/* The bits of a feature's or a machine's name ("microvm", "q35", "firecracker",
   "cloud-hypervisor"); 0 for one that is not known. */
unsigned int kernel_feature_bits(const char *name);
/* "volume"; "build" for 0, which is no feature but our own kernels' making. */
const char *kernel_feature_name(unsigned int feature);

/*
 * One option, wanted for one reason. An option that two features want is in the table twice. The
 * order is that in which modules are best loaded.
 */
struct kernel_requirement {
	const char *fragment; /* "encryption"; the file is kernel/encryption.config */
	const char *option;   /* "CONFIG_DM_CRYPT" */
	const char *value;    /* as in a .config: "y", "64", "\"text\""; "n": not set */
	unsigned int feature; /* one bit of enum kernel_feature; 0: for our own kernels alone */
	bool optional;        /* speed or convenience: its absence is no failure */
	const char *module;   /* "dm_crypt"; NULL when it cannot be one */
	bool on_demand;       /* the module counts, and is no part of a boot archive by itself */
	/* Other options that meet it as well, as other versions name it: sets between '|' of which
	   one has to be whole, "CONFIG_A CONFIG_B|CONFIG_C"; NULL when there are none. */
	const char *alternatives;
	unsigned int since, until; /* KERNEL_VERSION() from, and up to but not with; 0: no bound */
	const char *reason;        /* what cannot be done without it, as the user would say it */
};

/* An argument of the kernel command line. */
struct kernel_argument {
	const char *argument; /* "console=ttyS0" */
	unsigned int feature; /* where it is given: with KERNEL_MMIO on machines without PCI ... */
	const char *reason;
};

struct kernel_profile {
	const char *name;    /* "minimal" */
	const char *summary; /* one sentence */
	const char *const *fragments;
	size_t fragment_count;
	const struct kernel_argument *arguments;
	size_t argument_count;
};

const struct kernel_requirement *kernel_requirements(size_t *ret_count);
const struct kernel_profile *kernel_profiles(size_t *ret_count);
/* NULL for one that is not known. */
const struct kernel_profile *kernel_profile(const char *name);
/* The place of @requirement's fragment among the profile's, or -1. */
int kernel_profile_place(
	const struct kernel_profile *profile, const struct kernel_requirement *requirement);
/* Whether the profile says otherwise of the option further on, for kernels of @version: the last
   word counts. */
bool kernel_profile_overrides(const struct kernel_profile *profile,
	const struct kernel_requirement *requirement, unsigned int version);
/* Whether a kernel of @version (KERNEL_VERSION(); 0: not known) has the option at all. */
bool kernel_requirement_applies(const struct kernel_requirement *requirement, unsigned int version);
