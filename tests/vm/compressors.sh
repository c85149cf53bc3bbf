#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The same archive in every form that the writer knows, unpacked by the distribution's kernel: several
# blocks of it, microcode in front, names of one file, and another archive behind.
# shellcheck disable=SC2016 # what is quoted, the guest expands
set -u
# shellcheck source=tests/lib/vm.sh
. "$(dirname "$0")/../lib/vm.sh"
vm_begin "$1"
command -v busybox >/dev/null || tap_skip_all 'busybox is not installed'
command -v cpio >/dev/null || tap_skip_all 'cpio is not installed'

# One that was built for machines knows fewer forms.
kernel=$(find /boot -maxdepth 1 -name 'vmlinuz-*' | sort -V | tail -n 1)
config=/boot/config-${kernel#*/vmlinuz-}
vmlinux=$work/vmlinux
python3 "$source/tests/lib/vmlinux.py" "$kernel" "$vmlinux" || tap_skip_all "$kernel cannot be started uncompressed"
khz=$(cut -d ' ' -f 2 "$CAISSON_STATE/cache/tsc" 2>/dev/null || echo 0)

# What stands in it: 20 MB of which some are random, so that no form can make one block of it.
python3 -c '
import random, sys
random.seed(1)
noise = random.randbytes(1 << 20)
sys.stdout.buffer.write(noise + bytes(b ^ 85 for b in noise) + b"".join(
    noise[i:i + 4000] + b"text" * 500 for i in range(0, 9000)))' >"$work/big"
echo shared >"$work/one" && ln "$work/one" "$work/two"
python3 -c '
import struct, sys
sys.stdout.buffer.write(struct.pack("<12I", 1, 0, 0, 0, 0, 0, 0, 0, 48, 0, 0, 0))' >"$work/update"
cat >"$work/init" <<'END'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
say() {
	echo "guest: $*"
}
say "sum $(/bin/busybox md5sum </big)"
say "links $(/bin/busybox stat -c %h /a) $(/bin/busybox stat -c %h /z) $(/bin/busybox cat /a)"
say "microcode $(/bin/busybox stat -c %s /kernel/x86/microcode/GenuineIntel.bin)"
say "behind $(/bin/busybox cat /behind)"
/bin/busybox reboot -f
END
chmod +x "$work/init"
mkdir "$work/second" && echo works >"$work/second/behind"
(cd "$work/second" && echo behind | cpio -o -H newc --quiet) >"$work/second.cpio"
cat >"$work/list" <<END
intel $work/update
dir proc
console
file init $work/init
file bin/busybox $(command -v busybox)
file big $work/big
file a $work/one
file z $work/two
END
sum=$(md5sum <"$work/big")

# One form: the archive, a word of zeros that ends it whatever it is, and a second archive.
boot() { # KIND
	local archive=$work/$1.img
	"$build/tests/pack-archive" "$archive" "$1" <"$work/list" >"$work/$1.log" 2>&1 || return 1
	cp "$archive" "$archive.alone"
	truncate -s "$((($(stat -c %s "$archive") + 7) / 4 * 4))" "$archive"
	cat "$work/second.cpio" >>"$archive"
	timeout 120 qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none \
		-machine microvm -accel tcg -cpu max -m 512 -kernel "$vmlinux" -initrd "$archive" \
		-append "console=ttyS0 quiet panic=-1 reboot=t rdinit=/init tsc_early_khz=$khz" \
		-serial stdio >"$work/$1.log" 2>&1
}

kinds=(zstd gzip xz lz4 none zstd:19 lz4:1 xz:0)
for ((i = 0; i < ${#kinds[@]}; i += 2)); do
	boot "${kinds[i]}" &
	first=$!
	boot "${kinds[i + 1]}" &
	wait $first $!
done
for kind in "${kinds[@]}"; do
	option=CONFIG_RD_$(tr '[:lower:]' '[:upper:]' <<<"${kind%%:*}")
	out=$(tr -d '\r\0' <"$work/$kind.log")
	if [ "$kind" != none ] && [ -r "$config" ] && ! grep -qx "$option=y" "$config"; then
		skip "this kernel has no $option" "$kind"
		continue
	fi
	like "$kind: the kernel unpacks every block" "^guest: sum $sum\$" "$out"
	like "$kind: two names are one file" '^guest: links 2 2 shared$' "$out"
	like "$kind: with microcode in front" '^guest: microcode 48$' "$out"
	like "$kind: and an archive behind" '^guest: behind works$' "$out"
done
check 'each form is its own' test "$(for kind in "${kinds[@]}"; do
	md5sum <"$work/$kind.img.alone"
done | sort -u | wc -l)" -eq ${#kinds[@]}

"$build/tests/pack-archive" "$work/default.img" <"$work/list"
check 'zstd is what is made without a word' cmp "$work/default.img" "$work/zstd.img.alone"
[ "$tap_failed" -eq 0 ] || diag "$(tail -n 5 "$work"/*.log)"
tap_end
