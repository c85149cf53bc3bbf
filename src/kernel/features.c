/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/macros.h"
#include "kernel/requirements.h"

static const struct kernel_feature_name features[] = {
	{KERNEL_BASE, "base", "the boot archive, images, disks and the console"},
	{KERNEL_MMIO, "mmio", "devices over virtio-mmio"},
	{KERNEL_PCI, "pci", "devices over PCI"},
	{KERNEL_VOLUME, "volume", "encrypted volumes"},
	{KERNEL_INTEGRITY, "integrity", "volumes with integrity tags"},
	{KERNEL_NETWORK, "network", "the network"},
	{KERNEL_VSOCK, "vsock", "the host over vsock"},
	{KERNEL_TPM, "tpm", "a TPM"},
	{KERNEL_VERITY, "verity", "read-only roots that are verified (dm-verity)"},
	{KERNEL_XFS, "xfs", "XFS"},
	{KERNEL_BTRFS, "btrfs", "Btrfs"},
	{KERNEL_EROFS, "erofs", "EROFS"},
	{KERNEL_FUSE, "fuse", "FUSE and virtiofs"},
	{KERNEL_CONTAINER, "container", "containers inside the machine"},
	{KERNEL_OBSERVE, "observe", "tracing and eBPF"},
	{KERNEL_CONFIDENTIAL, "confidential", "memory that the host cannot read (SEV-SNP, TDX)"},
};

static const struct {
	const char *name;
	unsigned int features;
} machines[] = {
	{"microvm", KERNEL_BASE | KERNEL_MMIO},
	{"q35", KERNEL_BASE | KERNEL_PCI},
	{"firecracker", KERNEL_BASE | KERNEL_MMIO | KERNEL_VSOCK},
	{"cloud-hypervisor", KERNEL_BASE | KERNEL_PCI | KERNEL_VSOCK},
};

const struct kernel_feature_name *kernel_features(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(features);
	return features;
}

unsigned int kernel_feature_bits(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (strcmp(features[i].name, name) == 0)
			return features[i].feature;
	}
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		if (strcmp(machines[i].name, name) == 0)
			return machines[i].features;
	}
	return 0;
}

const char *kernel_feature_name(unsigned int feature)
{
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (features[i].feature == feature)
			return features[i].name;
	}
	return "build";
}
