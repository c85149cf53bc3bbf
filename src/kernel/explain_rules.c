/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/explain_rules.h"

#include "base/macros.h"

#define OPTION(option) \
	{ \
		EXPLAIN_OPTION, option, NULL \
	}
#define OPTION_FOR(option, reason) \
	{ \
		EXPLAIN_OPTION, option, reason \
	}
#define ARGUMENT(text, reason) \
	{ \
		EXPLAIN_ARGUMENT, text, reason \
	}
#define DO(text) \
	{ \
		EXPLAIN_DO, text, NULL \
	}

/* Where several rules say the same of a filesystem that the kernel does not know. */
#define NO_FILESYSTEM(id, match, name, option) \
	{ \
		id, RULE_CAUSE, EXPLAIN_CERTAIN, "killed", match, NULL, NULL, \
			"the kernel does not know the filesystem " name \
			": it is not built in, and no module of it was loaded", \
		{ \
			OPTION(option) \
		} \
	}

#define NO_COMPRESSION(id, name, option) \
	{ \
		id, RULE_CAUSE, EXPLAIN_CERTAIN, "root", \
			"Initramfs unpacking failed: compression method " name " not configured", \
			NULL, NULL, \
			"the boot archive is compressed with " name \
			", which this kernel cannot unpack", \
		{ \
			OPTION_FOR(option, "boot archives in " name " cannot be unpacked"), \
				DO("compress the archive otherwise: caisson initramfs build --compress " \
				   "gzip, or none") \
		} \
	}

