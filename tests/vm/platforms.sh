#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Both machine models, a kernel that is named, processors and memory.
# shellcheck disable=SC2016 # what is quoted, the guest expands
set -u
# shellcheck source=tests/lib/vm.sh
. "$(dirname "$0")/../lib/vm.sh"
vm_begin "$1"
"$caisson" volume create data --size 32M >/dev/null

recorded() { # FIELD
	python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' \
		"$CAISSON_STATE/machines/$machine/machine.json" "$1"
}

for platform in microvm q35; do
	machine=on-$platform
	try vm_sh --name "$machine" --platform "$platform" --cpus 2 --memory 256M --volume data:/data '
		echo "cpus=$(nproc)"
		echo "memory=$(sed -n "s/MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo)"
		echo "bus=$(ls /sys/bus | grep -cx pci)"
		echo "net=$(ls /sys/class/net | xargs)"
		echo "'"$platform"'" >>/data/note && cat /data/note'
	ended "$platform, with a volume and a network" 0
	like 'two processors' '^cpus=2$' "$out"
	memory=$(sed -n 's/^memory=//p' <<<"$out")
	check 'memory as it was asked for' test "${memory:-0}" -gt 150000 -a "${memory:-0}" -le 262144
	like 'the network is there' '^net=eth0 lo$' "$out"
	like 'and the volume' "^$platform\$" "$out"
	same 'it is recorded' "$platform" "$(recorded platform)"
done
same 'what one wrote, the other reads' 'microvm q35' "$(tail -n 2 <<<"$out" | xargs)"

kernel=$(find /boot -maxdepth 1 -name 'vmlinuz-*' | sort -V | tail -n 1)
release=${kernel#*/vmlinuz-}
mkdir "$work/kernel"
cp "$kernel" "$work/kernel/own"
machine=own
try vm_sh --name own --kernel "$work/kernel/own" --modules "/lib/modules/$release" 'uname -r'
ended '--kernel and --modules' 0
same 'start it' "$release" "$out"
same 'and nothing else' "$work/kernel/own" "$(recorded kernel)"

try vm_sh --rm --memory 160M 'echo works'
ended 'the least memory' 0
expect 'less is refused' 125 'at least 160 MiB' run --memory 159M "$busybox" true
try vm_sh --rm --accelerator tcg true
ended '--accelerator tcg' 0
if python3 -c '
import json, subprocess, sys
checks = json.loads(subprocess.run([sys.argv[1], "doctor", "--json"], capture_output=True).stdout)
sys.exit(0 if any(c["check"] == "KVM" and c["verdict"] == "ok" for c in checks) else 1)' "$caisson"; then
	try vm_sh --rm --accelerator kvm true
	ended '--accelerator kvm' 0
else
	skip 'guests do not run under KVM here' '--accelerator kvm'
fi
if [ -e /dev/vhost-vsock ]; then
	try vm_sh --rm --channel vsock --volume data:/data 'cat /data/note'
	ended '--channel vsock' 0
else
	skip 'this host has no vhost-vsock' '--channel vsock'
	try vm_sh --rm --channel vsock true
	ended 'vsock where there is none' 125 'vsock'
fi

tap_end
