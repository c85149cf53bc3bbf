#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# caisson doctor: on a host that has all, and on one where something is missing.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_private_mounts "$0" "$@"
tap_begin "$1"

verdict() { # CHECK
	python3 -c '
import json, sys
print(*(d["verdict"] for d in json.load(open(sys.argv[1])) if d["check"] == sys.argv[2]))' \
		"$work/out" "$1"
}

try "$caisson" doctor
ended 'doctor ends with 0 where machines run' 0
for what in qemu-system-x86_64 mksquashfs mke2fs e2fsck 'guest programs' kernel 'kernel: base' \
	'kernel: volumes' keys state; do
	like "$what is there" "^ok +$what " "$out"
done
like 'the accelerator is named, whichever it is' '^(ok|limited) +KVM ' "$out"
like 'and the channel' '^ok +channel +(vsock|virtio-serial)' "$out"
unlike 'nothing is broken' '^broken' "$out"

try "$caisson" doctor --json
ended 'doctor --json' 0
same 'the same in JSON' ok "$(verdict 'kernel: volumes')"
same 'every verdict is one of three' '' "$(python3 -c '
import json, sys
print(*(d for d in json.load(open(sys.argv[1]))
	if d["verdict"] not in ("ok", "limited", "broken") or set(d) != {"check", "verdict", "text", "hint"}))' \
	"$work/out")"

if may_mount; then
	hide() { # PROGRAM: as if it were not installed
		local path
		for path in {/usr/local,/usr,}/{sbin,bin}/"$1"; do
			[ ! -e "$path" ] || mount --bind /dev/null "$path" 2>/dev/null
		done
	}
	hide qemu-system-x86_64
	hide mke2fs
	try "$caisson" doctor
	ended 'doctor ends with 1 where something is missing' 1
	like 'and says what' '^broken +qemu-system-x86_64 +not installed' "$out"
	like 'and what to do' 'hint: +install qemu-system-x86' "$out"
	like 'all of it' '^broken +mke2fs ' "$out"
	like 'the rest is looked at all the same' '^ok +mksquashfs ' "$out"
	try "$caisson" volume create data --size 64M
	ended 'a volume cannot be created without mke2fs' 1 'mke2fs'
	same 'and nothing is left' '' "$(ls -A "$CAISSON_STATE/volumes")"
	mount -t tmpfs tmpfs /boot
	try "$caisson" doctor --json
	ended 'nor does a host without a kernel do' 1
	same 'the kernel is what is broken' broken "$(verdict kernel)"
else
	skip 'needs root, to hide programs' 'a host where something is missing'
fi

tap_end
