# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A host in a machine: what needs a kernel with device-mapper runs in QEMU, as root, with the distribution's
# own programs and the caisson that was just built. Source it behind nothing; then
#
#   host_begin BUILD    takes the place of tap_begin
#   host_disk FILE      the next boot has FILE as /dev/caisson/disk-N, N from 0 on
#   host_run SCRIPT...  one boot in which the scripts run, each in a state of its own; each of their points is
#                       a point of this test
#
# Scripts are bash, source /caisson/tests/lib/host-guest.sh, and speak TAP. There is no udev.
# They get CAISSON_KILL_SEED and numbers called HOST_* from the environment.
# CAISSON_HOST_TIMEOUT bounds a boot in seconds, CAISSON_HOST_CONSOLE=yes shows its console at the end.
# shellcheck source=tests/lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/tap.sh"

# Everything that these packages have as a program is in the guest, and everything that the programs need.
host_packages='acl attr bash bsdutils btrfs-progs coreutils cryptsetup-bin debianutils diffutils dmsetup
	e2fsprogs findutils fuse3 fuse2fs grep gzip hostname kmod libc-bin libnbd-bin login mawk mount nbd-client
	passwd procps python3.11-minimal qemu-utils sed strace tar util-linux util-linux-extra xfsprogs'
host_modules='kernel/arch/x86/crypto kernel/crypto kernel/drivers/block kernel/drivers/char kernel/drivers/md
	kernel/drivers/scsi kernel/drivers/virtio kernel/fs/btrfs kernel/fs/fuse kernel/fs/overlayfs
	kernel/fs/squashfs kernel/fs/xfs kernel/lib'
# What the first stage loads; the rest is loaded by whoever needs it.
host_early='virtio_mmio virtio_blk virtio_console squashfs overlay'

