/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What each profile brings beside the guest's own programs: a table. */
#include <string.h>

#include "boot/spec.h"

/* PID 1 of the rescue profile, for busybox: it loads what the list says, and gives a shell. */
static const char rescue_init[] =
	"#!/bin/busybox sh\n"
	"# Programs that came along go before busybox's own of the same names, which its shell prefers.\n"
	"for program in /usr/sbin/* /usr/bin/* /sbin/*; do\n"
	"\t[ ! -f \"$program\" ] || echo \"alias ${program##*/}=$program\"\n"
	"done >/etc/caisson/aliases\n"
	"export ENV=/etc/caisson/aliases\n"
	"export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
	"/bin/busybox mkdir -p /bin /sbin /usr/bin /usr/sbin /mnt /tmp /run/cryptsetup\n"
	"/bin/busybox --install -s\n"
	"mount -t proc proc /proc\n"
	"mount -t sysfs sysfs /sys\n"
	"mount -t devtmpfs devtmpfs /dev\n"
	"mkdir -p /dev/pts /dev/shm\n"
	"mount -t devpts devpts /dev/pts\n"
	"mount -t tmpfs tmpfs /run\n"
	"mkdir -p /run/cryptsetup\n"
	"while read -r module parameters; do\n"
	"\tcase $module in '' | '#'*) ;; *) insmod \"$module\" $parameters 2>/dev/null ;; esac\n"
	"done </etc/caisson/modules\n"
	"echo 'caisson rescue: volumes open by cryptsetup, /etc/caisson/modules is loaded;'\n"
	"echo 'leave the shell to switch the machine off.'\n"
	"setsid cttyhack sh\n"
	"sync\n"
	"poweroff -f\n";

enum kind { PROGRAM, TEXT, LINK, MODULE };

static const struct line {
	unsigned int profiles; /* bits */
	enum kind kind;
	const char *source, *path;
	mode_t mode;
	bool optional;
} lines[] = {
#define FIRSTBOOT (1u << SPEC_FIRSTBOOT)
#define RESCUE    (1u << SPEC_RESCUE)
	{FIRSTBOOT, MODULE, "tpm_tis", NULL, 0, true},
	{FIRSTBOOT, MODULE, "tpm_crb", NULL, 0, true},

	{RESCUE, TEXT, rescue_init, "/init", 0755, false},
	{RESCUE, PROGRAM, "busybox", "/bin/busybox", 0, false},
	{RESCUE, PROGRAM, "cryptsetup", NULL, 0, false},
	{RESCUE, PROGRAM, "e2fsck", NULL, 0, false},
	{RESCUE, PROGRAM, "mke2fs", NULL, 0, true},
	{RESCUE, PROGRAM, "resize2fs", NULL, 0, true},
	{RESCUE, PROGRAM, "blkid", NULL, 0, true},
	{RESCUE, PROGRAM, "lsblk", NULL, 0, true},
	{RESCUE, PROGRAM, "dmsetup", NULL, 0, true},
	{RESCUE, PROGRAM, "sfdisk", NULL, 0, true},
	/* Disks of machines that are made of metal, too. */
	{RESCUE, MODULE, "virtio_pci", NULL, 0, true},
	{RESCUE, MODULE, "virtio_mmio", NULL, 0, true},
	{RESCUE, MODULE, "virtio_scsi", NULL, 0, true},
	{RESCUE, MODULE, "nvme", NULL, 0, true},
	{RESCUE, MODULE, "ahci", NULL, 0, true},
	{RESCUE, MODULE, "sd_mod", NULL, 0, true},
	{RESCUE, MODULE, "xhci_pci", NULL, 0, true},
	{RESCUE, MODULE, "usb_storage", NULL, 0, true},
	{RESCUE, MODULE, "xfs", NULL, 0, true},
	{RESCUE, MODULE, "btrfs", NULL, 0, true},
	{RESCUE, MODULE, "vfat", NULL, 0, true},
	{RESCUE, MODULE, "dm_integrity", NULL, 0, true},
	{RESCUE, MODULE, "dm_verity", NULL, 0, true},
	{RESCUE, MODULE, "algif_skcipher", NULL, 0, true},
	{RESCUE, MODULE, "tpm_tis", NULL, 0, true},
	{RESCUE, MODULE, "tpm_crb", NULL, 0, true},
};

int spec_add_profile(struct spec *spec, struct caisson_error *err)
{
	struct spec_items *const lists[] = {
		[PROGRAM] = &spec->programs,
		[TEXT] = &spec->texts,
		[LINK] = &spec->links,
		[MODULE] = &spec->modules,
	};
	_cleanup_free_ char *why =
		format_string("the profile %s", spec_profile_word(spec->profile));
	int r = 0;

	if (why == NULL)
		return caisson_fail(err, ENOMEM, "read a profile");
	for (size_t i = 0; i < ARRAY_SIZE(lines) && r == 0; i++) {
		const struct line *line = &lines[i];

		if ((line->profiles & 1u << spec->profile) != 0)
			r = spec_add(lists[line->kind], line->source, line->path, why, line->mode,
				line->optional, err);
	}
	return r;
}
