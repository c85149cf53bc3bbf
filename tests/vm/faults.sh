#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is missing, broken or full: each time a sentence, a status, and nothing left behind.
# shellcheck disable=SC2016 # what is quoted, the guest expands
set -u
# shellcheck source=tests/lib/vm.sh
. "$(dirname "$0")/../lib/vm.sh"
tap_private_mounts "$0" "$@"
vm_begin "$1"
kernel=$(find /boot -maxdepth 1 -name 'vmlinuz-*' | sort -V | tail -n 1)
release=${kernel#*/vmlinuz-}

machines_left() {
	find "$CAISSON_STATE/machines" -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null
}

# Kernels that will not do

mkdir "$work/kernel"
cp "$kernel" "$work/kernel/vmlinuz-$release"
sed 's/^CONFIG_DM_CRYPT=.*/# CONFIG_DM_CRYPT is not set/' "/boot/config-$release" \
	>"$work/kernel/config-$release"
mkdir -p "$work/poor/lib/modules"
cp -a "/lib/modules/$release" "$work/poor/lib/modules/"
modules=$work/poor/lib/modules/$release
find "$modules" -name 'dm-crypt.ko*' -delete
PATH=$PATH:/usr/sbin:/sbin depmod --basedir "$work/poor" "$release"
"$caisson" volume create data --size 32M >/dev/null
poor=(--kernel "$work/kernel/vmlinuz-$release" --modules "$modules")
try vm_sh --rm "${poor[@]}" --volume data:/data true
ended 'a kernel without dm-crypt is refused for a volume' 125 'CONFIG_DM_CRYPT'
same 'with what to do' 1 "$(grep -c '^  hint:' <<<"$err")"
same 'before anything was started' '' "$(machines_left)"
try vm_sh --rm "${poor[@]}" 'echo works'
ended 'and does without one' 0
mkdir "$work/bare"
cp "$kernel" "$work/bare/vmlinuz"
mkdir "$work/no-modules"
try vm_sh --rm --kernel "$work/bare/vmlinuz" --modules "$work/no-modules" true
ended 'a modules folder without modules' 125 'kernel: '
head -c 100000 /dev/urandom >"$work/garbage"
try vm_sh --rm --kernel "$work/garbage" true
ended 'a kernel that is none' 125 'garbage'
head -c 1000000 "$kernel" >"$work/half"
try vm_sh --rm --kernel "$work/half" --modules "/lib/modules/$release" true
ended 'half a kernel' 125 'kernel|half'
python3 - "$kernel" "$work/scrambled" <<'END'
import sys
data = bytearray(open(sys.argv[1], 'rb').read())
middle = len(data) // 2
data[middle:middle + 65536] = bytes(65536)
open(sys.argv[2], 'wb').write(data)
END
try vm_sh --rm --platform q35 --boot-timeout 20 --kernel "$work/scrambled" \
	--modules "/lib/modules/$release" true
ended 'a kernel that dies before its first word' 125 'the guest|kernel'
try vm_sh --rm --boot-timeout 1 --accelerator tcg --platform q35 --cpus 8 true
ended 'a boot that takes longer than it may' 125 'did not answer in time'
same 'with what to do' 1 "$(grep -c 'hint: .*--boot-timeout' <<<"$err")"
try vm_sh --rm --memory 900G true
ended 'more memory than the host has' 125 'QEMU ended: .*memory'
same 'of all these nothing is left' '' "$(machines_left)"
same 'no process either' '' "$(pgrep -P $$ -f qemu-system)"

# Programs that are missing

if may_mount; then
	without() { # PROGRAM COMMAND...
		# shellcheck disable=SC2317
		unshare --mount bash -c '
			for path in {/usr/local,/usr,}/{sbin,bin}/"$1"; do
				[ ! -e "$path" ] || mount --bind /dev/null "$path" 2>/dev/null
			done
			shift
			exec "$@"' - "$@"
	}
	try without qemu-system-x86_64 "$caisson" run --rm "$busybox" true
	ended 'without QEMU' 125 'qemu-system-x86_64 is not installed'
	same 'with what to install' 1 "$(grep -c 'hint: install qemu-system-x86' <<<"$err")"
	try without e2fsck "$caisson" run --rm --volume data:/data "$busybox" true
	if [ "${CAISSON_TEST_GUEST:-}" = static ]; then
		ended 'without e2fsck: the static form has its own' 0
	else
		ended 'without e2fsck' 125 'e2fsck'
	fi
	same 'nothing is left of them' '' "$(machines_left)"
else
	skip 'needs root, to hide programs' 'programs that are missing'
fi

# A state that is full, at every step: image, kernel, boot archive, machine

if may_mount; then
	mkdir "$work/small"
	mount -t tmpfs -o size=16k,mode=0755 tmpfs "$work/small"
	small=(--state "$work/small/state" --config "$work/small-config")
	for size in 64k 256k 1m 1500k 2m 4m 16m 32m 48m 56m; do
		mount -o "remount,size=$size" "$work/small"
		try vm_sh --rm "${small[@]}" 'echo works'
		if [ "$status" -eq 0 ]; then
			break
		fi
		ended "a state of $size is full" 125 'o space left|is full'
		same 'in one sentence' 1 "$(grep -c '^caisson run: ' <<<"$err")"
		same 'nothing half-made is left' '' \
			"$(find "$work/small" -name '.new-*')$(ls "$work/small/state/machines" 2>/dev/null)"
	done
	mount -o remount,size=256m "$work/small"
	try vm_sh --rm "${small[@]}" 'echo works'
	ended 'with room, the same state works' 0

	# The container is sparse: the host's disk can be full when the guest writes.
	"$caisson" volume create data --size 128M "${small[@]}" >/dev/null
	try vm_sh --rm "${small[@]}" --volume data:/data true
	fill=$(df --output=avail -k "$work/small" | tail -n 1)
	dd if=/dev/zero of="$work/small/fill" bs=1k count="$((fill - 8192))" status=none
	try timeout 150 "$caisson" run --rm "${small[@]}" --volume data:/data "$busybox" -- sh -c '
		echo before | dd of=/data/note conv=fsync; echo "note $?"
		dd if=/dev/zero of=/data/large bs=1M count=64 conv=fsync 2>&1
		echo "dd $?"; cp /data/large /data/again'
	ended 'a host disk that fills up under a guest is said' 125 \
		'not all that was written to /data is on its disk'
	like 'what there was room for arrived' '^note 0$' "$out"
	like 'the workload sees it, too, if it looks' '^dd 1$' "$out"
	rm "$work/small/fill"
	try vm_sh --rm "${small[@]}" --volume data:/data 'cat /data/note'
	ended 'with room again, the volume opens' 0
	same 'and has what was synced' before "$out"
else
	skip 'needs root, to mount a tmpfs' 'a state that is full'
fi

# Killed while it works

for moment in 020 100 300 600; do
	{
		timeout --signal=KILL "0.$moment" "$caisson" run --rm --state "$work/cut" \
			--config "$work/cut-config" "$work/images/glibc" true &
		wait $!
	} >/dev/null 2>&1
done
try vm --rm --state "$work/cut" --config "$work/cut-config" "$work/images/glibc" bash -c 'echo works'
ended 'killed while it prepared, it starts again' 0
same 'and what was half-made is gone' '' \
	"$(find "$work/cut" -name '.new-*')$(ls "$work/cut/machines")"

tap_end
