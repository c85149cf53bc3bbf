#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What goes wrong on a host: other namespaces, disks with faults, media that are read-only, files that were
# cut, disks that are full, users that will not leave.
set -u
# shellcheck source=tests/lib/host-guest.sh
. /caisson/tests/lib/host-guest.sh
host_guest_begin "$1" open close mount unmount destroy
make_tree "$work/tree"
mapping=/dev/mapper/caisson-data

# Another IPC namespace: udev's cookies would never be answered

volume 'a volume' create data --size 64M --from "$work/tree"
for around in 'unshare --ipc' 'unshare --ipc --uts --mount --propagation unchanged' 'unshare --ipc --net'; do
	# shellcheck disable=SC2086
	try timeout --kill-after=1 20 $around "$caisson" volume open data --kernel
	ended "$around: open" 0
	check "$around: the node is there" test -b $mapping
	# shellcheck disable=SC2086
	try timeout --kill-after=1 20 $around "$caisson" volume close data
	ended "$around: close" 0
	nothing_left "$around: nothing is left"
done
mkdir -p /run/udev
touch /run/udev/control
try timeout --kill-after=1 20 unshare --ipc "$caisson" volume open data --kernel
ended 'where udev seems to run: open' 0
try timeout --kill-after=1 20 unshare --ipc "$caisson" volume close data
ended 'where udev seems to run: close' 0
rm -r /run/udev
same 'no cookie is left' '' "$(dmsetup udevcookies 2>/dev/null | grep -v -i 'cookie')"

# Root of a container: the kernel has device-mapper, and nobody here may ask it

# shellcheck disable=SC2016 # the inner shell expands it
try timeout --kill-after=1 60 unshare --mount bash -c 'mount --bind /dev/null /dev/mapper/control &&
	"$0" volume open data && "$0" volume close data' "$caisson"
ended 'device-mapper cannot be asked: opened in user space, and closed' 0
nothing_left 'device-mapper cannot be asked: nothing is left'

# Two at once

"$caisson" volume open data --kernel >"$work/one" 2>&1 &
one=$!
"$caisson" volume open data --userspace >"$work/two" 2>&1 &
two=$!
wait $one
one=$?
wait $two
two=$?
check "two ways at once: one of them at least ($one, $two)" test $((one * two)) -eq 0
both=$(($(dmsetup ls | grep -c caisson-data) + $(pgrep -c caisson-attach)))
same 'two ways at once: and not both' 1 $both
volume 'closed' close data
nothing_left 'nothing is left'

# Held by somebody else

exec {lock}<"$(container_of data)"
flock --exclusive --timeout 5 $lock
for command in 'open data --kernel' 'open data --userspace' 'resize data 96M' 'destroy data' \
	"key add data --new-key-file $work/key-a" "copy data twin" "mount data --target $work/mnt"; do
	# shellcheck disable=SC2086
	try timeout 60 "$caisson" volume $command
	ended "locked by another: $command" 1 'use|locked|open|busy'
done
exec {lock}<&-
nothing_left 'nothing is left of them'
same 'and no copy' '' "$(ls -d "$CAISSON_STATE/volumes/twin" 2>/dev/null)"

# Mounted and busy

volume 'mounted' mount data --kernel --target "$work/mnt"
exec {busy}>"$work/mnt/busy"
try timeout 60 "$caisson" volume unmount data
ended 'unmount of what is busy' 1 'busy|use|open'
try timeout 60 "$caisson" volume close data
ended 'close of what is busy' 1 'busy|use|open|mounted'
cp --sparse=always "$(container_of data)" "$work/stolen"
service_key data
try timeout 60 "$caisson" volume destroy data
ended 'destroy of what is mounted and busy' 0
check_not 'it is no mount any more' mountpoint -q "$work/mnt"
check_not 'there is no file' test -e "$CAISSON_STATE/volumes/data"
exec {busy}>&-
nothing_left 'nothing is left when the last user goes'
try timeout 60 "$caisson" volume destroy data
ended 'destroyed again' 0
mkdir -p "$CAISSON_STATE/volumes/data"
cp --sparse=always "$work/stolen" "$(container_of data)"
try timeout 60 "$caisson" volume open data --kernel
ended 'a copy that was kept is not opened' 1 'key'
volume 'destroyed' destroy data
rm -f "$work/stolen"

