#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Boot archives: the time and the size of a build beside mkinitramfs and dracut, of the same files, in one
# run; and what each compression costs the boot. bench/initramfs.sh BUILD [ROUNDS]
# booster is no package of Debian's, and is not measured.
set -euo pipefail
build=$(cd "$1" && pwd)
rounds=${2:-3}
work=$(mktemp -d "${TMPDIR:-/tmp}/caisson-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C
pack=$build/tests/pack-archive

statistic() { sort -n | awk -v which="$1" '{ v[NR] = $1 } END {
	print which == "best" ? v[1] : NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
nanoseconds() { date +%s%N; }
# Seconds that a command took, which must succeed.
seconds() {
	local start
	start=$(nanoseconds)
	"$@" >output 2>&1 || {
		cat output >&2
		echo "bench: failed: $*" >&2
		exit 1
	}
	awk -v ns=$(($(nanoseconds) - start)) 'BEGIN { printf "%.4f\n", ns / 1e9 }'
}

kernel=$(find /boot -maxdepth 1 -name 'vmlinuz-*' | sort -V | tail -n 1)
release=${kernel#*/vmlinuz-}

# The list of an unpacked archive, as pack-archive reads it. A second name of a file is a file here, too:
# the writer finds out.
list_of() { # FOLDER
	(cd "$1" && find . -mindepth 1 \( -type d -printf 'dir %P\n' \) -o \
		\( -type l -printf 'link %P %l\n' \) -o \
		\( -type f -name '*.ko' -printf "module %P $1/%P\n" \) -o \
		\( -type f -printf "file %P $1/%P\n" \))
}

# By name: how it is made, uncompressed (so that only the work is compared) and as it is by default.
by_mkinitramfs() { mkinitramfs -o "$work/mkinitramfs.img" "$release"; }
by_dracut() { dracut --quiet --force --no-hostonly "$@" --kver "$release" "$work/dracut.img"; }
unpack() { # NAME
	mkdir -p "$work/$1"
	# unmkinitramfs makes a folder a member when there are several.
	unmkinitramfs "$work/$1.img" "$work/$1"
	if [ -d "$work/$1/main" ]; then
		list_of "$work/$1/main"
	else
		list_of "$work/$1"
	fi >"$work/$1.list"
}

row() { # NAME FILE-WITH-TIMES SIZE [THEIRS]
	local ratio=
	[ $# -lt 4 ] || ratio=$(paste "$4" "$2" | awk '{ printf "%.4f\n", $1 / $2 }' | statistic median)
	printf '%-44s %8.3f s %8.3f s %12d %s\n' "$1" "$(statistic best <"$2")" \
		"$(statistic median <"$2")" "$3" "${ratio:+$(printf '%7.1f x' "$ratio")}"
}

compare() { # NAME COMMAND...
	local name=$1 i kind
	shift
	"$@" >output 2>&1 || {
		cat output >&2
		return 1
	}
	unpack "$name"
	printf '%s: %d files and links, %d MB\n' "$name" "$(wc -l <"$name.list")" \
		"$(du -s --block-size=1MB "$name" | cut -f 1)"
	rm -f "$name".*.times
	for ((i = 0; i < rounds; i++)); do
		seconds "$@" >>"$name.their.times"
		for kind in none zstd zstd:6 lz4:1; do
			seconds "$pack" "$name.$kind.img" "$kind" <"$name.list" >>"$name.$kind.times"
		done
	done
	row "$name, as it is" "$name.their.times" "$(stat -c %s "$name.img")"
	for kind in none zstd zstd:6 lz4:1; do
		row "the same files by caisson's writer, $kind" "$name.$kind.times" \
			"$(stat -c %s "$name.$kind.img")" "$name.their.times"
	done
	/usr/bin/time -f '%M' "$pack" "$name.rss.img" zstd <"$name.list" 2>rss
	printf 'memory of caisson'\''s writer with zstd: %d MB\n\n' "$(($(cat rss) / 1024))"
}

printf '%-44s %10s %10s %12s %s\n' 'boot archives (warm)' best median bytes 'median ratio'
compared=()
for name in mkinitramfs dracut; do
	command -v $name >/dev/null || {
		echo "$name is not installed"
		continue
	}
	compare $name by_$name
	compared+=("$name")
done

# One set of files, started in each form, up to a program that says so.
command -v qemu-system-x86_64 >/dev/null && command -v busybox >/dev/null &&
	[ ${#compared[@]} -gt 0 ] || exit 0
printf '#!/bin/busybox sh\n/bin/busybox reboot -f\n' >init
chmod +x init
{
	grep -v '^[a-z]* \(init\|bin\|bin/.*\|dev/console\)\( \|$\)' "${compared[0]}.list"
	printf '%s\n' console "file init $work/init" "file bin/busybox $(command -v busybox)"
} >boot.list
khz=$(awk '/^cpu MHz/ { printf "%d", $4 * 1000; exit }' /proc/cpuinfo)
start() { # ARCHIVE
	/usr/bin/time -a -o "$2" -f '%U %S' timeout 300 qemu-system-x86_64 -machine microvm -accel tcg -cpu max -m 1024 -nodefaults \
		-no-user-config -display none -no-reboot -serial file:console -kernel "$kernel" \
		-initrd "$1" \
		-append "console=ttyS0 quiet panic=-1 reboot=t rdinit=/init tsc_early_khz=$khz"
}
kinds=(none lz4:1 lz4 zstd:1 zstd:3 zstd:6 zstd:19 gzip xz)
for kind in "${kinds[@]}"; do
	"$pack" "boot.$kind.img" "$kind" <boot.list
done
for ((i = 0; i < 3; i++)); do
	for kind in "${kinds[@]}"; do
		seconds start "boot.$kind.img" "boot.$kind.cpu" >>"boot.$kind.times"
	done
done
printf '%-44s %10s %10s %12s %s\n' "a start with the files of ${compared[0]}, TCG" best median bytes \
	'processor time'
for kind in "${kinds[@]}"; do
	cpu=$(awk '{ print $1 + $2 }' "boot.$kind.cpu" | statistic median)
	printf '%s %6.2f s\n' "$(row "$kind" "boot.$kind.times" "$(stat -c %s "boot.$kind.img")")" \
		"$cpu"
done
