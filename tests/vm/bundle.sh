#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# cryptsetup of this system, bundled, where nothing of this system is: in a root without any libc, in one
# with musl, and in an empty one, it unlocks a LUKS2 volume. And the kernel itself unpacks the archives.
# shellcheck disable=SC2016 # what is quoted, the guest expands
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
# shellcheck source=tests/lib/rootfs.sh
. "$(dirname "$0")/../lib/rootfs.sh"
tap_begin "$1"
cd "$work" || exit 2
PATH=$PATH:/usr/sbin:/sbin
for program in cryptsetup qemu-system-x86_64 busybox cpio modprobe musl-gcc gcc; do
	command -v $program >/dev/null || tap_skip_all "$program is not installed"
done
kernel=$(find /boot -maxdepth 1 -name 'vmlinuz-*' | sort -V | tail -n 1)
[ -n "$kernel" ] || tap_skip_all 'no kernel is installed'
release=${kernel#*/vmlinuz-}
cryptsetup=$(command -v cryptsetup)

# The volume, with a key that only Argon2id leads to.
truncate -s 24M volume
echo -n "correct horse $RANDOM" >key
check 'a LUKS2 volume is made, with Argon2id' "$cryptsetup" luksFormat -q --type luks2 --pbkdf argon2id \
	--pbkdf-memory 32768 --pbkdf-force-iterations 4 --key-file key volume
marker="written through the first of them $RANDOM$RANDOM"

# Three roots.
root=$work/root
rootfs_busybox "$root"
rootfs_scratch "$root/no-libc"
rootfs_musl "$root/musl"
mkdir -p "$root/empty"
for name in no-libc musl empty; do
	try "$caisson" bundle "$cryptsetup" --into "$root/$name" --verify
	ended "a bundle in the root '$name'" 0
	mkdir -p "$root/$name/dev" "$root/$name/proc" "$root/$name/sys" "$root/$name/run"
	cp key "$root/$name/key"
done

# Archives, as many as the kernel knows compressions; the plain one has hard links.
mkdir -p "formats/bin" "formats/lib64" "formats/lib/x86_64-linux-gnu"
cp -L /lib64/ld-linux-x86-64.so.2 formats/lib64/
cp -L /lib/x86_64-linux-gnu/libc.so.6 formats/lib/x86_64-linux-gnu/
: >archives
for format in cpio cpio.gz cpio.zst cpio.xz cpio.lz4; do
	printf '#include <stdio.h>\nint main(void) { puts("format: %s"); return 0; }\n' $format >format.c
	gcc -O2 -o "formats/bin/from-$format" format.c
	programs=("/bin/from-$format")
	if [ $format = cpio ]; then
		ln "formats/bin/from-$format" formats/bin/again
		programs+=(/bin/again)
	fi
	"$caisson" bundle --root formats "${programs[@]}" --into "format.$format" --no-manifest >/dev/null
	cat "format.$format" >>archives
done

mkdir -p "$root/dev" "$root/proc" "$root/sys" "$root/modules"
number=100
for module in virtio_pci virtio_blk dm_mod dm_crypt aesni_intel aes_generic xts ecb crc32c_generic \
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
echo "$marker" >"$root/marker"
cat >"$root/init" <<END
#!/bin/sh
cryptsetup=$cryptsetup
END
cat >>"$root/init" <<'END'
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do
	insmod "$module" 2>/dev/null
done
for format in cpio cpio.gz cpio.zst cpio.xz cpio.lz4; do
	/bin/from-$format
done
[ /bin/from-cpio -ef /bin/again ] && echo 'format: hard links'
until [ -b /dev/vda ]; do
	mdev -s
done
for name in no-libc musl empty; do
	mount -t devtmpfs dev /$name/dev
	mount -t proc proc /$name/proc
	mount -t sysfs sys /$name/sys
	chroot /$name $cryptsetup open --key-file /key /dev/vda opened-$name && echo "$name: opened"
	if [ $name = no-libc ]; then
		dd if=/marker of=/dev/mapper/opened-$name conv=fsync 2>/dev/null
	fi
	echo "$name: read: $(head -n 1 /dev/mapper/opened-$name)"
	chroot /$name $cryptsetup status opened-$name | sed -n "s/^ *\(type\|cipher\): */$name: \1 /p"
	chroot /$name $cryptsetup close opened-$name && echo "$name: closed"
	echo wrong | chroot /$name $cryptsetup open --test-passphrase --key-file - /dev/vda ||
		echo "$name: refused another key"
done
/no-libc/hello >/dev/null 2>&1 && echo 'no-libc: its own program runs'
chroot /musl /bin/hello >/dev/null 2>&1 && echo 'musl: its own program runs'
reboot -f
END
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet) >initramfs
cat archives >>initramfs

timeout 240 qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -machine q35 \
	-accel tcg -cpu max -m 768 -kernel "$kernel" -initrd initramfs \
	-append 'console=ttyS0 quiet panic=-1 reboot=t rdinit=/init' -serial stdio \
	-drive "file=volume,format=raw,if=virtio,cache=unsafe" >console 2>&1
status=$?
out=$(tr -d '\r\0' <console)
err=$out
ended 'the machine ran to its end' 0
for format in cpio cpio.gz cpio.zst cpio.xz cpio.lz4; do
	like "the kernel unpacks .$format, and its program runs" "^format: ${format//./\\.}\$" "$out"
done
like 'with hard links as links' '^format: hard links$' "$out"
for name in no-libc musl empty; do
	like "$name: open" "^$name: opened\$" "$out"
	like "$name: dm-crypt" "^$name: cipher aes-xts-plain64\$" "$out"
	like "$name: the marker is there" "^$name: read: $marker\$" "$out"
	like "$name: close" "^$name: closed\$" "$out"
	like "$name: another key opens nothing" "^$name: refused another key\$" "$out"
done
like 'the static program is as it was' '^no-libc: its own program runs$' "$out"
like "musl's program, too" '^musl: its own program runs$' "$out"
[ "$tap_failed" -eq 0 ] || diag "$out"
check_not 'on the disk there is nothing of the marker' grep -qF "$marker" volume

tap_end
