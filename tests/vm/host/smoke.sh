#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The host in a machine is one: device-mapper with the targets that the other scripts use, loop devices, NBD,
# FUSE, each filesystem; and a volume that cryptsetup opens.
set -u
# shellcheck source=tests/lib/host-guest.sh
. /caisson/tests/lib/host-guest.sh
host_guest_begin "$1"

check 'device-mapper' dmsetup version
check_not 'no udev' test -e /run/udev/control
for module in dm-crypt dm-flakey dm-integrity xfs btrfs fuse nbd loop; do
	check "the module $module" modprobe $module
done
make_tree "$work/tree"
check 'an extended attribute' getfattr -n user.colour "$work/tree/numbers"
cp -a "$work/tree" "$work/tree-copy"
same_tree 'a tree and its copy' "$work/tree" "$work/tree-copy"
echo more >>"$work/tree-copy/numbers"
check_not 'and a copy that was changed' cmp -s <(picture "$work/tree") <(picture "$work/tree-copy")
for filesystem in ext4 xfs btrfs; do
	truncate -s 400M "$work/disk"
	mkfs.$filesystem -q "$work/disk" >&2
	mount -o loop "$work/disk" "$work/mnt"
	cp -a "$work/tree/." "$work/mnt/"
	same_tree "$filesystem holds what the tree has" "$work/tree" "$work/mnt"
	check_not "$filesystem: what is left is seen" test -z "$(what_is_left)"
	umount "$work/mnt"
	nothing_left "$filesystem: and that nothing is"
	check "$filesystem: fsck" fsck_of $filesystem "$work/disk"
	rm "$work/disk"
done
truncate -s 8M "$work/disk"
device=$(losetup --find --show "$work/disk")
dmsetup create faulty --table "0 16384 flakey $device 0 0 100 1 error_writes"
check_not 'a disk that cannot be written' dd if=/dev/zero of=/dev/mapper/faulty bs=4096 count=1 oflag=direct
check 'but read' dd if=/dev/mapper/faulty of=/dev/null bs=4096 count=1 iflag=direct
dmsetup suspend --noflush faulty
dmsetup load faulty --table '0 16384 error'
dmsetup resume faulty
check_not 'a disk that cannot be read' dd if=/dev/mapper/faulty of=/dev/null bs=4096 count=1 iflag=direct
dmsetup remove faulty
losetup -d "$device"
check 'another IPC namespace' unshare --ipc true

"$caisson" volume create data --size 64M >/dev/null
service_key data
try cryptsetup open --key-file "$work/service" "$(container_of data)" data
ended 'cryptsetup opens a volume' 0
try e2fsck -fn /dev/mapper/data
ended 'with a filesystem that has no fault' 0
try mount /dev/mapper/data "$work/mnt"
ended 'which can be mounted' 0
cp -a "$work/tree/." "$work/mnt/"
same_tree 'and filled' "$work/tree" "$work/mnt"
umount "$work/mnt"
check 'and closed' cryptsetup close data
nothing_left 'nothing is left'
tap_end
