#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A volume of caisson's in the hands of others: the distribution's own kernel, cryptsetup and mount, in a
# virtual machine that has nothing of caisson in it.
# shellcheck disable=SC2016 # what is quoted, the guest expands
set -u
# shellcheck source=tests/lib/vm.sh
. "$(dirname "$0")/../lib/vm.sh"
vm_begin "$1"
PATH=$PATH:/usr/sbin:/sbin
command -v cryptsetup >/dev/null || tap_skip_all 'cryptsetup is not installed'
for program in busybox cpio modprobe; do
	command -v $program >/dev/null || tap_skip_all "$program is not installed"
done
container=$CAISSON_STATE/volumes/data/container
note="written under caisson $RANDOM$RANDOM"

"$caisson" volume create data --size 40M >/dev/null
try vm_sh --rm --volume data:/data "echo '$note' >/data/note"
ended 'a note is written' 0

# An initramfs made by hand: busybox, cryptsetup with what ldd says, modules as modprobe has them.
kernel=$(find /boot -maxdepth 1 -name 'vmlinuz-*' | sort -V | tail -n 1)
release=${kernel#*/vmlinuz-}
root=$work/root
rootfs_busybox "$root"
mkdir -p "$root/dev" "$root/proc" "$root/sys" "$root/run/cryptsetup" "$root/mnt" "$root/modules"
rootfs_add_program "$root" "$(command -v cryptsetup)"
libgcc=$(find /lib /usr/lib -name libgcc_s.so.1 2>/dev/null | head -n 1)
cp -L "$libgcc" "$root/lib/"
number=100
for module in virtio_pci virtio_blk dm_mod dm_crypt aesni_intel aes_generic xts ecb crc32c_generic ext4 \
	algif_skcipher; do
	while read -r verb path _; do
		[ "$verb" = insmod ] || continue
		number=$((number + 1))
		case $path in
		*.xz) xz -dc "$path" >"$root/modules/$number-$module.ko" ;;
		*.zst) zstd -qdc "$path" >"$root/modules/$number-$module.ko" ;;
		*) cp "$path" "$root/modules/$number-$module.ko" ;;
		esac
	done < <(modprobe --show-depends --set-version "$release" "$module" 2>/dev/null)
done
"$build/tests/machine-key" "$CAISSON_STATE" "$CAISSON_CONFIG" data 1 >"$root/key"
cat >"$root/init" <<'END'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
for module in /modules/*.ko; do
	insmod "$module" 2>/dev/null
done
say() {
	echo "stock: $*"
}
until [ -b /dev/vda ]; do
	mdev -s
done
cryptsetup luksDump /dev/vda >/dev/null && say dumped
cryptsetup open --key-file /key /dev/vda opened && say opened
cryptsetup status opened | sed -n 's/^ *\(cipher\|keysize\|sector size\): */stock: \1 /p'
mount -t ext4 -o ro /dev/mapper/opened /mnt && say mounted
say "note: $(cat /mnt/note)"
umount /mnt
cryptsetup close opened && say closed
echo wrong | cryptsetup open --key-file - /dev/vda other || say 'refused another key'
reboot -f
END
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet) >"$work/initramfs"
rm "$root/key"

timeout 240 qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -machine q35 \
	-accel tcg -cpu max -m 512 -kernel "$kernel" -initrd "$work/initramfs" \
	-append 'console=ttyS0 quiet panic=-1 reboot=t rdinit=/init' -serial stdio \
	-drive "file=$container,format=raw,if=virtio,cache=unsafe,read-only=off" >"$work/console" 2>&1
status=$?
out=$(tr -d '\r\0' <"$work/console")
err=$out
ended 'a machine of others ran to its end' 0
like 'cryptsetup luksDump' '^stock: dumped$' "$out"
like 'cryptsetup open, with the key' '^stock: opened$' "$out"
like 'as AES in XTS mode' '^stock: cipher aes-xts-plain64$' "$out"
like 'with 512 bits' '^stock: keysize 512 bits$' "$out"
like 'in sectors of 4096 bytes' '^stock: sector size 4096$' "$out"
like 'mount' '^stock: mounted$' "$out"
like 'and the note is there' "^stock: note: $note\$" "$out"
like 'cryptsetup close' '^stock: closed$' "$out"
like 'another key opens nothing' '^stock: refused another key$' "$out"
[ "$tap_failed" -eq 0 ] || diag "$out"

try vm_sh --rm --volume data:/data 'cat /data/note'
ended 'and caisson opens it again' 0
same 'with the note' "$note" "$out"

tap_end
