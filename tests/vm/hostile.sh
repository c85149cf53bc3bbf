#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Guests, images and callers that mean no good, or have bad luck.
# shellcheck disable=SC2016 # what is quoted, the guest expands
set -u
# shellcheck source=tests/lib/vm.sh
. "$(dirname "$0")/../lib/vm.sh"
tap_private_mounts "$0" "$@"
vm_begin "$1"

# Readers and writers

vm_start --rm "$busybox" sh -c 'seq 1 150000'
exec {vm_in}>&-
check 'a reader that is slow gets its first line' wait_line "$vm_out" '^1$'
check_not 'the machine does not end before all was read' wait_gone "$vm_pid" 5
sum=$(sha256sum <&"$vm_out")
wait "$vm_pid"
same 'its status is known' 0 "$?"
same 'and nothing was lost' "$(seq 1 150000 | tail -n +2 | sha256sum)" "$sum"

"$caisson" run --rm "$busybox" -- echo lost >/dev/full 2>"$work/err"
same 'what a full disk did not take is a failure' 125 "$?"
like 'that says so' "write the workload's standard output: No space left" "$(cat "$work/err")"

vm_start --rm "$busybox" sh -c '(sleep 1000 &) ; (setsid sleep 1000 &) ; ls /proc/self/fd | wc -l; exit 4'
vm_wait
same 'what stays behind in the background does not hold the machine' 4 "$status"
same 'the workload has three descriptors (and the one that ls opens)' 4 "$out"

"$caisson" volume create data --size 32M >/dev/null
try timeout "$vm_timeout" "$caisson" run --rm -v data:/data "$busybox" -- \
	sh -c 'echo kept >/data/note; echo text; echo text >&2' <&- >&- 2>&-
ended 'standard streams that are closed' 0
try vm_sh --rm -v data:/data 'cat /data/note'
same 'are not mistaken for the volume' kept "$out"

# What the caller leaves open, and what it ignores

echo secret >"$work/private"
exec {private}<"$work/private"
vm_start -i --rm "$busybox" sh -c 'echo ready; read -r line; echo "got $line"'
exec {private}<&-
wait_line "$vm_out" '^ready$'
unlike 'QEMU inherits nothing that it was not given' "$work/private" \
	"$(readlink "/proc/$(vm_qemu)"/fd/*)"
echo end >&"$vm_in"
vm_wait
same 'and works' 'got end' "$out"

trap '' HUP
vm_start -i --rm "$busybox" sh -c 'echo ready; read -r line; echo "got $line"'
trap 'exit 143' HUP
wait_line "$vm_out" '^ready$'
kill -HUP "$vm_pid"
echo end >&"$vm_in"
vm_wait
same 'a hangup that the caller ignores (nohup) is ignored' 'got end' "$out"

try timeout "$vm_timeout" "$source/tests/lib/terminal.py" 'expect=QEMU started' 'send=\x03' -- \
	"$caisson" run --rm --verbose -it "$busybox"
ended 'Ctrl-C on the terminal ends a machine that still boots' 130
unlike 'and does not wait for the workload' 'the workload was started' "$out"

# Last words

try vm_sh --rm 'printf "\033]0;title\007<1>caisson-init: fatal: \033[2J\302\233x\n" >/dev/kmsg
	busybox reboot -f; sleep 100'
ended 'a guest that ends without a word' 125
unlike 'says nothing to the terminal' $'\033|\302\233' "$err"

# Images

rootfs_busybox "$work/root"
ln -s ../run/systemd/resolve/stub-resolv.conf "$work/root/etc/resolv.conf"
ln -s hosts "$work/root/etc/hosts"
"$source/tests/lib/mkimage.sh" "$work/images/links" "$work/root" --cmd '["/bin/sh"]' >/dev/null
try vm --rm "$work/images/links" -- sh -c 'cat /etc/resolv.conf; grep -c localhost /etc/hosts'
ended 'an image whose files are links to nowhere' 0
same 'gets files in their place' $'nameserver 10.0.2.3\n2' "$out"

# Disks

if may_mount; then
	"$caisson" volume create large --size 100M >/dev/null
	mv "$CAISSON_STATE/volumes/large" "$work/large"
	mkdir "$CAISSON_STATE/volumes/large"
	mount -t tmpfs -o size=24M small "$CAISSON_STATE/volumes/large"
	cp --sparse=always -p "$work/large"/* "$CAISSON_STATE/volumes/large/"
	try vm_sh --rm -v large:/data 'dd if=/dev/zero of=/data/big bs=1M count=60; echo written'
	same 'a workload that wrote more than the disk of the host holds' written "$out"
	ended 'ends with a failure' 125 'written to /data is on its disk'
else
	skip 'it may not mount' 'a workload that wrote more than the disk of the host holds'
	skip 'it may not mount' 'ends with a failure'
fi

tap_end
