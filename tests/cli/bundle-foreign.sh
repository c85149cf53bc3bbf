#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Bundles of other machine types: proved by their own loader under an emulator, and run by it.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
# shellcheck source=tests/lib/foreign-roots.sh
. "$(dirname "$0")/../lib/foreign-roots.sh"
tap_begin "$1"
cd "$work" || exit 2
chmod 755 "$work"

if [ -w "$build" ]; then
	foreign_begin "$build/test-roots" || tap_skip_all "$foreign_why"
else
	foreign_begin "$work/roots" || tap_skip_all "$foreign_why"
fi
programs=(/bin/bash /bin/ls /usr/sbin/cryptsetup /usr/bin/ssh)

# The loader proves it where it can be confined: as root, or in a user namespace.
proved="^verified: the bundle's own loader"
is_root || unshare -r true 2>/dev/null || proved='^verified'

runs() { # DESCRIPTION FOLDER COMMAND...
	local description=$1 folder=$2
	shift 2
	if is_root || unshare -r true 2>/dev/null; then
		mkdir -p "$folder/dev" "$folder/proc"
		like "$description" '^it is a shell$' \
			"$(foreign_run "$folder" "$foreign_emulator" "$@" -c 'echo it is a shell' 2>&1)"
	else
		skip 'neither root nor a user namespace' "$description"
	fi
}

for arch in "${foreign_archs[@]}"; do
	if ! foreign_root "$arch" || ! foreign_emulator "$arch"; then
		skip "$foreign_why" "$arch"
		continue
	fi
	try "$caisson" bundle --root "$foreign_root" "${programs[@]}" --into same --verify
	ended "$arch" 0
	like "$arch: by its loader" "$proved" "$out"
	runs "$arch: it runs" same /bin/bash
	try "$caisson" closure --check same
	ended "$arch: it checks" 0
	try "$caisson" bundle --root "$foreign_root" "${programs[@]}" --into flat --layout flat --strip --verify
	ended "$arch, flat, without debug sections" 0
	like "$arch, flat: by its loader" "$proved" "$out"
	loader=$(sed -nE 's,^start its programs by: flat(/lib/[^ ]*) .*,\1,p' <<<"$out")
	runs "$arch, flat: it runs" flat "$loader" --library-path /lib /bin/bash
	rm -rf same flat
	if ! foreign_cached "$arch"; then
		skip "$foreign_why" "$arch, with a cache"
		continue
	fi
	try "$caisson" bundle --root "$foreign_cached" "${programs[@]}" --into cached --verify
	ended "$arch, libraries that the cache alone knows" 0
	like "$arch, with a cache: by its loader" "$proved" "$out"
	check "$arch: the cache comes along" test -s cached/etc/ld.so.cache
	runs "$arch, with a cache: it runs" cached /bin/bash
	rm -rf cached
done

# Two machine types in one bundle: a flat one has room for both loaders, but not for two libc.so.6.
if foreign_mixed; then
	try "$caisson" bundle --root "$foreign_mixed" /bin/bash /opt/i386/bin/bash --into mixed --verify
	ended 'two machine types in one bundle' 0
	foreign_emulator=
	runs 'the first runs' mixed /bin/bash
	runs 'and the second' mixed /opt/i386/bin/bash
	expect 'which cannot be flat' 1 'would be two things in the bundle' bundle --root "$foreign_mixed" \
		/bin/bash /opt/i386/bin/ls --into mixed-flat --layout flat
else
	skip "$foreign_why" 'two machine types in one bundle'
fi

tap_end