host_begin() { # BUILD
	tap_begin "$1"
	command -v qemu-system-x86_64 >/dev/null || tap_skip_all 'QEMU is not installed'
	host_kernel=$(find /boot -name 'vmlinuz-*-cloud-amd64' 2>/dev/null | sort -V | tail -n 1)
	[ -n "$host_kernel" ] || tap_skip_all 'no cloud kernel is installed'
	host_release=${host_kernel#/boot/vmlinuz-}
	[ -x "$build/tests/tsc-khz" ] || tap_skip_all 'tests/tsc-khz is not built'
	host_disks=()
	host_prepare || {
		echo 'Bail out! the host for the machine could not be made'
		exit 1
	}
}

host_programs() {
	local package
	# shellcheck disable=SC2086
	for package in $host_packages; do
		dpkg-query -L "$package" 2>/dev/null
	done | grep -E '^(/usr)?/s?bin/[^/]+$' | while read -r package; do
		[ -f "$package" ] && [ -x "$package" ] && echo "$package"
	done
	find "$build/caisson" "$build/caisson-commands" "$build/caisson-attach" "$build"/*.so* "$build/guest" \
		"$build/tests/machine-key" -type f -perm -u+x 2>/dev/null
}

# The root with the programs, the kernel and the first stage: made once, and again when what they are made of
# is another.
host_prepare() {
	local shared=$build/test-vm/host key lock
	[ -w "$build" ] || shared=$work/shared
	mkdir -p "$shared"
	host_programs | sort -u | xargs "$caisson" closure --list >"$work/closure" || return 1
	grep -v "^$build/" "$work/closure" >"$work/files"
	key=$({
		xargs stat -c '%n %s %Y' <"$work/files"
		stat -c '%n %s %Y' "$host_kernel" "/lib/modules/$host_release/modules.dep"
		cat "${BASH_SOURCE[0]}" "$source/tests/lib/vmlinux.py"
	} | sha256sum | cut -c 1-16)
	host_made=$shared/$key
	exec {lock}>"$shared/lock"
	flock "$lock"
	if [ ! -d "$host_made" ]; then
		rm -rf "${shared:?}"/*/
		host_make "$host_made.new" 2>"$work/make.log" || {
			cat "$work/make.log" >&2
			return 1
		}
		mv -T "$host_made.new" "$host_made"
	fi
	exec {lock}>&-
}

host_make() { # FOLDER
	mkdir -p "$1" && python3 "$source/tests/lib/vmlinux.py" "$host_kernel" "$1/vmlinux" || return 1
	host_make_root "$1/root" && mksquashfs "$1/root" "$1/root.squashfs" -noappend -no-progress -quiet \
		-all-root -noI -noD -noF -noX || return 1
	host_make_first_stage "$1/first" "$1/root" &&
		(cd "$1/first" && find . | cpio -o -H newc -R 0:0 --quiet) >"$1/initramfs.cpio" || return 1
	rm -rf "${1:?}/root" "$1/first"
}

host_make_root() { # FOLDER
	local name modules=$1/lib/modules/$host_release
	mkdir -p "$1"/{usr/{bin,sbin,lib,lib64},etc,proc,sys,dev,run,tmp,root,var/tmp,caisson,scratch,mnt}
	for name in bin sbin lib lib64; do
		ln -s "usr/$name" "$1/$name"
	done
	tar -cf - --no-recursion -T "$work/files" 2>/dev/null | tar -xf - -C "$1" --keep-directory-symlink || return 1
	mkdir -p "$1/usr/lib/python3.11" "$modules"
	# shellcheck disable=SC2046
	tar -cf - --no-recursion $(dpkg-query -L python3.11-minimal libpython3.11-minimal | grep '/lib/python3' |
		grep '\.py$') /usr/lib/python3.11/json/*.py 2>/dev/null | tar -xf - -C "$1"
	ln -sf python3.11 "$1/usr/bin/python3"
	ln -sf mawk "$1/usr/bin/awk"
	ln -sf bash "$1/usr/bin/sh"
	cp /etc/mke2fs.conf "$1/etc/"
	printf '%s\n' root:x:0:0:root:/root:/bin/bash user:x:1000:1000:user:/tmp:/bin/bash \
		nobody:x:65534:65534:nobody:/nonexistent:/bin/false >"$1/etc/passwd"
	printf '%s\n' root:x:0: user:x:1000: nogroup:x:65534: >"$1/etc/group"
	printf '%s\n' 'passwd: files' 'group: files' >"$1/etc/nsswitch.conf"
	ln -s /proc/self/mounts "$1/etc/mtab"
	# shellcheck disable=SC2086
	(cd "/lib/modules/$host_release" && tar -cf - modules.builtin modules.builtin.modinfo modules.order \
		$host_modules) | tar -xf - -C "$modules" && depmod -b "$1" "$host_release"
}

host_make_first_stage() { # FOLDER ROOT
	local module file busybox
	busybox=$(command -v busybox) || {
		echo 'busybox-static is not installed' >&2
		return 1
	}
	mkdir -p "$1"/{bin,modules,proc,sys,dev,root,lower,upper}
	cp "$busybox" "$1/bin/busybox"
	for module in $host_early; do
		modprobe -d "$2" -S "$host_release" --show-depends "$module"
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$1/modules/files"
	while read -r file; do
		cp "$file" "$1/modules/" && basename "$file"
	done <"$1/modules/files" >"$1/modules/order"
	install -m 0755 "$source/tests/lib/host-first.sh" "$1/init"
}

host_disk() { # FILE
	host_disks+=("$1")
}

# caisson as it was built, the tests' libraries and the scripts: a disk of their own, made for each boot.
host_make_payload() { # FOLDER SCRIPT...
	local folder=$1 script
	mkdir -p "$folder/build/tests" "$folder/tests" "$folder/scripts"
	cp -a "$build/caisson" "$build/caisson-commands" "$folder/build/" || return 1
	for script in "$build/caisson-attach" "$build/caisson-e2io.so" "$build"/libcaisson*.so*; do
		[ -f "$script" ] && cp -a "$script" "$folder/build/"
	done
	find "$build/guest" -type f -perm -u+x | (cd "$build" && sed "s|^$build/||" | xargs -r cp --parents -t "$folder/build")
	cp "$build/tests/machine-key" "$build/tests/kill-at" "$folder/build/tests/"
	cp -r "$source/tests/lib" "$folder/tests/"
	env | grep -E '^(CAISSON_KILL_SEED|HOST_[A-Z]+)=[0-9]+$' >"$folder/environment"
	shift
	for script; do
		cp "$script" "$folder/scripts/" && basename "$script" >>"$folder/scripts.list" || return 1
	done
	mksquashfs "$folder" "$folder.squashfs" -noappend -no-progress -quiet -all-root -noI -noD -noF -noX >&2
}

host_run() { # SCRIPT...
	local payload=$work/payload seconds=${CAISSON_HOST_TIMEOUT:-600}
	rm -rf "$payload" "$payload.squashfs" "$work/tap" "$work/console" "$work/scratch"
	host_make_payload "$payload" "$@" || {
		echo 'Bail out! the disk with the scripts could not be made'
		exit 1
	}
	truncate -s 4G "$work/scratch" && mke2fs -q -F -t ext4 -O ^has_journal -E lazy_itable_init=1 "$work/scratch"
	: >"$work/tap"
	host_qemu "$seconds" &
	host_read "$!" "$@"
	host_disks=()
}

host_qemu() { # SECONDS
	local arguments=() accelerator=tcg,thread=multi cpu=max i=0 disk khz
	khz=$("$build/tests/tsc-khz")
	disks=("$host_made/root.squashfs:root:on" "$payload.squashfs:payload:on" "$work/scratch:scratch:off")
	for disk in "${host_disks[@]}"; do
		disks+=("$disk:disk-$((i++)):off")
	done
	i=0
	for disk in "${disks[@]}"; do
		IFS=: read -r file serial readonly <<<"$disk"
		arguments+=(-drive "if=none,id=d$i,file=$file,format=raw,readonly=$readonly,cache=unsafe,discard=unmap"
			-device "virtio-blk-device,drive=d$i,serial=$serial,discard=on")
		i=$((i + 1))
	done
	exec timeout --kill-after=5 "$1" qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none \
		-machine microvm,isa-serial=on,pic=on,rtc=on -accel "$accelerator" -cpu "$cpu" -smp 2 -m 1536M \
		-kernel "$host_made/vmlinux" -initrd "$host_made/initramfs.cpio" \
		-append "console=ttyS0 panic=-1 reboot=t random.trust_cpu=on cryptomgr.notests tsc_early_khz=$khz" \
		-chardev "file,id=console,path=$work/console" -serial chardev:console \
		-object rng-builtin,id=random -device virtio-rng-device,rng=random \
		-device virtio-serial-device -chardev "file,id=tap,path=$work/tap" \
		-device virtserialport,chardev=tap,name=org.caisson.tap \
		"${arguments[@]}" </dev/null >"$work/qemu" 2>&1
}

# Turns the guest's lines into points of this test; a script that did not come to its end is a point, too.
host_read() { # PID SCRIPT...
	local pid=$1 line script='' ended=0 wanted=$(($# - 1))
	while IFS= read -r line; do
		line=${line%$'\r'}
		case $line in
		'#host begin '*) script=${line#\#host begin } ;;
		'#host end '*)
			ended=$((ended + 1))
			[ "${line##* }" -le 1 ] || point no "${script%.sh}: the script came to its end"
			;;
		'#host time '*) diag "${line#\#host }" ;;
		'ok '*) [[ $line =~ ^ok\ [0-9]+\ -\ (.*)$ ]] && point yes "${script%.sh}: ${BASH_REMATCH[1]}" ;;
		'not ok '*) [[ $line =~ ^not\ ok\ [0-9]+\ -\ (.*)$ ]] && point no "${script%.sh}: ${BASH_REMATCH[1]}" ;;
		'1..0 # SKIP'*) skip "${line#*SKIP }" "$script" ;;
		1..*) ;;
		*) printf '# %s\n' "${line#\# }" ;;
		esac
	done < <(tail -f -n +1 --pid="$pid" -s 0.2 "$work/tap")
	wait "$pid"
	host_status=$?
	if [ "$ended" -ne "$wanted" ]; then
		point no "the machine ran all its scripts ($ended of $wanted; QEMU ended with $host_status)"
		diag 'its console:'
		tail -n 60 "$work/console" | tr -d '\r' | sed 's/^/#   /'
		sed 's/^/#   /' "$work/qemu"
	elif [ "${CAISSON_HOST_CONSOLE-}" = yes ]; then
		tr -d '\r' <"$work/console" | sed 's/^/#   /'
	fi
	check_not 'the kernel had nothing to complain of' grep -E 'BUG:|Oops|Kernel panic|INFO: task .* blocked' \
		"$work/console"
}
