#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a workload writes to a volume: it stays, it is encrypted, and it survives a crash.
# shellcheck disable=SC2016 # what is quoted, the guest expands
set -u
# shellcheck source=tests/lib/vm.sh
. "$(dirname "$0")/../lib/vm.sh"
vm_begin "$1"
data=$CAISSON_STATE/volumes/data/container
"$caisson" volume create data --size 64M >/dev/null
"$caisson" volume create more --size 64M >/dev/null

# Write, and read again

try vm_sh --rm --volume data:/data -v more:/deep/inside '
	i=0; while [ $i -lt 2000 ]; do echo "the quick brown marker $i"; i=$((i + 1)); done >/data/note
	sha256sum </data/note | cut -c 1-64
	echo other >/deep/inside/note
	stat -c "%u:%g %a" /data
	grep " /data " /proc/self/mounts'
ended 'two volumes' 0
sum=$(sed -n 1p <<<"$out")
like 'the volume is root'"'"'s' '^0:0 755$' "$out"
like 'an ext4 on dm-crypt' '^/dev/mapper/caisson-data /data ext4 rw' "$out"
try vm_sh --rm --volume data:/elsewhere 'sha256sum </elsewhere/note | cut -c 1-64'
ended 'another machine, another path' 0
same 'reads the same' "$sum" "$out"
same 'nothing of it is in the container' 0 "$(grep -c 'brown marker' "$data")"
same 'nor in any other file' '' "$(grep -rl 'brown marker' "$CAISSON_STATE" "$CAISSON_CONFIG")"
if command -v strings >/dev/null; then
	same 'no structure of the filesystem is to be seen' 0 \
		"$(dd if="$data" bs=1M skip=16 status=none | strings -n 8 | grep -c 'lost+found')"
fi

# Read-only

before=$(sha256sum "$data")
try vm_sh --rm --volume data:/data:ro 'sha256sum </data/note | cut -c 1-64; echo x >/data/new; mount -o remount,rw /data'
ended 'a read-only volume cannot be written' 255
same 'but read' "$sum" "$(head -n 1 <<<"$out")"
like 'the write fails' 'Read-only file system' "$err"
same 'no byte of the container changed' "$before" "$(sha256sum "$data")"

# A crash

vm_start -i --volume data:/data "$busybox" sh -c '
	i=0; while [ $i -lt 300 ]; do mkdir -p /data/tree/$i && echo $i >/data/tree/$i/file; i=$((i + 1)); done
	rm -r /data/tree/1*; sync; echo ready; while :; do date >>/data/unsynced; done'
check 'a machine writes, and syncs' wait_line "$vm_out" '^ready$'
kill -KILL "$(vm_qemu)"
vm_wait
same 'kill -9 of QEMU: the machine failed' 125 "$status"
like 'and says so' 'QEMU|the guest ended' "$err"
try vm_sh --rm --volume data:/data 'ls /data/tree | wc -l; cat /data/tree/299/file; sha256sum </data/note | cut -c 1-64
	grep -c " /data ext4 rw" /proc/mounts'
ended 'the next machine opens it all the same' 0
same 'with all that was synced' '189 299' "$(head -n 2 <<<"$out" | xargs)"
same 'and what was there before' "$sum" "$(sed -n 3p <<<"$out")"
same 'and it can be written' 1 "$(sed -n 4p <<<"$out")"

# A full volume

try vm_sh --rm --volume more:/more 'dd if=/dev/zero of=/more/fill bs=1M; echo "status $?"; rm /more/fill
	echo fits >/more/fits && cat /more/fits /more/note'
ended 'a volume that is full' 0
like 'is the workload'"'"'s to deal with' 'No space left on device' "$err"
same 'and works when it made room' 'status 1 fits other' "$(xargs <"$work/out")"

# The root on a volume

"$caisson" volume create root --size 64M >/dev/null
try vm_sh --rm --volume root:/ 'echo kept >/etc/kept; rm /bin/yes; echo "$(hostname)" >/etc/was; id -u'
ended 'a volume at / carries the writable layer' 0
try vm_sh --rm -v root:/ -v data:/data 'cat /etc/kept; ls /bin/yes; sha256sum </data/note | cut -c 1-64; cat /etc/hostname'
ended 'which the next machine finds' 0
same 'as it was left, beside other volumes' "kept $sum" "$(head -n 2 <<<"$out" | xargs)"
like 'what was deleted stays deleted' 'ls: /bin/yes: No such file' "$err"
try vm --rm --volume root:/ "$work/images/scratch" true
ended 'another image is refused' 125 'made over another image'
try vm_sh --rm 'cat /etc/kept'
ended 'without the volume nothing of it is there' 1 'No such file'
try vm_sh --rm -v root:// 'cat /etc/kept'
same 'the root has more than one name' kept "$out"

tap_end
