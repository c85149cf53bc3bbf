#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# caisson-format, in the archive and under the kernel of a machine: a disk becomes LUKS2 with Argon2id and ext4.
# What it made is then looked at by the distribution's own programs. PID 1 is a shell here.
# shellcheck disable=SC2016 # what is quoted, the guest expands
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
# shellcheck source=tests/lib/rootfs.sh
. "$(dirname "$0")/../lib/rootfs.sh"
tap_begin "$1"
PATH=$PATH:/usr/sbin:/sbin
for program in qemu-system-x86_64 busybox cpio cryptsetup dumpe2fs; do
	command -v $program >/dev/null || tap_skip_all "$program is not installed"
done
form=${CAISSON_TEST_GUEST:-bundled}
export CAISSON_GUEST=$build/guest/$form
cd "$work" || exit 2
passphrase='the lamp is lit'
hex=$(printf %s "$passphrase" | od -An -tx1 | tr -d ' \n')
truncate -s 64M disk
printf 'something' >used
truncate -s 32M used

# Behind the archive of a first boot, a second one: a shell.
"$caisson" initramfs build --profile firstboot --platform q35 --no-network --compress none -o initramfs >/dev/null
mkdir -p more/mnt
rootfs_busybox "$PWD/more"
cat >more/shell <<END
#!/bin/busybox sh
export PATH=/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
say() {
	echo "guest: \$*"
}
grep -v '^#' /etc/caisson/modules | while read -r module; do
	insmod "\$module" 2>/dev/null
done
until [ -b /dev/vda ] && [ -b /dev/vdb ]; do
	mdev -s
done
printf '%s\n' '/dev/vda made 32768 4 2' $hex >/order
caisson-format </order && say formatted
caisson-format </order 2>&1 || say 'not twice'
printf '%s\n' '/dev/vdb other 32768 4 2' $hex | caisson-format 2>&1 || say 'not over something'
printf '%s\n' '/dev/vda made 32768 4 2' zz | caisson-format 2>&1 || say 'not without a passphrase'
mount -t ext4 /dev/mapper/made /mnt && say mounted
echo 'a note' >/mnt/note
umount /mnt && say unmounted
e2fsck -f -n /dev/mapper/made >/dev/null 2>&1 && say checked
lsmod | grep -q '^af_alg' || say 'no AF_ALG'
reboot -f
END
chmod +x more/shell
(cd more && find . | cpio -o -H newc --quiet) >>initramfs

kernel=$(find /boot -maxdepth 1 -name 'vmlinuz-*' | sort -V | tail -n 1)
timeout 240 qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -machine q35 \
	-accel tcg -cpu max -smp 2 -m 512 -kernel "$kernel" -initrd initramfs \
	-append 'console=ttyS0 quiet panic=-1 reboot=t rdinit=/shell cryptomgr.notests' -serial stdio \
	-drive file=disk,format=raw,if=virtio,cache=unsafe \
	-drive file=used,format=raw,if=virtio,cache=unsafe >console 2>&1
status=$?
out=$(tr -d '\r\0' <console)
err=$out
ended 'the machine ran to its end' 0
like 'a disk is formatted' '^guest: formatted$' "$out"
like 'and never twice' '^guest: not twice$' "$out"
like 'a disk that holds something is left alone' 'there is something on /dev/vdb already' "$out"
like 'which is its own status' '^guest: not over something$' "$out"
same 'to the last byte' something "$(tr -d '\0' <used)"
like 'an order without a passphrase is refused' 'the passphrase is malformed' "$out"
like 'it can be mounted' '^guest: mounted$' "$out"
like 'and unmounted' '^guest: unmounted$' "$out"
like 'e2fsck finds nothing wrong' '^guest: checked$' "$out"
like 'without AF_ALG' '^guest: no AF_ALG$' "$out"
[ "$tap_failed" -eq 0 ] || diag "$out"

try cryptsetup luksDump disk
ended 'the distribution reads the header' 0
like 'LUKS2' 'Version:[[:space:]]*2$' "$out"
like 'Argon2id' 'PBKDF: *argon2id' "$out"
like 'of this cost: iterations' 'Time cost: *4' "$out"
like 'memory' 'Memory: *32768' "$out"
like 'threads' 'Threads: *2' "$out"
like 'in sectors of 4096 bytes' 'sector: 4096' "$out"
printf %s "$passphrase" >key
try cryptsetup open --test-passphrase --key-file key disk
ended 'and opens it with the passphrase' 0
echo wrong >key
try cryptsetup open --test-passphrase --key-file key disk
ended 'and with no other' 2
same 'the note is not to be read on the disk' 0 "$(grep -c 'a note' disk)"

tap_end
