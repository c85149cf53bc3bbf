#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Boots that fail, each in its own way, and what "caisson kernel explain" makes of their logs.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_begin "$1"
cd "$work" || exit 2
command -v qemu-system-x86_64 >/dev/null || tap_skip_all 'QEMU is not installed'
kernel=$(find /boot -name 'vmlinuz-*-cloud-amd64' -readable 2>/dev/null | sort -V | tail -n 1)
[ -n "$kernel" ] || tap_skip_all 'no cloud kernel is installed'
modules=/lib/modules/${kernel#/boot/vmlinuz-}
# Its own calibration can hang under emulation on a busy host.
khz=$("$build/tests/tsc-khz") || exit 2
common="panic=-1 reboot=t tsc_early_khz=$khz"

# One after the other has its log in NAME.log; two run at a time.
boot() { # NAME MEMORY COMMAND-LINE [QEMU-OPTION...]
	local name=$1 memory=$2 line=$3
	shift 3
	while [ "$(jobs -rp | wc -l)" -ge 2 ]; do
		wait -n
	done
	timeout --kill-after=5 90 qemu-system-x86_64 -machine microvm,acpi=off -accel tcg -cpu max -nodefaults \
		-no-user-config -no-reboot -display none -serial stdio -m "$memory" -kernel "${image:-$kernel}" \
		-append "$line" "$@" >"$name.log" 2>&1 &
}

explained() { # DESCRIPTION NAME RULE...
	local rules
	"$caisson" kernel explain --json "$2.log" >out 2>err
	status=$?
	rules=" $(python3 -c 'import json; print(*(f["rule"] for f in json.load(open("out"))["findings"]))') "
	for rule in "${@:3}"; do
		if [[ $rules != *" $rule "* ]]; then
			point no "$1"
			diag "no $rule among:$rules" "$(tail -n 30 "$2.log")"
			return
		fi
	done
	same "$1" 1 "$status"
}

# Boot archives, most of them wrong

busybox=$(command -v busybox)
pack() { # NAME
	(cd "$1" && find . | cpio -o -H newc -R 0:0 --quiet) >"$1.cpio"
}
tree() { # NAME [INIT-LINE...]
	mkdir -p "$1"/{bin,dev,proc,mnt}
	cp "$busybox" "$1/bin/busybox"
	if [ $# -gt 1 ]; then
		printf '%s\n' "${@:2}" >"$1/init"
		chmod 0755 "$1/init"
	fi
}
tree good '#!/bin/busybox sh' 'echo all is well' 'busybox reboot -f'
tree ends '#!/bin/busybox sh' 'echo good bye' 'exit 42'
tree empty
tree interpreter '#!/bin/nothing'
tree format 'no program'
tree mode '#!/bin/busybox sh'
chmod 0644 mode/init
tree mounts '#!/bin/busybox sh' 'busybox mount -t devtmpfs dev /dev' \
	'busybox mount -t squashfs /dev/vda /mnt || exit 1'
tree large '#!/bin/busybox sh'
head -c 60000000 /dev/urandom >large/random
for name in good ends empty interpreter format mode mounts large; do
	pack $name
done
head -c 100000 /dev/urandom >random.img
zstd -q -c good.cpio >good.zst
head -c $(($(stat -c %s good.zst) / 2)) good.zst >cut.img
xz -c good.cpio >crc64.img

# cryptsetup and dmsetup in a kernel without their modules, and with some
cat >dm-init <<'END'
#!/bin/busybox sh
busybox mkdir -p /proc /dev /run/cryptsetup
busybox mount -t proc proc /proc
busybox mount -t devtmpfs dev /dev
key=0000000000000000000000000000000000000000000000000000000000000001
echo -n secret | cryptsetup open --key-file - /volume.img volume
busybox insmod /dm-mod.ko
echo "0 2048 crypt aes-xts-plain64 $key 0 /dev/ram0 0" | dmsetup create one
busybox insmod /dm-crypt.ko
echo "0 2048 crypt aes-xts-plain64 $key 0 /dev/vda 0" | dmsetup create two
exit 1
END
chmod 0755 dm-init
truncate -s 20M volume.img
echo -n secret | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 volume.img - ||
	exit 2
modinfo -k "${modules##*/}" -F filename dm-mod dm-crypt >modules.list || exit 2
for module in dm-mod dm-crypt; do
	file=$(grep "/$module\.ko" modules.list)
	case $file in
	*.xz) xz -dc "$file" ;;
	*.zst) zstd -dqc "$file" ;;
	*) cat "$file" ;;
	esac >$module.ko
