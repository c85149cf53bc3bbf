#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Volumes through dm-crypt: filled without it and read with it, and the other way round; each filesystem
# under its own fsck.
set -u
# shellcheck source=tests/lib/host-guest.sh
. /caisson/tests/lib/host-guest.sh
host_guest_begin "$1" open close mount unmount export
make_tree "$work/tree"
mapping=/dev/mapper/caisson-data

for filesystem in ext4 xfs btrfs; do
	size=160M
	[ $filesystem != xfs ] || size=400M
	if [ $filesystem = ext4 ]; then
		volume "$filesystem: created from a folder" create data --size $size --from "$work/tree"
	else
		volume "$filesystem: created" create data --size $size --filesystem $filesystem
	fi
	try "$caisson" volume inspect data --json
	same "$filesystem: recorded" $filesystem "$(member filesystem)"
	volume "$filesystem: opened" open data --kernel
	check "$filesystem: there is a mapping" test -b $mapping
	like "$filesystem: of dm-crypt" 'crypt aes-xts-plain64' "$(dmsetup table caisson-data)"
	try fsck_of $filesystem $mapping
	ended "$filesystem: its fsck finds no fault" 0
	same "$filesystem: blkid knows it" $filesystem "$(blkid -p -o value -s TYPE $mapping)"
	like "$filesystem: with the volume's name" data "$(blkid -p -o value -s LABEL $mapping)"
	volume "$filesystem: mounted" mount data --kernel --target "$work/mnt"
	like "$filesystem: as what it is" "^$mapping $work/mnt $filesystem rw" "$(grep " $work/mnt " /proc/self/mounts)"
	if [ $filesystem = ext4 ]; then
		same_tree "$filesystem: what was filled in offline is there through dm-crypt" "$work/tree" "$work/mnt"
	else
		cp -a "$work/tree/." "$work/mnt/"
	fi
	seq 1 50000 >"$work/mnt/written"
	rm "$work/mnt/deep/er/hard"
	volume "$filesystem: unmounted" unmount data
	check_not "$filesystem: it is no mount any more" mountpoint -q "$work/mnt"
	volume "$filesystem: closed" close data
	nothing_left "$filesystem: nothing is left of it"
	volume "$filesystem: mounted again" mount data --kernel --target "$work/mnt"
	same "$filesystem: what was written is there" "$(seq 1 50000 | sha256sum)" "$(sha256sum <"$work/mnt/written")"
	check_not "$filesystem: what was removed is not" test -e "$work/mnt/deep/er/hard"
	cp -a "$work/tree/deep/er/hard" "$work/mnt/deep/er/hard"
	rm "$work/mnt/deep/er/hard" "$work/mnt/written"
	picture "$work/mnt" >"$work/mounted"
	volume "$filesystem: unmounted again" unmount data
	volume "$filesystem: closed again" close data
	# The reverse: what was written through dm-crypt is read without it.
	volume "$filesystem: exported, without dm-crypt" export data "$work/out.raw"
	try fsck_of $filesystem "$work/out.raw"
	ended "$filesystem: its fsck finds no fault there" 0
	mount -o loop,ro "$work/out.raw" "$work/mnt"
	picture "$work/mnt" >"$work/exported"
	umount "$work/mnt"
	check "$filesystem: with all that was written" cmp "$work/mounted" "$work/exported"
	volume "$filesystem: checked" check data
	rm "$work/out.raw"
	volume "$filesystem: destroyed" destroy data
	nothing_left "$filesystem: and is gone"
done

# Read-only

volume 'a volume' create data --size 64M --from "$work/tree"
before=$(sha256sum <"$(container_of data)")
volume 'read-only: mounted' mount data --kernel --read-only --target "$work/mnt"
same 'read-only: the mapping is' 1 "$(blockdev --getro $mapping)"
check_not 'read-only: not written' touch "$work/mnt/new"
check_not 'read-only: nor after another mount' mount -o remount,rw "$work/mnt"
same_tree 'read-only: but read' "$work/tree" "$work/mnt"
volume 'read-only: unmounted' unmount data
volume 'read-only: closed' close data
same 'read-only: no byte changed' "$before" "$(sha256sum <"$(container_of data)")"

# Twice, and in another order

volume 'opened' open data --kernel
volume 'opened once more' open data --kernel
try "$caisson" volume open data --kernel --json
ended 'opened a third time' 0
same 'says the device' $mapping "$(member device)"
same 'there is one mapping' 1 "$(dmsetup ls | grep -c caisson-data)"
refused 'a volume that is open is not resized to less' 'open|use|smaller|shrink' resize data 48M
refused 'nor restored' 'open|use' restore data "$work/key-a"
volume 'mounted' mount data --kernel --target "$work/mnt"
volume 'mounted once more, at the same place' mount data --kernel --target "$work/mnt"
same 'there is one mount' 1 "$(grep -c " $work/mnt " /proc/self/mounts)"
volume 'closed while mounted, which unmounts or is refused' unmount data
volume 'closed' close data
volume 'closed once more' close data
volume 'unmounted once more' unmount data
nothing_left 'nothing is left'

# Growing, closed and open

volume 'grown while closed' resize data 96M
volume 'mounted' mount data --kernel --target "$work/mnt"
same_tree 'grown: all is there' "$work/tree" "$work/mnt"
room=$(df --output=size -k "$work/mnt" | tail -n 1)
check 'grown: there is more room' test "$room" -gt 65000
volume 'grown while mounted' resize data 200M
same_tree 'grown online: all is there' "$work/tree" "$work/mnt"
check 'grown online: there is more room' test "$(df --output=size -k "$work/mnt" | tail -n 1)" -gt 150000
head -c 120000000 /dev/urandom >"$work/mnt/large"
sum=$(sha256sum <"$work/mnt/large")
volume 'unmounted' unmount data
volume 'closed' close data
volume 'checked' check data
volume 'mounted' mount data --kernel --target "$work/mnt"
same 'grown online: the new room holds what was put there' "$sum" "$(sha256sum <"$work/mnt/large")"
refused 'shrunk while mounted' 'open|mounted|use' resize data 64M
rm "$work/mnt/large"
volume 'unmounted' unmount data
volume 'closed' close data
volume 'shrunk while closed' resize data 64M
same 'shrunk: the file is as large' $((64 << 20)) "$(stat -c %s "$(container_of data)")"
volume 'mounted' mount data --kernel --target "$work/mnt"
same_tree 'shrunk: all is there' "$work/tree" "$work/mnt"
volume 'unmounted' unmount data
volume 'closed' close data
volume 'destroyed' destroy data

# A block device for a container

truncate -s 200M "$work/disk"
device=$(losetup --find --show "$work/disk")
volume 'on a device' create data --size 150M --device "$device" --from "$work/tree"
check 'cryptsetup sees it there' cryptsetup isLuks --type luks2 "$device"
refused 'a second on the same device' 'overwrite|holds|LUKS|use' create more --size 100M --device "$device"
volume 'mounted' mount data --kernel --target "$work/mnt"
same_tree 'all is there' "$work/tree" "$work/mnt"
same 'without another loop device' 1 "$(losetup --noheadings --output NAME | wc -l)"
volume 'unmounted' unmount data
volume 'closed' close data
volume 'destroyed' destroy data
check_not 'no header is left' cryptsetup isLuks "$device"
losetup -d "$device"

tap_end
