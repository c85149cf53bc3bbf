#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Starts of machines, boot archives and volumes: machine.sh BUILD [ROUNDS].
set -euo pipefail
# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
bench_begin "$@"

# The image: one static program that does nothing.
mkdir -p root
printf 'int main(void) { return 0; }\n' >true.c
gcc -static -Os -o root/true true.c
"$source/tests/lib/mkimage.sh" true-image root --cmd '["/true"]' >/dev/null

# The floor: the same kernel, started by hand, with a busybox that only powers off.
mkdir -p floor/bin floor/dev
cp "$(command -v busybox)" floor/bin/busybox
printf '#!/bin/busybox sh\n/bin/busybox poweroff -f\n' >floor/init
chmod +x floor/init
(cd floor && find . | sort | cpio -o -H newc --quiet) | zstd -q >floor.img

"$build/caisson" volume create data --size 256M >/dev/null
"$build/caisson" run --quiet ./true-image
"$build/caisson" run --quiet --volume data:/data ./true-image

machine=$(find "$CAISSON_STATE/machines" -mindepth 1 -maxdepth 1 -printf '%f\n' | head -n 1)
field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$CAISSON_STATE/machines/$machine/machine.json" | sed 's,\\/,/,g'; }
accelerator=$(field accelerator)
bzimage=$(field kernel)
vmlinux=$(find "$CAISSON_STATE/kernels" -name '*.vmlinux' | head -n 1)
khz=$(cut -d ' ' -f 2 "$CAISSON_STATE/cache/tsc" 2>/dev/null || echo 0)
append='console=ttyS0 quiet panic=-1 reboot=t'
[ "$accelerator" = kvm ] || append="$append tsc_early_khz=$khz"

by_hand() {
	qemu-system-x86_64 -machine microvm -accel "$accelerator" \
		-cpu "$([ "$accelerator" = kvm ] && echo host || echo max)" -m 512 -nodefaults \
		-no-user-config -display none -no-reboot -serial file:console \
		-kernel "$1" -initrd floor.img -append "$append"
}

echo "caisson $("$build/caisson" --version | cut -d ' ' -f 2), $accelerator, kernel ${bzimage##*/}, $(nproc) processors, $rounds rounds"
echo
# The form that is not the build's own, for what the two cost.
forms=()
for folder in "$build"/guest/*/; do
	[ ! -e "$folder/caisson-init" ] || forms+=("$(basename "$folder")")
done
with_form() { # FORM ARGUMENT...
	CAISSON_GUEST=$build/guest/$1 "$build/caisson" "${@:2}"
}
for form in "${forms[@]}"; do
	with_form "$form" run --quiet --volume data:/data ./true-image
	: >"volume-$form"
done
: >floor-vmlinux; : >floor-bzimage; : >plain
for _ in $(seq "$rounds"); do
	seconds by_hand "$vmlinux" >>floor-vmlinux
	seconds by_hand "$bzimage" >>floor-bzimage
	seconds "$build/caisson" run --quiet ./true-image >>plain
	for form in "${forms[@]}"; do
		seconds with_form "$form" run --quiet --volume data:/data ./true-image >>"volume-$form"
	done
done
row() { printf '%-52s %8.3f s  %6s x  %6s x\n' "$1" "$(median <"$2")" "$(ratio "$2" floor-vmlinux)" "$(ratio "$2" floor-bzimage)"; }
printf '%-52s %10s %9s %9s\n' 'a whole start to its end (medians; ratios by pair)' 'time' '/vmlinux' '/bzImage'
row 'floor: busybox init that powers off, vmlinux (PVH)' floor-vmlinux
row 'floor: the same, bzImage' floor-bzimage
row 'caisson run, static true, no volume' plain
for form in "${forms[@]}"; do
	row "caisson run, static true, one volume, $form guest" "volume-$form"
done
echo

printf '%-52s %10s\n' 'boot archive' 'bytes'
size() { printf '%-52s %10d\n' "$1" "$(stat -c %s "$2")"; }
for form in "${forms[@]}"; do
	for kind in '' --no-volumes; do
		for compression in zstd none; do
			# shellcheck disable=SC2086 # no option is no argument
			with_form "$form" initramfs build --quiet --compress "$compression" -o archive.img $kind >/dev/null
			size "$form, ${kind:-with volumes}, $compression" archive.img
		done
	done
done
printf '%-52s %10d\n' 'one known system (19 MB, with encryption)' 19000000
echo

started() {
	"$build/caisson" run --verbose "$@" 2>&1 | sed -n 's/.*QEMU started after \([0-9.]*\) ms.*/\1/p'
}
printf '%-52s %10s\n' 'from caisson run to QEMU'\''s start, all cached' 'ms'
for _ in $(seq "$rounds"); do started ./true-image; done | median |
	xargs printf '%-52s %10s\n' 'no volume'
for _ in $(seq "$rounds"); do started --volume data:/data ./true-image; done | median |
	xargs printf '%-52s %10s\n' 'one volume'
echo

printf '%-52s %10s\n' 'volume create' 's'
for size in 256M 1G; do
	for i in $(seq "$rounds"); do
		seconds "$build/caisson" volume create "v${size,,}-$i" --size "$size"
	done | median | xargs printf '%-52s %10.3f\n' "$size"
done
