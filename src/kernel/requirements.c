/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/macros.h"
#include "kernel/kernel.h"

/*
 * In the order in which modules are best loaded: the transport first, so that devices appear while
 * the rest is loaded. What a module depends on is found in modules.dep and needs no line here.
 *
 * An option that another one selects in the kernel's own Kconfig is listed as optional: it cannot
 * be missing where the other is there, and its name differs between versions (crc32c became a
 * library in 6.14); the line is there so that its module, if it is one, comes along.
 */
static const struct kernel_requirement requirements[] = {
	{KERNEL_MMIO, "CONFIG_VIRTIO_MMIO", "virtio_mmio", false,
		"devices of a machine without PCI cannot be reached"},
	{KERNEL_MMIO, "CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES", NULL, true,
		"devices cannot be named on the kernel command line, only by ACPI"},
	{KERNEL_PCI, "CONFIG_PCI", NULL, false, "devices on PCI cannot be reached"},
	{KERNEL_PCI, "CONFIG_VIRTIO_PCI", "virtio_pci", false, "devices on PCI cannot be reached"},

	{KERNEL_BASE, "CONFIG_BLK_DEV_INITRD", NULL, false, "the boot archive cannot be unpacked"},
	{KERNEL_BASE, "CONFIG_RD_ZSTD", NULL, true, "the boot archive has to stay uncompressed"},
	{KERNEL_BASE, "CONFIG_BINFMT_ELF", NULL, false, "no program can be started"},
	{KERNEL_BASE, "CONFIG_BINFMT_SCRIPT", NULL, true, "scripts in images cannot be started"},
	{KERNEL_BASE, "CONFIG_NET", NULL, false, "the guest does not learn of its devices"},
	{KERNEL_BASE, "CONFIG_UNIX", "unix", false, "programs cannot talk over Unix sockets"},
	{KERNEL_BASE, "CONFIG_MULTIUSER", NULL, false, "the workload cannot have a user"},
	{KERNEL_BASE, "CONFIG_EPOLL", NULL, false, "the guest cannot wait for several things"},
	{KERNEL_BASE, "CONFIG_SIGNALFD", NULL, false, "the guest cannot wait for signals"},
	{KERNEL_BASE, "CONFIG_PROC_FS", NULL, false, "/proc cannot be mounted"},
	{KERNEL_BASE, "CONFIG_SYSFS", NULL, false, "/sys cannot be mounted"},
	{KERNEL_BASE, "CONFIG_DEVTMPFS", NULL, false, "/dev cannot be mounted"},
	{KERNEL_BASE, "CONFIG_SHMEM", NULL, false, "/run and /dev/shm cannot be mounted"},
	{KERNEL_BASE, "CONFIG_TMPFS", NULL, false, "/run and /dev/shm cannot be mounted"},
	{KERNEL_BASE, "CONFIG_UNIX98_PTYS", NULL, false, "the workload cannot have a terminal"},
	{KERNEL_BASE, "CONFIG_SERIAL_8250_CONSOLE", NULL, true,
		"the kernel's messages do not come out"},
	{KERNEL_BASE, "CONFIG_VIRTIO_BLK", "virtio_blk", false, "disks cannot be read"},
	{KERNEL_BASE, "CONFIG_VIRTIO_CONSOLE", "virtio_console", false,
		"the guest cannot talk to this machine"},
	{KERNEL_BASE, "CONFIG_SQUASHFS", "squashfs", false, "images cannot be mounted"},
	{KERNEL_BASE, "CONFIG_OVERLAY_FS", "overlay", false, "images cannot be written over"},

	{KERNEL_VOLUME, "CONFIG_BLK_DEV_DM", "dm_mod", false, "encrypted volumes cannot be opened"},
	{KERNEL_VOLUME, "CONFIG_DM_CRYPT", "dm_crypt", false, "encrypted volumes cannot be opened"},
	{KERNEL_VOLUME, "CONFIG_CRYPTO_AES", "aes_generic", false,
		"the cipher of encrypted volumes is missing"},
	/* Several times as fast where the processor has the instructions; -ENODEV elsewhere. */
	{KERNEL_VOLUME, "CONFIG_CRYPTO_AES_NI_INTEL", "aesni_intel", true,
		"encryption is slower than the processor could do it"},
	{KERNEL_VOLUME, "CONFIG_CRYPTO_ECB", "ecb", true, "XTS is built from it"},
	{KERNEL_VOLUME, "CONFIG_CRYPTO_XTS", "xts", false,
		"the cipher mode of encrypted volumes is missing"},
	/* ext4 and jbd2 ask for a checksum by name when they mount. */
	{KERNEL_VOLUME, "CONFIG_CRYPTO_CRC32C", "crc32c_generic", true,
		"ext4 checks its metadata with it"},
	{KERNEL_VOLUME, "CONFIG_EXT4_FS", "ext4", false, "volumes cannot be mounted"},

	{KERNEL_NETWORK, "CONFIG_INET", NULL, false, "there is no network"},
	{KERNEL_NETWORK, "CONFIG_VIRTIO_NET", "virtio_net", false, "there is no network"},
	{KERNEL_VSOCK, "CONFIG_VIRTIO_VSOCKETS", "vmw_vsock_virtio_transport", false,
		"the guest cannot talk to this machine by vsock"},
	{KERNEL_BASE, "CONFIG_HW_RANDOM_VIRTIO", "virtio_rng", true,
		"the guest may have to wait for randomness"},
};

const struct kernel_requirement *kernel_requirements(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(requirements);
	return requirements;
}
