#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Finding what programs need, against other tools that do: closure.sh BUILD [ROUNDS].
set -euo pipefail
# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lib/elf-traps.sh
. "$(dirname "$0")/../tests/lib/elf-traps.sh"
bench_begin "$@"
slow_rounds=$((rounds < 3 ? rounds : 3)) # of what takes a hundred times as long

find /usr/bin /usr/sbin -type f -print0 | sort -z |
	xargs -0 python3 -c '
import sys
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        if file.read(4) == b"\x7fELF":
            print(path)' >files
mapfile -t files <files
program=$(command -v cryptsetup || command -v ls)

# What a tool says about libraries that are missing is no failure here.
caisson() { "$build/caisson" closure --list "$@" || [ $? -eq 1 ]; }
caisson_all() { "$build/caisson" closure --list --dlopen all "$@" || [ $? -eq 1 ]; }
libtree_plain() { libtree "$@" || true; }
libtree_whole() { libtree -vv "$@" || true; }
by_ldd() { ldd "$@" || true; }
by_loader() {
	sh -c 'for file; do /lib64/ld-linux-x86-64.so.2 --list "$file"; done; true' sh "$@"
}
by_lddtree() { /usr/bin/python3 /usr/bin/lddtree -l "$@" || true; }
# It has no way but to copy what it finds.
by_dracut() {
	rm -rf copied
	mkdir copied
	/usr/lib/dracut/dracut-install -D copied -l -a "$@" || true
}

# Each is a function, its program, and what it is called; in the order in which they take turns.
peers=(
	'caisson|true|caisson closure --list'
	'caisson_all|true|caisson closure --list --dlopen all'
	'libtree_plain|libtree|libtree (leaves out libc and its like)'
	'libtree_whole|libtree|libtree -vv'
	'by_loader|/lib64/ld-linux-x86-64.so.2|ld.so --list, file by file'
	'by_ldd|ldd|ldd'
	'by_lddtree|/usr/bin/lddtree|lddtree -l (Python)'
	'by_dracut|/usr/lib/dracut/dracut-install|dracut-install -l (copies, too)'
)

# Seconds for one of REPEAT calls.
call() { # REPEAT FUNCTION FILE...
	local repeat=$1 i
	shift
	for ((i = 0; i < repeat; i++)); do
		"$@"
	done
}

section() { # TITLE REPEAT FILE...
	local title=$1 repeat=$2 peer function tool name round times
	shift 2
	rm -f times-*
	for ((round = 0; round < rounds; round++)); do
		for peer in "${peers[@]}"; do
			IFS='|' read -r function tool name <<<"$peer"
			command -v "$tool" >/dev/null || continue
			times=$repeat
			case $function in
			by_lddtree | by_dracut | by_ldd)
				[ "$round" -lt "$slow_rounds" ] || continue
				times=1
				;;
			esac
			seconds call "$times" "$function" "$@" | awk -v n="$times" '{ printf "%.6f\n", $1 / n }' \
				>>"times-$function"
		done
	done
	printf '%-52s %10s %9s\n' "$title" 'time' '/caisson'
	for peer in "${peers[@]}"; do
		IFS='|' read -r function tool name <<<"$peer"
		if [ -s "times-$function" ]; then
			printf '%-52s %8.1f ms %8s x\n' "$name" \
				"$(median <"times-$function" | awk '{ print $1 * 1000 }')" \
				"$(ratio "times-$function" times-caisson)"
		else
			printf '%-52s %11s\n' "$name" 'not here'
		fi
	done
	echo
}

echo "caisson $("$build/caisson" --version | cut -d ' ' -f 2), $(nproc) processors, $rounds rounds"
echo
section "${#files[@]} ELF files of /usr/bin and /usr/sbin, one call" 3 "${files[@]}"
section "$program" 20 "$program"

printf '%-52s %10s\n' 'traps' 'right'
(elf_traps "$work/traps" >&2)
python3 "$source/bench/peers.py" "$build/caisson" "$work/traps/list"