# A disk with faults under a container

truncate -s 96M "$work/disk"
device=$(losetup --find --show "$work/disk")
sectors=$((96 * 2048))
modprobe dm-flakey
dmsetup create faulty --table "0 $sectors linear $device 0"
volume 'on a disk' create data --size 90M --device /dev/mapper/faulty --from "$work/tree"
faulty() { # TABLE
	dmsetup suspend --noflush faulty
	dmsetup load faulty --table "$1"
	dmsetup resume faulty
	blockdev --flushbufs /dev/mapper/faulty 2>/dev/null
}
faulty "0 $sectors error"
for command in 'open data --kernel' 'open data --userspace' "backup data $work/header" \
	"export data $work/out.raw" 'key add data --new-key-file '"$work/key-a" 'copy data twin'; do
	# shellcheck disable=SC2086
	try timeout 60 "$caisson" volume $command
	ended "a disk that cannot be read: $command" 1 'error|Input/output|read'
	same "a disk that cannot be read: $command: one sentence" 1 "$(grep -c '^caisson' <<<"$err")"
done
check_not 'no half backup' test -e "$work/header"
check_not 'no half export' test -e "$work/out.raw"
same 'no half copy' '' "$(ls -d "$CAISSON_STATE/volumes/twin" 2>/dev/null)"
# The header can be read, the payload cannot.
faulty "0 32768 linear $device 0
32768 $((sectors - 32768)) error"
try timeout 60 "$caisson" volume export data "$work/out.raw"
ended 'a payload that cannot be read: export' 1 'error|read'
check_not 'a payload that cannot be read: no half export' test -e "$work/out.raw"
try timeout 60 "$caisson" volume check data
ended 'a payload that cannot be read: check' 1
# Writes fail, reads do not.
faulty "0 $sectors flakey $device 0 0 100 1 error_writes"
before=$(sha256sum <"$work/disk")
for command in "key add data --new-key-file $work/key-a" "key change data --new-service"; do
	# shellcheck disable=SC2086
	try timeout 60 "$caisson" volume $command
	ended "a disk that cannot be written: $command" 1 'error|Input/output|write'
done
try timeout 60 "$caisson" volume destroy data
ended 'a disk that cannot be written: destroy says so' 1 'error|Input/output|erase|write'
faulty "0 $sectors linear $device 0"
same 'nothing was changed on it' "$before" "$(sha256sum <"$work/disk")"
try timeout 60 "$caisson" volume destroy data
ended 'with the disk in order it is destroyed' 0
check_not 'and has no header' cryptsetup isLuks /dev/mapper/faulty
faulty "0 $sectors flakey $device 0 0 100 1 error_writes"
try timeout 60 "$caisson" volume create data --size 90M --device /dev/mapper/faulty
ended 'a disk that cannot be written: create' 1 'error|Input/output|write'
same 'leaves nothing' '' "$(ls -A "$CAISSON_STATE/volumes")"
faulty "0 $sectors linear $device 0"
volume 'and can be repeated' create data --size 90M --device /dev/mapper/faulty --overwrite

# Read-only media

cp "$work/disk" "$work/disk.kept"
dmsetup remove --retry faulty
blockdev --setro "$device"
dmsetup create --readonly faulty --table "0 $sectors linear $device 0"
volume 'read-only media: mounted so' mount data --kernel --read-only --target "$work/mnt"
volume 'unmounted' unmount data
volume 'closed' close data
try timeout 60 "$caisson" volume open data --kernel
if [ "$status" -eq 0 ]; then
	same 'read-only media: opened, it is read-only' 1 "$(blockdev --getro $mapping)"
	"$caisson" volume close data
else
	ended 'read-only media: a writable open is refused' 1 'read-only|Read-only|permitted|denied'
