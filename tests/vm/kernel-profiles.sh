#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the profiles beside minimal are for, in machines on kernels of theirs. Takes what "./dev kernel container
# observe confidential" has built; what is missing is built here, which takes as long as kernels do.
# shellcheck disable=SC2016 # what is quoted, the guest expands
set -u
# shellcheck source=tests/lib/vm.sh
. "$(dirname "$0")/../lib/vm.sh"
profiles=(container observe confidential)
vm_begin "$1"
export CCACHE_DIR=$work/ccache
mkdir "$work/kernels"
for profile in "${profiles[@]}"; do
	if [ -f "$source/build/kernel/$profile/manifest.json" ]; then
		ln -s "$source/build/kernel/$profile" "$work/kernels/$profile"
	else
		try "$caisson" kernel build --profile "$profile" --source apt:linux-source-6.1 --no-install \
			--output "$work/kernels/$profile"
		ended "$profile is built" 0
		rm -rf "$CAISSON_STATE"/kernel-builds
	fi
done
rm -rf "$CAISSON_STATE"/kernel-sources

rootfs_busybox "$work/root" && mkdir "$work/root/mnt" &&
	gcc -O2 -s -static -o "$work/root/bin/bpf-try" "$source/tests/lib/bpf-try.c" &&
	"$source/tests/lib/mkimage.sh" "$work/images/tools" "$work/root" || exit 1
"$caisson" volume create data --size 32M >/dev/null || exit 1

# A line of shell in a machine on the profile's kernel.
on() { # PROFILE SCRIPT [OPTION...]
	try vm --rm --kernel "$work/kernels/$1" "${@:3}" "$work/images/tools" -- /bin/sh -c "$2"
}

# Each of them does what minimal does, on both platforms.
for profile in "${profiles[@]}"; do
	for platform in microvm q35; do
		on "$profile" 'uname -r; echo works >>/data/note && cat /data/note' --platform $platform \
			--volume data:/data
		ended "$profile, $platform: a machine with a volume" 0
		like "$profile, $platform: has written to it" '^works$' "$out"
	done
	check "$profile: nothing is missing for it" "$caisson" kernel check --profile "$profile" --problems \
		"$work/kernels/$profile"
done

# Containers.

on container 'unshare --mount --uts --ipc --net --pid --fork --mount-proc /bin/sh -c "
	hostname inner; hostname; ip -o link; ls -d /proc/[0-9]*"
	hostname'
ended 'namespaces' 0
like 'a name of its own' '^inner$' "$out"
unlike 'no network but its own' 'eth0' "$out"
unlike 'no processes but its own' '^/proc/[0-9][0-9]' "$out"
like 'of which it is the first' '^/proc/1$' "$out"
on container 'unshare --user --map-root-user id -u' --user app
ended 'a container of a user who is not root' 0
same 'is root inside' 0 "$out"

on container 'cd /sys/fs/cgroup || exit 1
	cat cgroup.controllers
	echo "+memory +pids +cpu" >cgroup.subtree_control && mkdir small || exit 1
	echo 16M >small/memory.max && echo 20 >small/pids.max && echo "1000 100000" >small/cpu.max || exit 1
	echo max >small/cpu.max
	sh -c "echo \$\$ >small/cgroup.procs; head -c 67108864 /dev/zero | tail -c 50000000 >/dev/null; echo memory \$?"
	grep "^oom_kill " small/memory.events
	sh -c "echo \$\$ >small/cgroup.procs; for i in \$(seq 30); do sleep 1 & done; wait" 2>&1 | head -n 1
	bpf-try device small && sh -c "echo \$\$ >small/cgroup.procs; true </dev/zero" 2>&1 && echo opened
	true </dev/zero && echo outside'
ended 'cgroups' 0
like 'their controllers' 'cpu.*io.*memory.*pids' "$out"
like 'what takes too much memory is ended' '^oom_kill [1-9]' "$out"
like 'too many processes are refused' "fork" "$out"
like 'devices are kept from it by eBPF' 'not permitted' "$out"
unlike 'so that none is opened' '^opened$' "$out"
like 'but outside' '^outside$' "$out"

on container 'ip link add bridge0 type bridge && ip link set bridge0 up && ip addr show bridge0 | grep -o "bridge0.*UP"
	dd if=/dev/zero of=/image bs=1M count=16 2>/dev/null && mke2fs -F -q /image >/dev/null
	device=$(losetup -f) && losetup $device /image && mount -t ext4 $device /mnt && echo mounted
	[ -c /dev/fuse ] && echo fuse'
