#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Closures of programs that are built to mislead, against the loader itself.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
# shellcheck source=tests/lib/elf-traps.sh
. "$(dirname "$0")/../lib/elf-traps.sh"
tap_begin "$1"
command -v gcc >/dev/null || tap_skip_all 'gcc is not installed'
[ "$(uname -m)" = x86_64 ] || tap_skip_all 'the traps are built for x86_64'
chmod 711 "$work"
elf_traps "$work/traps" >&2 || {
	echo 'Bail out! the traps could not be built'
	exit 1
}
cd "$work" || exit 2

# A point for each line of the judge.
judged() { # LIST [WAY...]
	local list=$1 verdict name description said room=()
	shift
	mkdir -p room
	[ "$list" = list-user ] || [ "$alone" = no ] || room=("$work/room")
	while IFS=$'\t' read -r verdict name description said; do
		case $verdict in
		ok) point yes "$description ($name)" ;;
		skip) skip "$said" "$description ($name)" ;;
		*)
			point no "$description ($name)"
			tr '\t' '\n' <<<"$said" | cut -c 1-1000 | sed 's/^/# /'
			;;
		esac
		count=$((count + 1))
	done < <("$@" "$python" "$source/tests/lib/loader_judge.py" traps "$caisson" "$work/traps/$list" \
		"${room[@]}")
	same "every trap of the $list was judged" "$(wc -l <"traps/$list")" "$count"
	count=0
}

# Own roots want chroot(2); what is not readable wants a user for whom that counts.
count=0 alone=yes python=$(PATH=/usr/bin:$PATH command -v python3)
as_root=() as_user=()
if ! is_root; then
	as_root=(unshare -r)
	"${as_root[@]}" true 2>/dev/null || alone=no
else
	as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	"${as_user[@]}" test -x "$caisson" -a -r "$source/tests/lib/loader_judge.py" || as_user=()
	chown -R 65534 traps/un*
fi
if [ "$alone" = yes ]; then
	judged list "${as_root[@]}"
	judged list-roots "${as_root[@]}"
else
	judged list
	skip 'neither root nor a user namespace' 'roots of their own'
fi
if is_root && [ ${#as_user[@]} -eq 0 ]; then
	skip 'another user cannot reach the build folder' 'what may not be read'
else
	judged list-user "${as_user[@]}"
fi

# Scripts: what reads them comes along, with its closure.

closed() { # FILE...
	"$caisson" closure --list --dlopen none "$@" | sort -u
}

script() { # FILE FIRST-LINE
	printf '%s\necho yes\n' "$2" >"$1"
	chmod 755 "$1"
}

mkdir scripts && cd scripts || exit 2
here=$PWD
cp -a ../traps/origin-link/real/prog prog && cp -a ../traps/origin-link/real/lib .
program=$(closed prog)
like 'the program of the scripts is closed over' "^$here/lib/liba.so\$" "$program"
script plain "#!$here/prog"
same 'a script' "$(sort -u <<<"$program"$'\n'"$here/plain")" "$(closed plain)"
script arguments "#! 	$here/prog -x  two words "
same 'a script with arguments' "$(sort -u <<<"$program"$'\n'"$here/arguments")" "$(closed arguments)"
script chain "#!$here/arguments"
same 'a script whose interpreter is a script' \
	"$(sort -u <<<"$program"$'\n'"$here/arguments"$'\n'"$here/chain")" "$(closed chain)"
script env '#!/usr/bin/env sh'
same 'env NAME' "$( (closed /usr/bin/env "$(command -v sh)" && echo "$here/env") | sort -u)" "$(closed env)"
script env-options '#!/usr/bin/env -S sh -e'
same 'env -S NAME' "$( (closed /usr/bin/env "$(command -v sh)" && echo "$here/env-options") | sort -u)" \
	"$(closed env-options)"
script missing "#!$here/none"
try "$caisson" closure --json --dlopen none missing
ended 'a script whose interpreter is not there' 1
like 'names it' "$here/none" "$out$err"
script itself "#!$here/itself"
try timeout 20 "$caisson" closure --json --dlopen none itself
ended 'a script that is its own interpreter' 1
printf 'echo no first line\n' >text && chmod 755 text
try "$caisson" closure --list text
ended 'a text that is no script' 1

tap_end