fi
for command in "key add data --new-key-file $work/key-a" 'resize data 96M'; do
	# shellcheck disable=SC2086
	try timeout 60 "$caisson" volume $command
	ended "read-only media: $command" 1 'read-only|Read-only|permitted|denied|grow|size'
done
volume 'read-only media: exported' export data "$work/out.raw"
rm -f "$work/out.raw"
check 'read-only media: unchanged' cmp "$work/disk" "$work/disk.kept"
dmsetup remove --retry faulty
blockdev --setrw "$device"
losetup -d "$device"
rm -rf "$CAISSON_STATE" "$CAISSON_CONFIG"

# A container that was cut

volume 'a volume' create data --size 64M --from "$work/tree"
cp --sparse=always "$(container_of data)" "$work/kept"
for size in 63M 17M 16M 1M 4096 100 0; do
	cp --sparse=always "$work/kept" "$(container_of data)"
	truncate -s $size "$(container_of data)"
	for way in --kernel --userspace; do
		try timeout --kill-after=5 60 "$caisson" volume open data $way
		# No header says how large the payload is: only with less than a whole one is it sure to be seen here.
		if [ "$status" -eq 0 ] && [[ $size == 63M || $size == 17M ]]; then
			volume "cut to $size: closed $way" close data
		else
			ended "cut to $size: open $way" 1
			same "cut to $size: open $way: one sentence" 1 "$(grep -c '^caisson' <<<"$err")"
		fi
	done
	try timeout 60 "$caisson" volume check data
	ended "cut to $size: check tells" 1
	try timeout 60 "$caisson" volume inspect data
	ended "cut to $size: inspect" 0
	nothing_left "cut to $size: nothing is left"
done
cp --sparse=always "$work/kept" "$(container_of data)"
volume 'whole again, it opens' open data --kernel
volume 'closed' close data
volume 'destroyed' destroy data

# A full disk

mkdir "$work/small"
mount -t tmpfs -o size=40m,mode=0700 tmpfs "$work/small"
export CAISSON_STATE=$work/small/state CAISSON_CONFIG=$work/config-small
head -c 30000000 /dev/urandom >"$work/large"
try timeout 60 "$caisson" volume create data --size 64M --preallocate
ended 'full: create --preallocate' 1 'No space|full'
same 'full: nothing is left' '' "$(ls -A "$CAISSON_STATE/volumes")"
mkdir "$work/tree-large"
mv "$work/large" "$work/tree-large/"
cp "$work/tree-large/large" "$work/tree-large/more"
try timeout 60 "$caisson" volume create data --size 128M --from "$work/tree-large"
ended 'full: create --from' 1 'No space|full'
same 'full: nothing is left' '' "$(ls -A "$CAISSON_STATE/volumes")"
rm "$work/tree-large/more"
mount -o remount,size=50m "$work/small"
volume 'created' create data --size 128M --from "$work/tree-large"
try timeout 60 "$caisson" volume copy data twin
ended 'full: copy' 1 'No space|full'
same 'full: there is one volume' data "$(ls -A "$CAISSON_STATE/volumes")"
try timeout 60 "$caisson" volume export data "$work/small/out.raw"
ended 'full: export' 1 'No space|full'
check_not 'full: no half export' test -e "$work/small/out.raw"
for way in --kernel --userspace; do
	volume "full: opened $way" open data $way
	volume "full: closed $way" close data
done
volume 'full: mounted' mount data --kernel --target "$work/mnt"
dd if=/dev/urandom of="$work/mnt/fill" bs=1M 2>/dev/null
sync 2>/dev/null
try timeout 60 "$caisson" volume unmount data
try timeout 60 "$caisson" volume close data
nothing_left 'full: a mounted volume is closed after its disk was full'
mount -o remount,size=400m "$work/small"
volume 'with room again, it is mounted' mount data --kernel --target "$work/mnt"
same 'and what was there before is there' "$(sha256sum <"$work/tree-large/large")" "$(sha256sum <"$work/mnt/large")"
volume 'unmounted' unmount data
volume 'destroyed' destroy data
nothing_left 'nothing is left'
umount "$work/small"

tap_end