static const struct explain_rule rules[] = {
	/* What QEMU says, and the firmware. */
	{"qemu-no-pvh", RULE_CAUSE, EXPLAIN_CERTAIN, NULL,
		"Error loading uncompressed kernel without PVH ELF Note", NULL, NULL,
		"the kernel is an uncompressed vmlinux, and such a one is started through PVH, for "
		"which it was not built",
		{OPTION("CONFIG_PVH"), DO("start the bzImage of the same build")}},
	{"qemu-no-file", RULE_CAUSE, EXPLAIN_CERTAIN, NULL, "could not load kernel '*'", NULL, NULL,
		"QEMU cannot read the kernel %1",
		{DO("name a kernel that exists and that QEMU's user may read")}},
	{"qemu-no-file", RULE_CAUSE, EXPLAIN_CERTAIN, NULL, "could not open kernel file '*': *",
		NULL, NULL, "QEMU cannot read the kernel %1: %2",
		{DO("name a kernel that exists and that QEMU's user may read")}},
	{"qemu-no-initrd", RULE_CAUSE, EXPLAIN_CERTAIN, NULL, "error reading initrd *: *", NULL,
		NULL, "QEMU cannot read the boot archive %1",
		{DO("name an archive that exists and that QEMU's user may read")}},
	{"qemu-no-initrd", RULE_CAUSE, EXPLAIN_CERTAIN, NULL, "could not load initrd '*'", NULL,
		NULL, "QEMU cannot read the boot archive %1",
		{DO("name an archive that exists and that QEMU's user may read")}},
	{"qemu-initrd-large", RULE_CAUSE, EXPLAIN_CERTAIN, NULL, "initrd is too large", NULL, NULL,
		"the boot archive does not fit into the machine's memory",
		{DO("give the machine more memory (caisson run --memory)"),
			DO("make the archive smaller: caisson initramfs build --explain shows what "
			   "is in it")}},
	{"qemu-no-kvm", RULE_CAUSE, EXPLAIN_CERTAIN, NULL, "Could not access KVM kernel module: *",
		NULL, NULL, "QEMU may not use KVM: %1",
		{DO("let this user open /dev/kvm (group kvm)"),
			DO("emulate: caisson run --accelerator tcg")}},
	{"qemu-no-memory", RULE_CAUSE, EXPLAIN_CERTAIN, NULL, "annot set up guest memory", NULL,
		NULL, "the host has not enough memory for the machine",
		{DO("give the machine less (caisson run --memory)")}},
	{"qemu-vsock-taken", RULE_CAUSE, EXPLAIN_CERTAIN, NULL,
		"vhost-vsock: unable to set guest cid: *", NULL, NULL,
		"another machine has the same vsock address: %1", {DO("choose another guest-cid")}},
	{"setup-wrong-processor", RULE_CAUSE, EXPLAIN_CERTAIN, NULL,
		"Unable to boot - please use a kernel appropriate for your CPU", NULL, NULL,
		"the virtual processor lacks what this kernel was built for",
		{DO("give the machine a processor that has it (QEMU: -cpu host, or max)")}},
	{"setup-halted", RULE_CAUSE, EXPLAIN_LIKELY, NULL, "-- System halted", NULL, NULL,
		"the kernel's own decompressor gave up, for the reason in the line before: the "
		"image is damaged, or memory is too small for it",
		{DO("compare the image with its source"),
			DO("give the machine more memory (caisson run --memory)")}},
	{"pvh-no-memory-map", RULE_CAUSE, EXPLAIN_CERTAIN, NULL, "Error: Could not find memory map",
		NULL, NULL,
		"the kernel was entered through PVH by a machine that told it of no memory",
		{DO("start its bzImage"), DO("use a newer QEMU")}},

	/* The boot archive. */
	NO_COMPRESSION("initramfs-no-zstd", "zstd", "CONFIG_RD_ZSTD"),
	NO_COMPRESSION("initramfs-no-gzip", "gzip", "CONFIG_RD_GZIP"),
	NO_COMPRESSION("initramfs-no-xz", "xz", "CONFIG_RD_XZ"),
	NO_COMPRESSION("initramfs-no-lz4", "lz4", "CONFIG_RD_LZ4"),
	NO_COMPRESSION("initramfs-no-lzma", "lzma", "CONFIG_RD_LZMA"),
	NO_COMPRESSION("initramfs-no-lzo", "lzo", "CONFIG_RD_LZO"),
	NO_COMPRESSION("initramfs-no-bzip2", "bzip2", "CONFIG_RD_BZIP2"),
	{"initramfs-xz-check", RULE_CAUSE, EXPLAIN_CERTAIN, "root",
		"Initramfs unpacking failed: Input was encoded with settings that are not supported "
		"by this XZ decoder",
		NULL, NULL,
		"the archive's xz has a check or a filter that the kernel does not know",
		{DO("compress it with xz --check=crc32, or with caisson initramfs build")}},
	{"initramfs-window", RULE_CAUSE, EXPLAIN_CERTAIN, "root",
		"Initramfs unpacking failed: ZSTD-compressed data has too large a window size",
		NULL, NULL, "the archive's zstd wants more memory than the kernel gives it",
		{DO("compress it without --long or --ultra")}},
	{"initramfs-full", RULE_CAUSE, EXPLAIN_CERTAIN, "root",
		"Initramfs unpacking failed: write error", NULL, NULL,
		"memory is too small for what is in the boot archive: half of it, at most, is the "
		"first root filesystem's",
		{DO("give the machine more memory (caisson run --memory)"),
			DO("make the archive smaller: caisson initramfs build --explain shows what "
			   "is in it")}},
	{"initramfs-unknown", RULE_CAUSE, EXPLAIN_CERTAIN, "root",
		"Initramfs unpacking failed: invalid magic at start of compressed archive", NULL,
		NULL,
		"what was given as the boot archive is none, or it is compressed in a form that "
		"no kernel knows",
		{DO("look at it: caisson initramfs inspect FILE"),
			DO("LZ4 has to be the legacy frame (lz4 -l)")}},
	{"initramfs-cpio", RULE_CAUSE, EXPLAIN_CERTAIN, "root",
		"Initramfs unpacking failed: incorrect cpio method used", NULL, NULL,
		"the archive is a cpio archive in a form that the kernel does not read",
		{DO("make it with cpio -o -H newc")}},
	{"initramfs-damaged", RULE_CAUSE, EXPLAIN_LIKELY, "root", "Initramfs unpacking failed: *",
		NULL, NULL,
		"the boot archive is damaged or cut (%1): what stood before that place was "
		"unpacked, and the rest is missing",
		{DO("look for the place: caisson initramfs verify FILE"),
			DO("make it anew, and see that its disk has room")}},
	{"initramfs-as-disk", RULE_CAUSE, EXPLAIN_CERTAIN, "root",
		"rootfs image is not initramfs (*); looks like an initrd", NULL, NULL,
		"what was given as the boot archive is no cpio archive (%1), and the kernel took it "
		"for the image of a disk",
		{DO("look at it: caisson initramfs inspect FILE")}},
	{"initramfs-no-rdinit", RULE_CAUSE, EXPLAIN_CERTAIN, "root",
		"check access for rdinit=* failed: *, ignoring", NULL, NULL,
		"%1, which the kernel starts from the boot archive, is not in it",
		{DO("see what is in it: caisson initramfs list FILE"),
			ARGUMENT(
				"rdinit=PATH", "another program of the archive is the first one")}},

	/* The root device. */
	{"root-rdinit-wrong", RULE_END, EXPLAIN_LIKELY, "root",
		"^Kernel command line:*rdinit=", "VFS: Unable to mount root fs on", NULL,
		"there is a boot archive, and in it nothing that rdinit= names; the kernel went on "
		"without it and looked for a root device",
		{ARGUMENT("rdinit=PATH", "has to name a file of the archive that can be executed"),
			DO("see what is in it: caisson initramfs list FILE")}},
	{"root-filesystem", RULE_END, EXPLAIN_LIKELY, "root",
		"VFS: Cannot open root device \"*\" or unknown-block(*): error -19", NULL, NULL,
		"the disk %1 is there, and the filesystem on it is none that the kernel knows",
		{OPTION_FOR("CONFIG_EXT4_FS", "ext4 cannot be mounted; or the option of what is on "
					      "the disk: SQUASHFS, XFS_FS, BTRFS_FS, EROFS_FS")}},
	{"root-driver-loaded", RULE_END, EXPLAIN_LIKELY, "root",
		"VFS: Cannot open root device \"*\"", "virtio_blk virtio", NULL,
		"the kernel sees disks, and none that is called %1",
		{ARGUMENT("root=/dev/vda", "the first virtio disk is called so; the partitions are "
					   "listed in the log behind that line")}},
	{"root-no-driver", RULE_END, EXPLAIN_LIKELY, "root", "VFS: Cannot open root device \"*\"",
		NULL, NULL,
		"the kernel was told that its root is on %1, and sees no such disk: the machine has "
		"none, or the kernel has no driver for it built in, and there was no boot archive whose "
		"programs could load one",
		{OPTION("CONFIG_VIRTIO_BLK"), OPTION("CONFIG_VIRTIO_MMIO"),
			OPTION("CONFIG_VIRTIO_PCI"),
			DO("give it a boot archive that loads the modules: caisson initramfs build")}},
	{"root-no-init", RULE_END, EXPLAIN_LIKELY, "root", "VFS: Unable to mount root fs on",
		"npack rootfs image as initramfs", NULL,
		"the boot archive was unpacked, and there is no /init in it that the kernel can start: "
		"it went on to look for a root device, and was not told of one",
		{DO("put the program at /init, with mode 0755: caisson initramfs build"),
			DO("see what is in it: caisson initramfs list FILE"),
			ARGUMENT("rdinit=PATH", "starts another program of the archive")}},
	{"root-no-init", RULE_END, EXPLAIN_LIKELY, "root", "VFS: Unable to mount root fs on",
		"Unpacking initramfs...", NULL,
		"the boot archive was unpacked, and there is no /init in it that the kernel can start: "
		"it went on to look for a root device, and was not told of one",
		{DO("put the program at /init, with mode 0755: caisson initramfs build"),
			DO("see what is in it: caisson initramfs list FILE"),
			ARGUMENT("rdinit=PATH", "starts another program of the archive")}},
	{"root-no-initramfs", RULE_END, EXPLAIN_LIKELY, "root",
		"VFS: Unable to mount root fs on*unknown-block(0,0)", NULL, NULL,
		"the kernel was given no boot archive and no root device, or it was built without "
		"support for boot archives",
		{DO("give it one (QEMU: -initrd FILE; caisson run does)"),
			OPTION("CONFIG_BLK_DEV_INITRD"),
			ARGUMENT("root=/dev/vda", "when the root is on a disk: with its driver and "
						  "its filesystem built in")}},
	{"root-filesystem", RULE_END, EXPLAIN_LIKELY, "root",
		"VFS: Unable to mount root fs on*unknown-block(*)", NULL, NULL,
		"the root disk (%2) is there, and the filesystem on it is none that the kernel knows",
		{OPTION_FOR("CONFIG_EXT4_FS", "ext4 cannot be mounted; or the option of what is on "
					      "the disk: SQUASHFS, XFS_FS, BTRFS_FS, EROFS_FS"),
			DO("look at the disk: blkid")}},
	{"root-no-device", RULE_CAUSE, EXPLAIN_LIKELY, "killed",
		"Gave up waiting for root file system device", NULL, NULL,
		"the root device that the boot archive was to mount did not appear",
		{OPTION("CONFIG_VIRTIO_BLK"), OPTION("CONFIG_VIRTIO_MMIO"),
			OPTION("CONFIG_VIRTIO_PCI"),
			ARGUMENT("root=", "has to name a disk that is there")}},
	{"root-no-device", RULE_CAUSE, EXPLAIN_LIKELY, "killed", "ALERT! * does not exist", NULL,
		NULL, "%1, which the boot archive was to mount, did not appear",
		{OPTION("CONFIG_VIRTIO_BLK"), OPTION("CONFIG_VIRTIO_MMIO"),
			OPTION("CONFIG_VIRTIO_PCI"),
			ARGUMENT("root=", "has to name a disk that is there")}},
	{"root-no-device", RULE_CAUSE, EXPLAIN_LIKELY, "killed", "dracut-initqueue*timeout", NULL,
		NULL, "a device that the boot archive waited for did not appear",
		{OPTION("CONFIG_VIRTIO_BLK"), OPTION("CONFIG_VIRTIO_MMIO"),
			OPTION("CONFIG_VIRTIO_PCI"),
			ARGUMENT("root=", "has to name a disk that is there")}},

	/* The first program. */
	{"init-not-there", RULE_CAUSE, EXPLAIN_CERTAIN, "init", "^Failed to execute * (error -2)",
		NULL, NULL,
		"%1 is not there, or what it needs in order to run is not: the interpreter in its "
		"first line, or the loader of its shared libraries",
		{DO("bring the program with all that it needs: caisson initramfs build --program"),
			DO("or link it statically"),
			DO("see what is missing: caisson initramfs verify FILE")}},
	{"init-format", RULE_CAUSE, EXPLAIN_CERTAIN, "init", "^Failed to execute * (error -8)",
		NULL, NULL,
		"%1 is no program that this kernel can run: one for another processor, a "
		"script without #! in its first line, an empty file",
		{DO("look at the file: a script begins with #!/PATH, a program is for this processor"),
			OPTION("CONFIG_BINFMT_ELF"), OPTION("CONFIG_BINFMT_SCRIPT"),
			OPTION_FOR("CONFIG_IA32_EMULATION", "32-bit programs cannot be started")}},
	{"init-mode", RULE_CAUSE, EXPLAIN_CERTAIN, "init", "^Failed to execute * (error -13)", NULL,
		NULL, "%1 may not be executed: it lacks the mode for it, or it is a folder",
		{DO("chmod 0755 before the archive is made")}},
	{"init-cut", RULE_CAUSE, EXPLAIN_LIKELY, "init", "^Failed to execute * (error -26)", NULL,
		NULL, "%1 was still being unpacked: the boot archive ends in the middle of it",
		{DO("look for the place: caisson initramfs verify FILE"),
			DO("make it anew, and see that its disk has room")}},
	{"init-memory", RULE_CAUSE, EXPLAIN_LIKELY, "init", "^Failed to execute * (error -12)",
		NULL, NULL, "memory was too small to start %1",
		{DO("give the machine more memory (caisson run --memory)")}},
	{"init-failed", RULE_CAUSE, EXPLAIN_LIKELY, "init", "^Failed to execute * (error -*)", NULL,
		NULL, "%1 could not be started: error %2 (errno(3))",
		{DO("look at the file: caisson initramfs list FILE")}},
	{"init-named", RULE_CAUSE, EXPLAIN_CERTAIN, "init", "Requested init * failed (error -*).",
		NULL, NULL,
		"%1, which init= names, could not be started: error %2 (errno(3); 2: it, "
		"its interpreter or its loader is not there, 8: no program of this "
		"processor, 13: it may not be executed)",
		{ARGUMENT("init=PATH", "has to name a program on the root filesystem")}},
	{"init-none", RULE_END, EXPLAIN_LIKELY, "init", "No working init found", NULL, NULL,
		"the root filesystem was mounted, and no program on it could be started: there is no "
		"/sbin/init, /etc/init, /bin/init or /bin/sh",
		{ARGUMENT("init=PATH", "names another program"), OPTION("CONFIG_BINFMT_ELF")}},
	{"init-no-console", RULE_HINT, EXPLAIN_LIKELY, NULL, "unable to open an initial console",
		NULL, NULL,
		"the first program has no standard input, output and error: there is no "
		"/dev/console in the boot archive",
		{OPTION("CONFIG_DEVTMPFS_MOUNT"),
			DO("put the device into the archive (character, 5:1)")}},

	/* caisson's own first program, and the modules it loads. */
	NO_FILESYSTEM("guest-squashfs",
		"caisson-init: fatal: mount * (squashfs) on *: No such device", "squashfs",
		"CONFIG_SQUASHFS"),
	NO_FILESYSTEM("guest-overlay",
		"caisson-init: fatal: mount * (overlay) on *: No such device", "overlay",
		"CONFIG_OVERLAY_FS"),
	NO_FILESYSTEM("guest-tmpfs", "caisson-init: fatal: mount * (tmpfs) on *: No such device",
		"tmpfs", "CONFIG_TMPFS"),
	NO_FILESYSTEM("guest-devtmpfs",
		"caisson-init: fatal: mount * (devtmpfs) on *: No such device", "devtmpfs",
		"CONFIG_DEVTMPFS"),
	NO_FILESYSTEM("guest-proc", "caisson-init: fatal: mount * (proc) on *: No such device",
		"proc", "CONFIG_PROC_FS"),
	NO_FILESYSTEM("guest-sysfs", "caisson-init: fatal: mount * (sysfs) on *: No such device",
		"sysfs", "CONFIG_SYSFS"),
	NO_FILESYSTEM("guest-ext4", "caisson-init: fatal: mount the volume *: No such device",
		"ext4, of the volume", "CONFIG_EXT4_FS"),
	{"guest-events", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"caisson-init: fatal: open a socket for the kernel's device events", NULL, NULL,
		"the kernel has no sockets of its own to tell of its devices by",
		{OPTION("CONFIG_NET")}},
	{"guest-module-signature", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"load the kernel module *: Key was rejected by service", NULL, NULL,
		"the module %1 has a signature that this kernel does not trust, or none: it was made "
		"for another kernel, or changed",
		{DO("take the modules of the very kernel that is started")}},
	{"guest-module-format", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"load the kernel module *: Exec format error", NULL, NULL,
		"the module %1 is for another kernel than the one that runs",
		{DO("take the modules of the very kernel that is started (caisson run --modules)")}},
	{"guest-module-symbol", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"load the kernel module *: No such file or directory", NULL, NULL,
		"the module %1 needs another one that is not there, or that is of another kernel",
		{DO("run depmod, and make the boot archive anew"),
			DO("take the modules of the very kernel that is started (caisson run "
			   "--modules)")}},
	{"guest-disk", RULE_CAUSE, EXPLAIN_LIKELY, "killed",
		"caisson-init: fatal: the virtio disk '*' did not appear", NULL, NULL,
		"the kernel does not see the disk %1: the driver for it, or for how it is attached, is "
		"missing",
		{OPTION("CONFIG_VIRTIO_BLK"), OPTION("CONFIG_VIRTIO_MMIO"),
			OPTION("CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES"), OPTION("CONFIG_VIRTIO_PCI")}},
	{"guest-port", RULE_CAUSE, EXPLAIN_LIKELY, "killed",
		"caisson-init: fatal: the * '*' did not appear", NULL, NULL,
		"the kernel does not see the %1 %2: the driver for it, or for how it is "
		"attached, is missing",
		{OPTION("CONFIG_VIRTIO_CONSOLE"), OPTION("CONFIG_VIRTIO_MMIO"),
			OPTION("CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES"), OPTION("CONFIG_VIRTIO_PCI")}},
	{"guest-no-vsock", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"open a vsock: Address family not supported", NULL, NULL,
		"the kernel has no vsock, by which the guest was to talk to the host",
		{OPTION("CONFIG_VIRTIO_VSOCKETS"),
			DO("take the other channel: caisson run --channel virtio-serial")}},
	{"guest-no-vsock-device", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"connect to the host's vsock port *: No such device", NULL, NULL,
		"the kernel has vsock, and no driver for the machine's vsock device",
		{OPTION("CONFIG_VIRTIO_VSOCKETS"),
			DO("take the other channel: caisson run --channel virtio-serial")}},
	{"guest-fatal", RULE_CAUSE, EXPLAIN_LIKELY, "killed", "caisson-init: fatal: *", NULL, NULL,
		"caisson's program in the guest gave up, and says why: %1", {{EXPLAIN_NOTHING}}},

	/* Encryption. */
	{"dm-missing", RULE_CAUSE, EXPLAIN_CERTAIN, "killed", "Cannot initialize device-mapper",
		NULL, NULL,
		"the kernel has no device mapper: it is not built in, and the module dm_mod "
		"was not loaded",
		{OPTION("CONFIG_BLK_DEV_DM"), OPTION("CONFIG_DM_CRYPT")}},
	{"dm-cipher", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"device-mapper: table: * crypt: Error allocating crypto tfm", NULL, NULL,
		"the kernel lacks the cipher of the volume, or its mode",
		{OPTION("CONFIG_CRYPTO_XTS"), OPTION("CONFIG_CRYPTO_AES"),
			DO("cryptsetup luksDump says which cipher the volume has")}},
	{"dm-no-crypt", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"device-mapper: table: * crypt: unknown target type", NULL, NULL,
		"the kernel has the device mapper, and not its encryption",
		{OPTION("CONFIG_DM_CRYPT")}},
	{"dm-no-verity", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"device-mapper: table: * verity: unknown target type", NULL, NULL,
		"the kernel has the device mapper, and not dm-verity",
		{OPTION("CONFIG_DM_VERITY")}},
	{"dm-no-integrity", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"device-mapper: table: * integrity: unknown target type", NULL, NULL,
		"the kernel has the device mapper, and not dm-integrity",
		{OPTION("CONFIG_DM_INTEGRITY")}},
	{"dm-no-target", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"device-mapper: table: *: *: unknown target type", NULL, NULL,
		"the device mapper has no target of the kind %2",
		{DO("set its option (CONFIG_DM_...), or load its module")}},
	{"dm-crypt-unsupported", RULE_CAUSE, EXPLAIN_LIKELY, "killed",
		"Check that kernel supports * cipher", NULL, NULL,
		"the kernel lacks dm-crypt, or the cipher %1",
		{OPTION("CONFIG_DM_CRYPT"), OPTION("CONFIG_CRYPTO_XTS"),
			OPTION("CONFIG_CRYPTO_AES")}},
	{"dm-verity-damage", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"device-mapper: verity: * is corrupted", NULL, NULL,
		"what dm-verity guards is not what its hash says: %1 was changed, or is damaged",
		{DO("make the image and its hash anew")}},

	/* Filesystems. */
	NO_FILESYSTEM("mount-ext4", "unknown filesystem type 'ext4'", "ext4", "CONFIG_EXT4_FS"),
	NO_FILESYSTEM("mount-squashfs", "unknown filesystem type 'squashfs'", "squashfs",
		"CONFIG_SQUASHFS"),
	NO_FILESYSTEM("mount-overlay", "unknown filesystem type 'overlay'", "overlay",
		"CONFIG_OVERLAY_FS"),
	NO_FILESYSTEM("mount-xfs", "unknown filesystem type 'xfs'", "XFS", "CONFIG_XFS_FS"),
	NO_FILESYSTEM("mount-btrfs", "unknown filesystem type 'btrfs'", "btrfs", "CONFIG_BTRFS_FS"),
	NO_FILESYSTEM("mount-erofs", "unknown filesystem type 'erofs'", "EROFS", "CONFIG_EROFS_FS"),
	NO_FILESYSTEM("mount-virtiofs", "unknown filesystem type 'virtiofs'", "virtiofs",
		"CONFIG_VIRTIO_FS"),
	NO_FILESYSTEM("mount-devtmpfs", "unknown filesystem type 'devtmpfs'", "devtmpfs",
		"CONFIG_DEVTMPFS"),
	{"mount-unknown", RULE_CAUSE, EXPLAIN_LIKELY, "killed", "unknown filesystem type '*'", NULL,
		NULL,
		"the kernel does not know the filesystem %1: it is not built in, and no module "
		"of it was loaded",
		{DO("set its option, or load its module")}},
	{"mount-no-filesystem", RULE_CAUSE, EXPLAIN_LIKELY, "killed",
		"mount: mounting * on * failed: No such device", NULL, NULL,
		"%1 could not be mounted: the kernel does not know the filesystem that was asked for",
		{OPTION_FOR("CONFIG_EXT4_FS",
			"ext4 cannot be mounted; or the option of what was "
			"asked for: SQUASHFS, OVERLAY_FS, XFS_FS, BTRFS_FS")}},
	{"squashfs-compression", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"Filesystem uses \"zstd\" compression. This is not supported", NULL, NULL,
		"the squashfs is compressed with zstd, which this kernel cannot read",
		{OPTION("CONFIG_SQUASHFS_ZSTD")}},
	{"squashfs-compression", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"Filesystem uses \"*\" compression. This is not supported", NULL, NULL,
		"the squashfs is compressed with %1, which this kernel cannot read",
		{DO("set the option for it (CONFIG_SQUASHFS_...), or pack the image with zstd")}},
	{"ext4-crc32c", RULE_CAUSE, EXPLAIN_CERTAIN, "killed", "Cannot load crc32c driver", NULL,
		NULL, "ext4 asked the kernel for a checksum that it does not have",
		{OPTION("CONFIG_CRYPTO_CRC32C")}},
	{"ext4-features", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"ouldn't mount*because of unsupported optional features (*)", NULL, NULL,
		"the ext4 was made with features (%2) that are newer than this kernel",
		{DO("use a newer kernel, or make the filesystem without them (mke2fs -O ^NAME)")}},

	/* Modules. */
	{"module-version", RULE_CAUSE, EXPLAIN_CERTAIN, "killed", "version magic '*' should be '*'",
		NULL, NULL, "a module is for the kernel %1, and the one that runs is %2",
		{DO("take the modules of the very kernel that is started"),
			DO("make the boot archive anew")}},
	{"module-version", RULE_CAUSE, EXPLAIN_CERTAIN, "killed", "Invalid module format", NULL,
		NULL, "a module is for another kernel than the one that runs",
		{DO("take the modules of the very kernel that is started"),
			DO("make the boot archive anew")}},
	{"module-version", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"disagrees about version of symbol *", NULL, NULL,
		"a module is for another build of this kernel (symbol %1)",
		{DO("take the modules of the very kernel that is started"),
			DO("make the boot archive anew")}},
	{"module-signature", RULE_CAUSE, EXPLAIN_CERTAIN, "killed", "Key was rejected by service",
		NULL, NULL,
		"a module has a signature that this kernel does not trust: it was made for "
		"another kernel, or changed behind its signature",
		{DO("take the modules of the very kernel that is started")}},
	{"module-signature", RULE_CAUSE, EXPLAIN_CERTAIN, "killed", "Loading of * is rejected",
		NULL, NULL,
		"the kernel loads signed modules alone, and met one of another kind: %1",
		{DO("take the modules of the very kernel that is started"),
			ARGUMENT("module.sig_enforce=0", "where the kernel leaves the choice")}},
	{"module-symbol", RULE_CAUSE, EXPLAIN_LIKELY, "killed", "^*: Unknown symbol * (err -2)",
		NULL, NULL,
		"the module %1 was loaded before one that it needs (for %2), or that one is "
		"missing",
		{DO("run depmod, and make the boot archive anew: caisson initramfs build brings what "
		    "modules need")}},
	{"module-missing", RULE_HINT, EXPLAIN_LIKELY, "killed",
		"modprobe: FATAL: Module * not found in directory *", NULL, NULL,
		"there is no module %1 in the boot archive, and the kernel may have it neither",
		{DO("add it: caisson initramfs build --module")}},
	{"module-missing", RULE_HINT, EXPLAIN_LIKELY, "killed", "modprobe: can't load module *",
		NULL, NULL,
		"there is no module %1 in the boot archive, and the kernel may have it neither",
		{DO("add it: caisson initramfs build --module")}},

	/* Devices. */
	{"virtio-probe", RULE_CAUSE, EXPLAIN_LIKELY, "root",
		"^virtio_blk: probe of * failed with error -*", NULL, NULL,
		"the disk %1 was found, and its driver could not take it: error %2 (errno(3); 2 and 12: "
		"interrupts or memory were not to be had)",
		{ARGUMENT("pci=nomsi", "where a machine's interrupts over PCI do not arrive"),
			DO("give the machine more memory (caisson run --memory)")}},
	{"virtio-probe", RULE_HINT, EXPLAIN_LIKELY, NULL,
		"^virtio*: probe of * failed with error -*", NULL, NULL,
		"the device %2 was found, and its driver could not take it: error %3 "
		"(errno(3))",
		{DO("compare how the machine offers it: -device virtio-...-device over MMIO, "
		    "-device virtio-...-pci over PCI")}},

	/* Memory. */
	{"memory-deadlock", RULE_CAUSE, EXPLAIN_CERTAIN, "memory",
		"Kernel panic - not syncing: System is deadlocked on memory", NULL, NULL,
		"memory ran out, and there was no process that could have been ended for it",
		{DO("give the machine more memory (caisson run --memory)"),
			DO("make the boot archive smaller: caisson initramfs build --explain shows "
			   "what is in it")}},
	{"memory-panic", RULE_CAUSE, EXPLAIN_CERTAIN, "memory",
		"Kernel panic - not syncing: Out of memory", NULL, NULL, "memory ran out",
		{DO("give the machine more memory (caisson run --memory)"),
			ARGUMENT("vm.panic_on_oom=0",
				"a process is ended in place of the machine")}},
	{"memory-killed", RULE_HINT, EXPLAIN_LIKELY, "killed",
		"Out of memory: Killed process * (*)", NULL, NULL,
		"memory ran out, and the kernel ended process %1 (%2)",
		{DO("give the machine more memory (caisson run --memory)")}},
	{"space", RULE_HINT, EXPLAIN_LIKELY, "killed", "No space left on device", NULL, NULL,
		"a filesystem is full; that of a boot archive is memory, of which it takes half at most",
		{DO("give the machine more memory (caisson run --memory)"),
			DO("write to a volume")}},

	/* Processors. */
	{"processor-level", RULE_CAUSE, EXPLAIN_CERTAIN, "killed", "CPU does not support x86-64-v*",
		NULL, NULL,
		"the program's C library is built for processors of level x86-64-v%1, and "
		"the virtual one is older",
		{DO("give the machine a newer processor (QEMU: -cpu host, or max)")}},
	{"processor-level", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"CPU ISA level is lower than required", NULL, NULL,
		"a shared library is built for a newer processor than the virtual one",
		{DO("give the machine a newer processor (QEMU: -cpu host, or max)")}},
	{"processor-instruction", RULE_HINT, EXPLAIN_LIKELY, "killed",
		"^traps: *[*] trap invalid opcode", NULL, NULL,
		"%1 met an instruction that the virtual processor does not have",
		{DO("give the machine a newer processor (QEMU: -cpu host, or max)"),
			DO("or build the program for an older one")}},
	{"processor-instruction", RULE_HINT, EXPLAIN_LIKELY, "killed", "Illegal instruction", NULL,
		NULL, "a program met an instruction that the virtual processor does not have",
		{DO("give the machine a newer processor (QEMU: -cpu host, or max)"),
			DO("or build the program for an older one")}},
	{"processor-kernel", RULE_HINT, EXPLAIN_LIKELY, "oops", "^invalid opcode: ", NULL,
		"kernel BUG at",
		"the kernel itself met an instruction that the virtual processor does "
		"not have",
		{DO("give the machine a newer processor (QEMU: -cpu host, or max)")}},
	{"timer", RULE_CAUSE, EXPLAIN_CERTAIN, NULL, "IO-APIC + timer doesn't work!", NULL, NULL,
		"the timer's interrupts did not arrive while the kernel looked for them, which happens "
		"on a busy host",
		{ARGUMENT("no_timer_check", "the kernel takes the timer's word for it"),
			DO("start it again")}},

	/* Shared libraries; what the first program says before it ends. */
	{"library", RULE_CAUSE, EXPLAIN_CERTAIN, "killed",
		"error while loading shared libraries: *: cannot open shared object file", NULL,
		NULL, "the shared library %1 is not in the boot archive",
		{DO("bring programs with their libraries: caisson initramfs build --program"),
			DO("see what is missing: caisson initramfs verify FILE")}},
	{"library", RULE_CAUSE, EXPLAIN_CERTAIN, "killed", "Error loading shared library *: *",
		NULL, NULL, "the shared library %1 could not be loaded: %2",
		{DO("bring programs with their libraries: caisson initramfs build --program"),
			DO("see what is missing: caisson initramfs verify FILE")}},
	{"command", RULE_HINT, EXPLAIN_LIKELY, "killed", "init: line *: *: not found", NULL, NULL,
		"the script that is the first program calls %2, which is not in the boot archive",
		{DO("bring it with all that it needs: caisson initramfs build --program")}},
	{"init-segfault", RULE_END, EXPLAIN_CERTAIN, "killed",
		"Attempted to kill init! exitcode=0x0000000b", NULL, NULL,
		"the first program crashed (SIGSEGV), and no machine runs without it",
		{DO("run it outside of a machine, with its libraries of the archive"),
			DO("give the machine more memory (caisson run --memory)")}},
	{"init-illegal", RULE_END, EXPLAIN_LIKELY, "killed",
		"Attempted to kill init! exitcode=0x00000004", NULL, NULL,
		"the first program met an instruction that the virtual processor does not have",
		{DO("give the machine a newer processor (QEMU: -cpu host, or max)"),
			DO("or build the program for an older one")}},
	{"init-bus", RULE_END, EXPLAIN_LIKELY, "killed",
		"Attempted to kill init! exitcode=0x00000007", NULL, NULL,
		"the first program reached for a part of a file that is not there (SIGBUS): the file "
		"is cut, or memory ran out",
		{DO("look for it: caisson initramfs verify FILE")}},
	{"init-abort", RULE_END, EXPLAIN_LIKELY, "killed",
		"Attempted to kill init! exitcode=0x00000006", NULL, NULL,
		"the first program gave up by itself (SIGABRT); what it said stands above that line",
		{{EXPLAIN_NOTHING}}},
	{"init-killed", RULE_END, EXPLAIN_LIKELY, "killed",
		"Attempted to kill init! exitcode=0x00000009", NULL, NULL,
		"the first program was killed (SIGKILL): by the kernel when memory ran out, as a rule",
		{DO("give the machine more memory (caisson run --memory)")}},
	{"init-not-found", RULE_END, EXPLAIN_LIKELY, "killed",
		"Attempted to kill init! exitcode=0x00007f00", NULL, NULL,
		"the first program ended with status 127: a command, or a shared library, was not "
		"found",
		{DO("see what is missing: caisson initramfs verify FILE")}},
	{"init-ended", RULE_END, EXPLAIN_CERTAIN, "killed",
		"Attempted to kill init! exitcode=0x0000*00", NULL, NULL,
		"the first program ended, with status %x1: it has to run for as long as the machine "
		"does. What it said stands above that line",
		{DO("let it end with poweroff or reboot, or start what goes on (exec)")}},
	{"init-signal", RULE_END, EXPLAIN_LIKELY, "killed",
		"Attempted to kill init! exitcode=0x000000*", NULL, NULL,
		"the first program was ended by signal %x1 (signal(7))", {{EXPLAIN_NOTHING}}},

	/* Security. */
	{"selinux", RULE_CAUSE, EXPLAIN_CERTAIN, NULL, "Kernel panic - not syncing: SELinux: *",
		NULL, NULL, "SELinux is to be enforced, and stopped the machine: %1",
		{ARGUMENT("selinux=0", "nothing is enforced"),
			DO("put a policy that can be loaded where init looks for it")}},
	{"selinux-denied", RULE_HINT, EXPLAIN_POSSIBLE, "killed", "avc:*denied", NULL, NULL,
		"SELinux denied a program what it asked for",
		{ARGUMENT("enforcing=0", "what is against the policy is logged and allowed")}},
	{"lockdown", RULE_HINT, EXPLAIN_LIKELY, "killed", "^Lockdown: *: * is restricted", NULL,
		NULL, "the kernel is locked down, and refused %1: %2",
		{ARGUMENT("lockdown=none", "where the kernel leaves the choice"),
			DO("sign what is to be loaded, or start the machine without Secure Boot")}},

	/* Randomness and time; an emulated or busy host. */
	{"random", RULE_HINT, EXPLAIN_POSSIBLE, NULL, "uninitialized urandom read", NULL,
		"crng init done", "programs wait for randomness, and this machine finds none",
		{ARGUMENT("random.trust_cpu=on", "the processor's own counts"),
			OPTION("CONFIG_HW_RANDOM_VIRTIO"),
			DO("give the machine a virtio-rng device")}},
	{"stall", RULE_HINT, EXPLAIN_POSSIBLE, "oops", "rcu*detected*stall", NULL, NULL,
		"a virtual processor did not run for a long time: the host is too busy, or has "
		"suspended it",
		{DO("look at the host's load"),
			DO("give the machine fewer processors (caisson run --cpus)")}},
	{"stall", RULE_HINT, EXPLAIN_POSSIBLE, "oops", "soft lockup - CPU#* stuck", NULL, NULL,
		"a virtual processor did not come to an end for a long time: the host is too busy, or "
		"has suspended it",
		{DO("look at the host's load"),
			DO("give the machine fewer processors (caisson run --cpus)")}},

	/* Nothing was said. */
	{"silent-setup", RULE_SILENT, EXPLAIN_LIKELY, NULL, "Probing EDD", NULL, NULL,
		"the kernel's setup code ran, and the kernel itself said nothing: its messages go "
		"elsewhere, or it ended before it had a console, as with much too little memory",
		{ARGUMENT("console=ttyS0", "messages come out on the first serial port"),
			OPTION("CONFIG_SERIAL_8250_CONSOLE"),
			ARGUMENT("earlyprintk=ttyS0", "the first messages come out at once"),
			DO("give the machine more memory: a distribution's kernel wants 128 MiB")}},
	{"silent-firmware", RULE_SILENT, EXPLAIN_LIKELY, NULL, "Booting from ", NULL, NULL,
		"the firmware started what it found, and the kernel said nothing: its messages go "
		"elsewhere, or what was started is no kernel",
		{ARGUMENT("console=ttyS0", "messages come out on the first serial port"),
			OPTION("CONFIG_SERIAL_8250_CONSOLE"),
			ARGUMENT("earlyprintk=ttyS0", "the first messages come out at once")}},
	{"silent-firmware", RULE_SILENT, EXPLAIN_LIKELY, NULL, "SeaBIOS (version ", NULL, NULL,
		"the firmware ran, and no kernel said anything: none was started, or its messages go "
		"elsewhere",
		{ARGUMENT("console=ttyS0", "messages come out on the first serial port"),
			OPTION("CONFIG_SERIAL_8250_CONSOLE"),
			ARGUMENT("earlyprintk=ttyS0", "the first messages come out at once")}},
	{"silent", RULE_SILENT, EXPLAIN_POSSIBLE, NULL, "", NULL, NULL,
		"the kernel said nothing: its messages go elsewhere or were silenced (quiet), it has no "
		"driver for the console, memory was too small for it, or it was never started",
		{ARGUMENT("console=ttyS0", "messages come out on the first serial port (hvc0: on a "
					   "virtio console)"),
			OPTION("CONFIG_SERIAL_8250_CONSOLE"),
			ARGUMENT("earlyprintk=ttyS0", "the first messages come out at once"),
			OPTION("CONFIG_PVH"),
			DO("leave out quiet, and start it with caisson run --console"),
			DO("give the machine more memory: a distribution's kernel wants 128 MiB")}},

	/* The log ends before the first program was started. */
	{"hang-console", RULE_HANG, EXPLAIN_CERTAIN, NULL, "bootconsole [*] disabled", NULL,
		"console [ttyS0] enabled",
		"the first messages came out, and then the kernel changed to a console that is not "
		"this one: the machine may run well, unseen",
		{ARGUMENT("console=ttyS0", "messages come out on the first serial port"),
			OPTION("CONFIG_SERIAL_8250_CONSOLE"),
			ARGUMENT("keep_bootcon", "the early console stays")}},
	{"hang-clock", RULE_HANG, EXPLAIN_LIKELY, NULL, "^tsc: ", NULL, NULL,
		"the log ends while the kernel measures how fast the processor's clock is; under "
		"emulation on a busy host that can go on for ever",
		{ARGUMENT("tsc_early_khz=KHZ", "it is not measured; the host's figure is in "
					       "/proc/cpuinfo (cpu MHz, times 1000)"),
			DO("leave out ACPI (QEMU: -machine microvm,acpi=off)")}},
	{"hang-clock", RULE_HANG, EXPLAIN_LIKELY, NULL, "clocksource: ", NULL, NULL,
		"the log ends while the kernel chooses a clock; under emulation on a busy host that "
		"can go on for ever",
		{ARGUMENT("tsc_early_khz=KHZ", "the processor's clock is not measured; the host's "
					       "figure is in /proc/cpuinfo (cpu MHz, times 1000)"),
			DO("leave out ACPI (QEMU: -machine microvm,acpi=off)")}},
	{"hang-random", RULE_HANG, EXPLAIN_LIKELY, NULL, "random: ", NULL, "crng init done",
		"the log ends while the kernel waits for randomness",
		{ARGUMENT("random.trust_cpu=on", "the processor's own counts"),
			OPTION("CONFIG_HW_RANDOM_VIRTIO"),
			DO("give the machine a virtio-rng device")}},
	{"hang-no-clock", RULE_HANG, EXPLAIN_POSSIBLE, NULL, "",
		"tsc: Marking TSC unstable due to could not calculate TSC khz", NULL,
		"the log ends before the first program was started, and the kernel found no clock that "
		"it could measure the processor's by: what waits for a while may wait for ever",
		{ARGUMENT("tsc_early_khz=KHZ", "the processor's clock is not measured; the host's "
					       "figure is in /proc/cpuinfo (cpu MHz, times 1000)"),
			DO("start it again when the host is less busy"),
			DO("see that the log is whole")}},
	{"hang", RULE_HANG, EXPLAIN_POSSIBLE, NULL, "", NULL, NULL,
		"the log ends before the first program was started: the kernel hangs in what comes "
		"behind that line, the machine was ended, or the log is cut",
		{ARGUMENT("initcall_debug ignore_loglevel", "the kernel names each step as it "
							    "begins it"),
			DO("see that the log is whole")}},

	/* It ends behind it. */
	{"reboot-halted", RULE_AFTER, EXPLAIN_LIKELY, NULL, "^reboot: System halted",
		"terminating on signal", NULL,
		"the guest was to be switched off, and only halted: without ACPI there is no power to "
		"switch",
		{DO("let it restart in place of that: with reboot=t, QEMU's -no-reboot ends the "
		    "machine"),
			DO("give the machine ACPI")}},
	{"reboot-hang", RULE_AFTER, EXPLAIN_LIKELY, NULL, "^reboot: ", "terminating on signal",
		NULL,
		"the machine was to restart or to be switched off, and did not: without ACPI and a "
		"keyboard controller nothing does that",
		{ARGUMENT("reboot=t",
			 "a triple fault restarts the machine; QEMU's -no-reboot ends it "
			 "then"),
			DO("give the machine ACPI")}},
};

const struct explain_rule *explain_rules(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(rules);
	return rules;
}
