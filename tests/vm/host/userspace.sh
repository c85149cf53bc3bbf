#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The other way on the same host: what is served over NBD and FUSE is what dm-crypt shows.
set -u
# shellcheck source=tests/lib/host-guest.sh
. /caisson/tests/lib/host-guest.sh
host_guest_begin "$1" open close mount unmount
make_tree "$work/tree"

volume 'a volume' create data --size 96M --from "$work/tree"
volume 'opened through dm-crypt' open data --kernel
plain=$(sha256sum </dev/mapper/caisson-data)
size=$(blockdev --getsize64 /dev/mapper/caisson-data)
volume 'closed' close data
try "$caisson" volume open data --userspace --json
ended 'opened in user space' 0
socket=$(member nbd)
file=$(member file)
same 'no mapping' '' "$(dmsetup ls | grep -v 'No devices')"
check 'a socket' test -S "$socket"
same 'which only its owner may use' 600 "$(stat -c %a "$socket")"
same 'of the size' "$size" "$(nbdinfo --size "nbd+unix:///data?socket=$socket" 2>/dev/null ||
	nbdinfo --size "nbd+unix:///?socket=$socket")"
same 'NBD: the same bytes as through dm-crypt' "$plain" "$(nbdcopy "nbd+unix:///data?socket=$socket" - | sha256sum)"
if [ -n "$file" ] && [ -e "$file" ]; then
	same 'the file: the same bytes' "$plain" "$(sha256sum <"$file")"
	check 'the file: a loop mount' mount -o loop,ro "$file" "$work/mnt"
	same_tree 'the file: the same files' "$work/tree" "$work/mnt"
	umount "$work/mnt"
fi
modprobe nbd
check "the kernel's client" nbd-client -unix "$socket" /dev/nbd0 -N data
check 'mounts it' mount /dev/nbd0 "$work/mnt"
same_tree 'the same files' "$work/tree" "$work/mnt"
seq 1 30000 >"$work/mnt/through-nbd"
umount "$work/mnt"
nbd-client -d /dev/nbd0 >/dev/null
volume 'closed' close data
nothing_left 'nothing is left'
volume 'mounted through dm-crypt' mount data --kernel --target "$work/mnt"
same 'what was written through NBD is there' "$(seq 1 30000 | sha256sum)" "$(sha256sum <"$work/mnt/through-nbd")"
seq 1 40000 >"$work/mnt/through-dm-crypt"
rm "$work/mnt/through-nbd"
volume 'unmounted' unmount data
volume 'closed' close data
volume 'mounted in user space' mount data --userspace --target "$work/mnt"
same 'what was written through dm-crypt is there' "$(seq 1 40000 | sha256sum)" \
	"$(sha256sum <"$work/mnt/through-dm-crypt")"
seq 1 60000 >"$work/mnt/through-fuse"
rm "$work/mnt/through-dm-crypt"
volume 'unmounted' unmount data
volume 'closed' close data
nothing_left 'nothing is left'
volume 'mounted through dm-crypt' mount data --kernel --target "$work/mnt"
same 'what was written in user space is there' "$(seq 1 60000 | sha256sum)" "$(sha256sum <"$work/mnt/through-fuse")"
rm "$work/mnt/through-fuse"
same_tree 'and all the rest' "$work/tree" "$work/mnt"
volume 'unmounted' unmount data
volume 'closed' close data
volume 'opened, read-only' open data --userspace --read-only
try nbdcopy --flush "$work/key-a" "nbd+unix:///data?socket=$socket"
check_not 'is not written' test "$status" -eq 0
volume 'closed' close data
try "$caisson" volume open data --json
ended 'without a word of the way: dm-crypt where there is root' 0
like 'which it says' 'kernel|dm-crypt|/dev/mapper' "$out"
volume 'closed' close data
volume 'destroyed' destroy data
nothing_left 'nothing is left'
tap_end
