# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the tests that boot machines share: images, and a state in which all that is made once has been
# made. Source it behind tap.sh; vm_begin BUILD takes the place of tap_begin.
# shellcheck source=tests/lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/tap.sh"
# shellcheck source=tests/lib/rootfs.sh
. "$(dirname "${BASH_SOURCE[0]}")/rootfs.sh"

vm_timeout=${CAISSON_TEST_TIMEOUT:-180}

# The guest's kernel: what "./dev kernel" has built, or CAISSON_TEST_KERNEL, a folder of that kind ("" for the
# distribution's). Machines find it in the state, as one that was built there.
vm_kernel=${CAISSON_TEST_KERNEL-$source/build/kernel/minimal}
[ -n "${CAISSON_TEST_KERNEL:-}" ] || [ -f "$vm_kernel/manifest.json" ] || vm_kernel=

vm_install_kernel() { # STATE
	[ -n "$vm_kernel" ] || return 0
	mkdir -p "$1/kernels/0-test" &&
		cp "$vm_kernel"/{bzImage,vmlinux,config,manifest.json} "$1/kernels/0-test/" &&
		ln -sfn 0-test "$1/kernels/default"
}

# In a folder of its own, named by what went into it: a new build prepares again.
vm_prepare() { # FOLDER
	local made=$1.new-$$ kind
	rm -rf "$made" && mkdir -p "$made/images" || return 1
	for kind in busybox glibc musl scratch; do
		rootfs_$kind "$made/root-$kind" || return 1
	done
	"$source/tests/lib/mkimage.sh" "$made/images/busybox" "$made/root-busybox" \
		--cmd '["/bin/sh"]' &&
		"$source/tests/lib/mkimage.sh" "$made/images/glibc" "$made/root-glibc" \
			--cmd '["/bin/bash"]' --compression zstd &&
		"$source/tests/lib/mkimage.sh" "$made/images/musl" "$made/root-musl" \
			--entrypoint '["/bin/hello"]' &&
		"$source/tests/lib/mkimage.sh" "$made/images/scratch" "$made/root-scratch" \
			--entrypoint '["/hello"]' --compression none || return 1
	# One machine with a volume and one without: the probe of KVM, the kernel, both archives.
	local there=(--state "$made/state" --config "$made/config")
	vm_install_kernel "$made/state" || return 1
	{
		"$caisson" volume create warm --size 32M "${there[@]}" &&
			vm --rm --volume warm:/warm "${there[@]}" "$made/images/busybox" /bin/true &&
			vm --rm "${there[@]}" "$made/images/busybox" /bin/true &&
			"$caisson" volume destroy warm "${there[@]}"
	} >"$made/log" 2>&1 || {
		cat "$made/log" >&2
		return 1
	}
	rm -rf "$made"/root-*
	mv -T "$made" "$1"
}

vm_begin() { # BUILD
	local key shared folder lock
	tap_begin "$1"
	# The form that the test is about (tests/vm/meson.build); without one, what the command takes itself.
	[ -z "${CAISSON_TEST_GUEST:-}" ] || export CAISSON_GUEST=$build/guest/$CAISSON_TEST_GUEST
	command -v qemu-system-x86_64 >/dev/null || tap_skip_all 'QEMU is not installed'
	key=$(cat "$build/caisson-commands" "$build"/guest/*/caisson-{init,guest,unlock} "$source"/tests/lib/*.sh \
		/proc/sys/kernel/random/boot_id <(ls /boot) <(id -u) ${vm_kernel:+"$vm_kernel"/*} 2>/dev/null |
		sha256sum | cut -c 1-16)
	shared=$build/test-vm/${CAISSON_TEST_GUEST:-default}
	[ -w "$build" ] || shared=$work/shared
	folder=$shared/$key
	mkdir -p "$shared"
	exec {lock}>"$shared/lock"
	flock "$lock"
	if [ ! -d "$folder" ]; then
		rm -rf "${shared:?}"/*/
		vm_prepare "$folder" || {
			echo 'Bail out! the shared state could not be made'
			exit 1
		}
	fi
	cp -a --reflink=auto "$folder/images" "$folder/state" "$folder/config" "$work/"
	exec {lock}>&-
	busybox=$work/images/busybox
}

# caisson run with a bound on its time.
vm() { # ARGUMENT...
	timeout --kill-after=5 "$vm_timeout" "$caisson" run "$@"
}

# A line of shell in the busybox image; options stand in front of it.
vm_sh() { # [OPTION...] SCRIPT
	vm "${@:1:$#-1}" "$busybox" -- /bin/sh -c "${!#}"
}

# Starts one in the background with its standard input on $vm_in and its output on $vm_out; $vm_pid. Not
# through timeout(1): signals and kill must meet caisson itself.
vm_start() { # ARGUMENT...
	rm -f "$work/fifo-in" "$work/fifo-out"
	mkfifo "$work/fifo-in" "$work/fifo-out"
	"$caisson" run "$@" <"$work/fifo-in" >"$work/fifo-out" 2>"$work/background-err" &
	vm_pid=$!
	exec {vm_in}>"$work/fifo-in" {vm_out}<"$work/fifo-out"
}

# Waits for its end: $status, $err.
vm_wait() {
	exec {vm_in}>&-
	wait "$vm_pid"
	status=$?
	out=$(timeout 10 cat <&"$vm_out")
	exec {vm_out}<&-
	err=$(cat "$work/background-err")
}

# The process of the machine's QEMU.
vm_qemu() {
	pgrep -P "$vm_pid" -f qemu-system
}
