#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# guest/static/build-libraries: sources that are not the listed ones, no sources, killed, two at once. With
# "long" behind the build folder it builds, too.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_begin "$1"
long=${2-}
kept=${CAISSON_CACHE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/caisson}/static
[ -d "$kept/sources/cryptsetup" ] || tap_skip_all 'the sources of the static form are not here'
cd "$work" || exit 2
cp -R "$source/guest/static" static
mkdir offline
for name in apt-get apt-cache; do
	printf '#!/bin/sh\nexit 100\n' >offline/$name
	chmod +x offline/$name
done
libraries() { # CACHE
	try env CAISSON_CACHE="$work/$1" PATH="$work/offline:$PATH" static/build-libraries
}

libraries nothing
ended 'no source to be had' 1 'apt has no source of'
same 'nothing is named' '' "$out"
same 'nothing half-made is left' '' "$(find nothing/static -name '.new-*')"

mkdir -p changed/static
cp -R "$kept/sources" changed/static/
file=$(find changed/static/sources/cryptsetup -name '*.orig.tar.*' | head -n 1)
printf x | dd of="$file" bs=1 seek=1000 conv=notrunc status=none
libraries changed
ended 'a source that was changed' 1 'cryptsetup.* is not the file of sources.txt'
same 'is not built' '' "$out"

mkdir -p listed/static
cp -R "$kept/sources" listed/static/
sed -i -E 's/^(lvm2 .*orig.* ).*/\10000000000000000000000000000000000000000000000000000000000000000/' \
	static/sources.txt
libraries listed
ended 'a list that was changed' 1 'lvm2.* is not the file of sources.txt'

# A newer one is known, and not to be had.
printf '#!/bin/sh\n%s\n' 'echo "Version: 2.03.16-9"' 'echo "Version: 2.03.17-1"' >offline/apt-cache
libraries listed
ended 'a newer revision is wanted first' 1 'the source of lvm2 2\.03\.16-9 cannot be had'
unlike 'another version is not' '2\.03\.17' "$err"
like 'then what is there is taken, and must be what it was' 'lvm2.* is not the file of sources.txt' "$err"
printf '#!/bin/sh\nexit 100\n' >offline/apt-cache
cp "$source/guest/static/sources.txt" static/

try env CAISSON_CACHE="$work/tools" PATH="$work/none" "$(command -v bash)" static/build-libraries
check 'without tools it fails' test "$status" -ne 0

if [ "$long" = long ]; then
	mkdir -p cache/static
	cp -R "$kept/sources" cache/static/
	env CAISSON_CACHE="$work/cache" PATH="$work/offline:$PATH" setsid static/build-libraries >/dev/null 2>&1 &
	pid=$!
	for _ in $(seq 600); do
		if find cache/static -path '*/.new-*/devmapper/*.o' 2>/dev/null | grep -q .; then
			break
		fi
		sleep 0.1
	done
	kill -KILL -- "-$pid"
	wait "$pid" 2>/dev/null
	check 'killed, it leaves a hidden folder' test -n "$(find cache/static -maxdepth 1 -name '.new-*')"
	for i in 1 2; do
		env CAISSON_CACHE="$work/cache" PATH="$work/offline:$PATH" static/build-libraries \
			>"made-$i" 2>"said-$i" &
		pids[i]=$!
	done
	wait "${pids[1]}"
	same 'two at once: the first' 0 $?
	wait "${pids[2]}"
	same 'and the second' 0 $?
	check 'name the same folder' cmp made-1 made-2
	same 'of which one made it' 1 "$(cat said-1 said-2 | grep -c 'building in')"
	same 'and nothing half-made is left' '' "$(find cache/static -maxdepth 1 -name '.new-*')"
	folder=$(cat made-1)
	for name in cryptsetup devmapper e2fsck mke2fs ext2fs uuid; do
		check "lib$name.a is there" test -s "$folder/lib$name.a"
	done
	same 'libcryptsetup shows its interface alone' '' \
		"$(nm --defined-only --extern-only "$folder/libcryptsetup.a" | awk 'NF == 3 && $3 !~ /^crypt_/')"
	libraries cache
	ended 'a second time' 0
	same 'nothing is built' '' "$err"
fi

tap_end