done
expect 'an archive with cryptsetup and too few modules' 0 '' initramfs build --profile custom --compress none \
	--program "$(command -v cryptsetup)" --program "$(command -v dmsetup)" --program "$busybox:/bin/busybox" \
	--file dm-init:/init --file volume.img:/volume.img --file dm-mod.ko:/dm-mod.ko \
	--file dm-crypt.ko:/dm-crypt.ko -o dm.img

# A kernel without the note that QEMU looks for

python3 "$source/tests/lib/vmlinux.py" "$kernel" vmlinux || exit 2
python3 - <<'END' || exit 2
import re
image = bytearray(open("vmlinux", "rb").read())
for note in re.finditer(rb"\x04\0\0\0.\0\0\0\x12\0\0\0Xen\0", bytes(image), re.DOTALL):
    image[note.start() + 8] = 0x77
open("vmlinux", "wb").write(image)
END

boot good 256 "console=ttyS0 $common" -initrd good.cpio
boot none 256 "console=ttyS0 $common"
boot random 256 "console=ttyS0 $common" -initrd random.img
boot cut 256 "console=ttyS0 $common" -initrd cut.img
boot crc64 256 "console=ttyS0 $common" -initrd crc64.img
boot empty 256 "console=ttyS0 $common" -initrd empty.cpio
boot interpreter 256 "console=ttyS0 $common" -initrd interpreter.cpio
boot format 256 "console=ttyS0 $common" -initrd format.cpio
boot mode 256 "console=ttyS0 $common" -initrd mode.cpio
boot ends 256 "console=ttyS0 $common" -initrd ends.cpio
boot mounts 256 "console=ttyS0 $common" -initrd mounts.cpio
boot root 256 "console=ttyS0 $common root=/dev/vda"
boot large 150 "console=ttyS0 $common" -initrd large.cpio
boot silent 256 "$common" -initrd good.cpio
boot dm 512 "console=ttyS0 $common" -initrd dm.img
image=vmlinux boot note 256 "console=ttyS0 $common" -initrd good.cpio
boot nothing 256 "console=ttyS0 $common" -initrd ./nothing
wait

expect 'a boot that goes well' 0 '' kernel explain good.log
like 'is told to' 'nothing wrong was found' "$out"
like 'and was one' 'all is well' "$(cat good.log)"
explained 'no boot archive' none root-no-initramfs
explained 'none that is one' random initramfs-unknown
explained 'one that is cut' cut initramfs-damaged
explained 'xz with a check that the kernel does not know' crc64 initramfs-xz-check
explained 'no /init in it' empty root-no-init
explained 'an interpreter that is not there' interpreter init-not-there
explained 'no program' format init-format
explained 'one that may not be executed' mode init-mode
explained 'one that ends' ends init-ended
like 'with its status' 'status 42' "$(cat out)"
explained 'a filesystem that is not known' mounts mount-no-filesystem
explained 'a root device without its driver' root root-no-driver
explained 'too little memory' large initramfs-full
explained 'no console' silent silent-setup
explained 'the device mapper missing, then its target, then the cipher' dm dm-missing dm-no-crypt dm-cipher
explained 'a vmlinux without PVH' note qemu-no-pvh
explained 'an archive that is not there' nothing qemu-no-initrd

tap_end
