#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Volumes made of images, beside other ways to get an encrypted copy: volume.sh BUILD [ROUNDS].
# CAISSON_BENCH_SIZE: of the image (4G); CAISSON_BENCH_MEMORY: a tmpfs (/dev/shm).
#
# Each round runs every contender once, on what the disk gives then; ratios are of pairs. The source is
# in memory each time; cp and the others leave to the kernel what is not on the disk yet, caisson does not.
set -euo pipefail
# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
bench_begin "$@"
size=${CAISSON_BENCH_SIZE:-4G}
memory=$(mktemp -d "${CAISSON_BENCH_MEMORY:-/dev/shm}/caisson-bench-XXXXXX")
trap 'rm -rf "$work" "$memory"' EXIT

# Random bytes, of which a filesystem's bitmaps say nothing: all of them count.
bytes() { openssl enc -aes-128-ctr -pass pass:bench -pbkdf2 -in /dev/zero 2>/dev/null | head -c "$1" || true; }
head -c 32 /dev/urandom | base64 -w 0 | head -c 32 >key

# In the folder that is measured; what it left is removed by remove. All of the bytes; and an image of
# a filesystem, of which those that count.
create_raw() { CAISSON_STATE=$PWD/state "$build/caisson" volume create v --filesystem none --from "$1"; }
create() { CAISSON_STATE=$PWD/state "$build/caisson" volume create v --from "$1"; }
remove() { rm -rf out state; sync; }

reencrypt() {
	cp image out
	truncate -s +32M out
	cryptsetup reencrypt --encrypt --type luks2 --batch-mode --disable-locks \
		--reduce-device-size 32M --key-file "$work/key" --pbkdf pbkdf2 --pbkdf-force-iterations 1000 \
		--cipher aes-xts-plain64 --key-size 512 --sector-size 4096 out
}
# Now and then it cannot measure its key derivation on a busy machine, and gives up at the start.
qemu() {
	local try
	for try in 1 2 3 4 5; do
		qemu-img convert --object "secret,id=key,file=$work/key" -f raw -O luks \
			-o key-secret=key,iter-time=100 image out && return
	done
	echo "bench: qemu-img failed $try times" >&2
	return 1
}

# Without the programs there is no comparison, and that is said.
contenders=(cp)
for program in cryptsetup:reencrypt qemu-img:qemu; do
	if command -v "${program%:*}" >/dev/null; then
		contenders+=("${program#*:}")
	else
		echo "SKIP: there is no ${program%:*}"
	fi
done

describe() {
	case $1 in
	cp) echo 'cp (not encrypted)' ;;
	reencrypt) echo 'cp, then cryptsetup reencrypt --encrypt' ;;
	qemu) echo 'qemu-img convert -O luks' ;;
	esac
}

measure() { # WHAT FOLDER
	local contender
	cd "$2"
	bytes "$size" >image
	sync
	rm -f "$work"/time-*
	# The first to take so much memory would wait for it.
	cp image out
	remove
	for _ in $(seq "$rounds"); do
		cat image >/dev/null
		seconds create_raw image >>"$work/time-caisson"
		remove
		for contender in "${contenders[@]}"; do
			cat image >/dev/null
			if [ "$contender" = cp ]; then
				seconds cp image out >>"$work/time-cp"
			else
				seconds "$contender" >>"$work/time-$contender"
			fi
			remove
		done
	done
	rm -f image
	cd "$work"
	printf '%-52s %10s %10s\n' "$size of data, $1 (medians; ratios by pair)" 'time' '/caisson'
	printf '%-52s %8.2f s\n' 'caisson volume create --from' "$(median <time-caisson)"
	for contender in "${contenders[@]}"; do
		printf '%-52s %8.2f s %8s x\n' "$(describe "$contender")" "$(median <"time-$contender")" \
			"$(ratio "time-$contender" time-caisson)"
	done
	echo
}

echo "caisson $("$build/caisson" --version | cut -d ' ' -f 2), $(nproc) processors, $rounds rounds"
echo
measure 'in memory (tmpfs)' "$memory"
measure "on the disk ($(stat -f -c %T "$work"))" "$work"

# 100 MiB in 10 GiB: an ext4 filesystem, most of which is empty.
mkdir content
bytes 100M >content/data
truncate -s 10G image
# As it is made on a disk: nothing says that the tables of inodes are zeros already.
mke2fs -q -t ext4 -E nodiscard,lazy_itable_init=1 -d content image
sync
printf '%-52s %10s %12s\n' '100 MiB in 10 GiB' 'time' 'on the disk'
for what in create cp; do
	: >took
	for _ in $(seq "$rounds"); do
		if [ "$what" = cp ]; then
			seconds cp image out >>took
		else
			seconds "$what" image >>took
		fi
		used=$( (find out state -type f -printf '%b\n' 2>/dev/null || true) | awk '{ sum += $1 } END { print int(sum / 2048) }')
		remove
	done
	printf '%-52s %8.3f s %8d MiB\n' "$what" "$(median <took)" "$used"
done
rm -f image
echo

: >took
for i in $(seq "$rounds"); do
	seconds "$build/caisson" volume create "empty-$i" --size 1G >>took
done
printf '%-52s %8.3f s\n' 'an empty volume of 1 GiB' "$(median <took)"
