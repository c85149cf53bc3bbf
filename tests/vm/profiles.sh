#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Boot archives for other uses than caisson's own machines (those boot in every other script here, a first
# boot's in format.sh): the rescue shell, one that is made from a recipe, and one behind the distribution's own.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_begin "$1"
PATH=$PATH:/usr/sbin:/sbin
for program in qemu-system-x86_64 busybox cryptsetup mkinitramfs; do
	command -v $program >/dev/null || tap_skip_all "$program is not installed"
done
cd "$work" || exit 2
kernel=$(find /boot -maxdepth 1 -name 'vmlinuz-*' | sort -V | tail -n 1)
release=${kernel#*/vmlinuz-}

# Starts ARCHIVE; its console goes to FILE, and what stands in INPUT is typed.
boot() { # ARCHIVE FILE INPUT [QEMU-ARGUMENT...]
	timeout 300 qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -machine q35 \
		-accel tcg -cpu max -m 768 -kernel "$kernel" -initrd "$1" \
		-append 'console=ttyS0 quiet panic=-1 reboot=t' -serial stdio "${@:4}" <"$3" >"$2" 2>&1
}

# The rescue shell opens a volume that was made elsewhere.

truncate -s 32M disk
printf 'the keeper' >key
cryptsetup luksFormat --batch-mode --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file key disk
try "$caisson" initramfs build --profile rescue --platform q35 --file "$work/key:/root/key" -o rescue
ended 'the rescue archive' 0
cat >typed <<'END'
echo "rescue: $(cat /proc/1/comm)"
cryptsetup open --key-file /root/key /dev/vda vault && echo "rescue: opened"
mke2fs -q -t ext4 /dev/mapper/vault && mount -t ext4 /dev/mapper/vault /mnt && echo "rescue: mounted"
umount /mnt && cryptsetup close vault && e2fsck -V 2>/dev/null; echo "rescue: closed"
exit
END
boot rescue console typed -drive "file=disk,format=raw,if=virtio,cache=unsafe"
status=$? err=$(tr -d '\r\0' <console)
ended 'its machine is switched off by leaving the shell' 0
for word in opened mounted closed; do
	like "its shell has $word the volume" "^rescue: $word\$" "$err"
done

# An archive that a recipe describes, with a program of the distribution's and its libraries.

cat >recipe.json <<'END'
{
	"profile": "custom",
	"compress": "gzip",
	"programs": [
		{"source": "busybox", "path": "/bin/busybox"},
		{"source": "cryptsetup", "why": "to see that it starts"}
	],
	"texts": [
		{"text": "#!/bin/busybox sh\n/bin/busybox mount -t devtmpfs dev /dev\necho \"recipe: $(/bin/busybox cat /etc/word)\"\n[ ! -d /scripts ] || echo 'recipe: behind another'\n/usr/sbin/cryptsetup --version | /bin/busybox sed 's/^/recipe: /'\nfor module in $(/bin/busybox grep -v '^#' /etc/caisson/modules); do /bin/busybox insmod $module; done && echo 'recipe: loaded'\n/bin/busybox poweroff -f\n",
		 "path": "/init", "mode": "0755"},
		{"text": "from a recipe", "path": "/etc/word"}
	],
	"links": [{"target": "word", "path": "/etc/another"}],
	"modules": ["dm-crypt"]
}
END
try "$caisson" initramfs build --recipe recipe.json -o custom
ended 'a recipe' 0
same 'is compressed as it says' 1f8b "$(head -c 2 custom | od -An -tx1 | tr -d ' ')"
boot custom console /dev/null
status=$? err=$(tr -d '\r\0' <console)
ended 'its machine runs to its end' 0
like 'its init runs, and reads its text' '^recipe: from a recipe$' "$err"
like 'cryptsetup starts with its libraries' '^recipe: cryptsetup [0-9]' "$err"
like 'the last module loads' '^recipe: loaded$' "$err"

# Behind the distribution's own archive: what both have, the later one settles.

mkinitramfs -o distribution "$release" >mkinitramfs.log 2>&1
cat distribution custom >both
boot both console /dev/null
status=$? err=$(tr -d '\r\0' <console)
ended 'behind the archive of the distribution, too' 0
like 'its init is the one that runs' '^recipe: from a recipe$' "$err"
like 'and sees the other archive' '^recipe: behind another$' "$err"

[ "$tap_failed" -eq 0 ] || diag "$err"
tap_end
