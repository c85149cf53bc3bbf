#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Guest kernels, from the monitor's start to the first line of the first program: kernel.sh BUILD [ROUNDS
# [FOLDER]]. FOLDER holds a bzImage and a vmlinux of ours (BUILD/kernel/minimal).
#
# Instructions are counted by QEMU: with -icount shift=N its clock, which the guest's time stamp counter
# shows, goes on by 2^N ns for each of them. The first program reads the counter before anything else. What it
# shows is the instructions and what the clock jumps over; the difference of N=1 and N=0 is the instructions
# alone. The time is of a plain emulated start.
set -euo pipefail
# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
ours=${3:-$1/kernel/minimal}
[ ! -d "$ours" ] || ours=$(cd "$ours" && pwd)
bench_begin "$@"
for file in bzImage vmlinux; do
	[ -r "$ours/$file" ] || {
		echo "SKIP: there is no $ours/$file (make one with ./dev kernel)"
		exit 0
	}
done

# The first program is alone in its archive, and makes no use of a library.
mkdir root
cat >init.c <<'END'
static long call(long number, long a, long b, long c)
{
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return r;
}

void _start(void)
{
	char line[] = "first line 00000000000000000000\n";
	unsigned int low, high;
	unsigned long count;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	count = (unsigned long)high << 32 | low;
	for (char *digit = line + sizeof(line) - 3; count != 0; count /= 10)
		*digit-- = (char)('0' + count % 10);
	call(1, 1, (long)line, sizeof(line) - 1);
	call(169, 0xfee1dead, 672274793, 0x1234567); /* reboot, which ends QEMU */
	for (;;)
		;
}
END
gcc -Os -static -nostdlib -ffreestanding -fno-stack-protector -fno-builtin -o root/init init.c
(cd root && echo init | cpio -o -H newc --quiet --renumber-inodes -R 0:0) >floor.img

# The distribution's kernel, as it is and as caisson starts it.
printf 'int main(void) { return 0; }\n' >true.c
mkdir image
gcc -static -Os -o image/true true.c
"$source/tests/lib/mkimage.sh" true-image image --cmd '["/true"]' >/dev/null
"$build/caisson" run --quiet --accelerator tcg ./true-image
theirs=$(find "$CAISSON_STATE/kernels" -name '*.vmlinux' | head -n 1)
machine=$(find "$CAISSON_STATE/machines" -mindepth 1 -maxdepth 1 | head -n 1)
bzimage=$(sed -n 's/.*"kernel": *"\([^"]*\)".*/\1/p' "$machine/machine.json" | sed 's,\\/,/,g')
khz=$(cut -d ' ' -f 2 "$CAISSON_STATE/cache/tsc" 2>/dev/null || echo 0)

names=(distribution-bzImage distribution-vmlinux ours-bzImage ours-vmlinux)
files=("$bzimage" "$theirs" "$ours/bzImage" "$ours/vmlinux")
# A vmlinux is started as caisson starts it: what else its command line has for a microvm under emulation.
more=('' 'pci=off random.trust_cpu=on noreplace-smp' '' 'pci=off random.trust_cpu=on noreplace-smp')

start() { # KERNEL APPEND OPTION...
	timeout 120 qemu-system-x86_64 -machine microvm,isa-serial=on,pic=on,rtc=on -accel tcg -cpu max \
		-m 512 -nodefaults -no-user-config -display none -no-reboot -serial stdio \
		-kernel "$1" -initrd floor.img -append "console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests $2" \
		"${@:3}" </dev/null
}

# QEMU's end is waited for, so that no start is in the way of the next.
to_first_line() { # KERNEL APPEND
	local begin end
	rm -f lines && mkfifo lines
	begin=$(nanoseconds)
	start "$1" "tsc_early_khz=$khz $2" >lines 2>/dev/null &
	{
		grep -q -m 1 '^first line'
		end=$(nanoseconds)
		cat >/dev/null
	} <lines
	wait $! || true
	awk -v ns=$((end - begin)) 'BEGIN { printf "%.6f\n", ns / 1e9 }'
}

reading() { # SHIFT KERNEL APPEND
	start "$2" "tsc_early_khz=1000000 $3" -icount "shift=$1,sleep=off" 2>/dev/null | tr -d '\r' |
		sed -n 's/.*first line 0*//p'
}

for _ in $(seq "$rounds"); do
	for i in "${!names[@]}"; do
		to_first_line "${files[i]}" "${more[i]}" >>"time-${names[i]}"
	done
done
for i in "${!names[@]}"; do
	one=$(reading 0 "${files[i]}" "${more[i]}")
	two=$(reading 1 "${files[i]}" "${more[i]}")
	echo "$one" >"clock-${names[i]}"
	echo $((two - one)) >"count-${names[i]}"
done
millions() { awk '{ printf "%.1f M", $1 / 1e6 }' "$1"; }

echo "QEMU microvm, TCG, one processor of $(nproc), $rounds rounds"
echo
printf '%-24s %12s %14s %12s %10s %10s\n' 'to the first line' 'bytes' 'instructions' 'clock' 'time' '/first'
for i in "${!names[@]}"; do
	printf '%-24s %12d %14s %12s %8.3f s %8s x\n' "${names[i]}" "$(stat -L -c %s "${files[i]}")" \
		"$(millions "count-${names[i]}")" "$(millions "clock-${names[i]}")" "$(median <"time-${names[i]}")" \
		"$(ratio "time-${names[i]}" time-distribution-bzImage)"
done