like 'a bridge' 'bridge0' "$out"
like 'a disk image on a loop device' '^mounted$' "$out"
like 'FUSE' '^fuse$' "$out"

# A look into the guest.

on observe '[ -s /sys/kernel/btf/vmlinux ] && od -An -tx2 -N 2 /sys/kernel/btf/vmlinux
	bpf-try kprobe do_faccessat
	mount -t tracefs tracefs /sys/kernel/tracing && cd /sys/kernel/tracing || exit 1
	echo "p:opened do_sys_openat2" >kprobe_events && echo 1 >events/kprobes/opened/enable || exit 1
	echo 1 >events/syscalls/sys_enter_openat/enable
	cat /etc/passwd >/dev/null
	echo 0 >events/kprobes/opened/enable
	grep -o "opened: (do_sys_openat2" trace | head -n 1
	grep -o "sys_openat(.*passwd\|sys_openat(dfd" trace | head -n 1
	cat available_tracers
	grep -c "T do_sys_openat2" /proc/kallsyms; cat /proc/sys/net/core/bpf_jit_enable'
ended 'a kernel that can be looked into' 0
like 'BTF' 'eb9f' "$out"
like 'an eBPF program on a probe runs' '^the program ran$' "$out"
like 'a probe is traced' '^opened: ' "$out"
like 'so are system calls' '^sys_openat\(' "$out"
like 'functions can be traced' 'function' "$out"

# Nothing to look into the guest with.

on container 'mount -t tracefs tracefs /mnt || mount -t tmpfs tmpfs /mnt && echo mounted'
like 'another kernel can mount there' '^mounted$' "$out"
on confidential 'mount -t securityfs securityfs /sys/kernel/security && cat /sys/kernel/security/lockdown
	mount -t debugfs debugfs /mnt || echo no debugfs
	mount -t tracefs tracefs /mnt || echo no tracefs
	[ -e /proc/kcore ] || echo no kcore
	[ -e /dev/mem ] || echo no mem
	bpf-try kprobe do_faccessat || echo no probes'
like 'it is locked down' '\[confidentiality\]' "$out"
for what in debugfs tracefs kcore mem probes; do
	like "no $what" "^no $what\$" "$out"
done

# Its TPM, and what protects disks: by hand, since machines of caisson's have no TPM yet.

cat >"$work/recipe.json" <<'END'
{
	"profile": "custom",
	"programs": [
		{"source": "busybox", "path": "/bin/busybox"},
		{"source": "dmsetup", "path": "/sbin/dmsetup"}
	],
	"texts": [
		{"text": "#!/bin/busybox sh\nb=/bin/busybox\n$b mount -t devtmpfs dev /dev\n$b mount -t proc proc /proc\n$b mount -t sysfs sysfs /sys\necho \"tpm: $($b cat /sys/class/tpm/tpm0/tpm_version_major) $($b ls /dev/tpmrm0)\"\n/sbin/dmsetup targets | $b sed 's/^/target: /'\n$b poweroff -f\n",
		 "path": "/init", "mode": "0755"}
	]
}
END
try "$caisson" initramfs build --recipe "$work/recipe.json" -o "$work/archive"
ended 'an archive that asks' 0
mkdir "$work/tpm"
for device in tpm-tis tpm-crb; do
	swtpm socket --tpm2 --tpmstate dir="$work/tpm" --ctrl type=unixio,path="$work/tpm/socket" --terminate --daemon
	try timeout 300 qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -machine q35 \
		-accel tcg -cpu max -m 512 -kernel "$work/kernels/confidential/bzImage" -initrd "$work/archive" \
		-chardev socket,id=tpm,path="$work/tpm/socket" -tpmdev emulator,id=tpm0,chardev=tpm \
		-device $device,tpmdev=tpm0 -append 'console=ttyS0 quiet panic=-1 reboot=t' -serial stdio
	out=$(tr -d '\r\0' <"$work/out")
	ended "$device: the machine starts" 0
	like "$device: it has a TPM 2.0" '^tpm: 2 /dev/tpmrm0$' "$out"
	for target in crypt verity integrity; do
		like "$device: device-mapper has $target" "^target: $target " "$out"
	done
done

tap_end
