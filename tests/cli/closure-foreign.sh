#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Closures in roots of other machine types, against each root's own loader, under an emulator.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
# shellcheck source=tests/lib/foreign-roots.sh
. "$(dirname "$0")/../lib/foreign-roots.sh"
tap_begin "$1"
cd "$work" || exit 2

if [ -w "$build" ]; then
	foreign_begin "$build/test-roots" || tap_skip_all "$foreign_why"
else
	foreign_begin "$work/roots" || tap_skip_all "$foreign_why"
fi
# The judge changes its root.
as_root=()
is_root || as_root=(unshare -r)
"${as_root[@]}" true 2>/dev/null || tap_skip_all 'neither root nor a user namespace'

programs_of() { # ROOT
	local folder
	for folder in usr/bin usr/sbin usr/libexec usr/lib/systemd usr/lib/openssh usr/lib/udev opt/i386; do
		[ ! -d "$1/$folder" ] || (cd "$1" && find "$folder" -type f -printf '/%p\0')
	done | LC_ALL=C sort -z
}

# What the loader says of a root is kept beside it.
agree() { # DESCRIPTION ROOT EMULATOR ROOT-OF-THE-JUDGE
	local kept emulator=()
	kept=$4.$(cat "$source/tests/lib/loader_judge.py" ${3:+"$3"} | sha256sum | cut -c 1-16)
	[ -z "$3" ] || emulator=(--emulator "$3")
	programs_of "$4" >paths
	try "${as_root[@]}" python3 "$source/tests/lib/loader_judge.py" programs "$caisson" --root "$2" \
		--judged "$4" --answers "$kept" "${emulator[@]}" <paths
	diag "$1: $(tail -n 1 <<<"$out")"
	same "$1: the judge says" 0 "$status"
	like "$1: programs were compared" '^[1-9][0-9]* programs, .* [1-9][0-9]* libraries found' \
		"$(tail -n 1 <<<"$out")"
	same "$1: each is the loader's" '' "$(sed '$d' <<<"$out" | head -n 20 | cut -c 1-1000)"
}

for arch in "${foreign_archs[@]}"; do
	if ! foreign_root "$arch" || ! foreign_emulator "$arch"; then
		skip "$foreign_why" "$arch"
		continue
	fi
	agree "$arch, without a cache" "$foreign_root" "$foreign_emulator" "$foreign_root"
	if ! foreign_cached "$arch"; then
		skip "$foreign_why" "$arch, with a cache"
		continue
	fi
	agree "$arch, with a cache" "$foreign_cached" "$foreign_emulator" "$foreign_cached"
	cp -al "$foreign_cached" "$foreign_cached-$$" && rm -f "$foreign_cached-$$/etc/ld.so.cache"
	agree "$arch, ld.so.conf without its cache" "$foreign_cached-$$" "$foreign_emulator" "$foreign_cached"
	rm -rf "$foreign_cached-$$"
done
if foreign_mixed; then
	agree 'two ABIs in one root' "$foreign_mixed" '' "$foreign_mixed"
else
	skip "$foreign_why" 'two ABIs in one root'
fi

# A root whose folders are links that begin with a slash.
if foreign_root arm64 && foreign_emulator arm64; then
	links=${foreign_root%/root}/links
	rm -rf "$links" && cp -al "$foreign_root" "$links"
	for name in bin sbin lib; do
		rm "$links/$name" && ln -s "/../../usr/$name" "$links/$name"
	done
	agree 'absolute links' "$links" "$foreign_emulator" "$foreign_root"
	rm -rf "$links"
fi

tap_end
