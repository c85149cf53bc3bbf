#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Boot archives that are described by options and recipes: what goes in, why, and what is refused.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_begin "$1"
cd "$work" || exit 2
PATH=$PATH:/usr/sbin:/sbin

build() { # ARGUMENT...
	"$caisson" initramfs build "$@"
}
listed() { # ARCHIVE
	"$caisson" initramfs list "$1" | sed -E 's/^.{11} *[0-9, ]+ //; s/ -> .*//'
}
explained() { # PATH, of the last explanation
	sed -n "s,^ */$1  *[0-9.]* [A-Za-z]*  ,,p" <<<"$out"
}

# What is named comes, with what it needs

mkdir -p tree/folder && echo one >tree/folder/one && echo two >tree/two && ln -s two tree/link && chmod 0750 tree/two
printf '#!/bin/sh\nexit 0\n' >script && chmod +x script
try build --profile custom -p "$(command -v busybox):/init" -p cryptsetup -f "$work/tree:/data" -f "$work/script" \
	-m dm-crypt -m virtio_blk --compress none -o one.img
ended 'programs, files and modules' 0
names=$(listed one.img)
for path in init usr/sbin/cryptsetup data/two data/folder/one data/link "${work#/}/script"; do
	check "/$path is there" grep -qx "$path" <<<"$names"
done
like 'libraries of the program' 'libcryptsetup\.so' "$names"
like 'libgcc_s.so.1, which it opens' 'libgcc_s\.so\.1$' "$names"
like 'the module, whichever way its name is written' 'dm[-_]crypt\.ko$' "$names"
like 'and the one that it needs' 'dm[-_]mod\.ko$' "$names"
unlike 'the module list is not a machine'\''s' 'ext4|squashfs' "$names"
like 'modes are kept' '^-rwxr-x--- .* data/two$' "$("$caisson" initramfs list one.img)"
unlike 'caisson'\''s own programs stay away' 'caisson-unlock' "$names"

try build --profile custom -p "$(command -v busybox):/init" -p cryptsetup -f "$work/tree:/data" -m dm-crypt --explain
ended 'why' 0
like 'a library is wanted by who needs it' 'ld\.so\.cache|default folder' "$(explained 'usr/lib/.*/libcryptsetup\.so\.12')"
like 'a module by who asked' 'asked for by --module' "$(grep 'dm-crypt\.ko' <<<"$out")"
like 'another by the module that needs it' 'for the module dm_crypt' "$(grep 'dm-mod\.ko' <<<"$out")"
like 'with a sum' 'files and links, .* uncompressed$' "$out"
check_not 'and nothing is written' test -e initramfs.img
try build --profile custom -p "$(command -v busybox):/init" --explain --json
same 'in JSON' /init "$(python3 -c 'import json, sys
print(next("/" + e["path"] for e in json.load(sys.stdin) if e["path"] == "init"))' <<<"$out")"

# The same bytes

args=(--profile custom -p "$(command -v busybox):/init" -p cryptsetup -f "$work/tree:/data" -m dm-crypt)
build "${args[@]}" -o a.img >/dev/null
mkdir -p elsewhere
(cd elsewhere && umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 CAISSON_STATE=$work/state-2 CAISSON_CONFIG=$work/config-2 \
	build "${args[@]}" -o ../b.img >/dev/null)
check 'in another folder, time zone, locale, umask and state' cmp a.img b.img
touch -d '2001-02-03' tree/two
build "${args[@]}" -o b.img >/dev/null
check 'of a file with another time' cmp a.img b.img
SOURCE_DATE_EPOCH=1000000000 build "${args[@]}" -o c.img >/dev/null
check_not 'SOURCE_DATE_EPOCH is in it' cmp -s a.img c.img
echo three >tree/two
build "${args[@]}" -o b.img >/dev/null
check_not 'another content makes another archive, cached or not' cmp -s a.img b.img
echo four >tree/folder/more
build "${args[@]}" -o c.img >/dev/null
check 'a file that came into a folder comes along' grep -qx data/folder/more <<<"$(listed c.img)"

# Two at once, and killed

rm -rf state-3
for i in 1 2 3 4; do
	CAISSON_STATE=$work/state-3 build "${args[@]}" -o "at-once-$i.img" >/dev/null &
	jobs+=($!)
done
failed=0
for job in "${jobs[@]}"; do wait "$job" || failed=1; done
same 'four builders at once' 0 "$failed"
for i in 1 2 3 4; do check "number $i has the same" cmp c.img "at-once-$i.img"; done
seed=${CAISSON_TEST_SEED:-$RANDOM}
RANDOM=$seed
diag "seed of the kills: $seed"
rm -rf state-4
for _ in $(seq 25); do
	CAISSON_STATE=$work/state-4 setsid "$caisson" initramfs build "${args[@]}" -o killed.img >/dev/null 2>&1 &
	victim=$!
	sleep "0.0$((RANDOM % 60 + 10))"
	kill -KILL "$victim" 2>/dev/null
	wait "$victim" 2>/dev/null
	[ ! -e killed.img ] || cmp -s killed.img c.img || {
		point no 'a build that was killed left something else'
		break
	}
done
CAISSON_STATE=$work/state-4 build "${args[@]}" -o killed.img >/dev/null
check 'after 25 kills, the next build is whole' cmp killed.img c.img
same 'and has swept what they left' '' "$(find state-4/initramfs -name '.new-*')"

# Recipes

mkdir recipes
cat >recipes/10-base.json <<END
{"profile": "custom", "compress": "none", "programs": [{"source": "busybox", "path": "/init"}]}
END
cat >recipes/20-more.json <<END
{"compress": "xz", "texts": [{"text": "hello\n", "path": "/etc/motd", "mode": "0600", "why": "a greeting"}],
 "links": [{"target": "motd", "path": "/etc/issue"}],
 "files": [{"source": "/nowhere/at/all", "optional": true}],
 "modules": [{"name": "no_such_module", "optional": true}, "virtio_blk"]}
END
mkdir none
expect 'a folder without recipes' 1 'holds no recipe' initramfs build --recipe none -o none.img
expect 'an output without a name' 2 'names no file' initramfs build -o ''
echo 'not read' >recipes/README
try build --recipe recipes -o recipe.img
ended 'a folder of recipes' 0
same 'the first to say it settles the compression' 070701 "$(head -c 6 recipe.img)"
like 'a text' '^-rw------- +6 etc/motd$' "$("$caisson" initramfs list recipe.img)"
like 'a link' 'etc/issue -> motd$' "$("$caisson" initramfs list recipe.img)"
try build --recipe recipes --explain
like 'and why' 'recipes/20-more.json: a greeting' "$out"

refused() { # DESCRIPTION PATTERN JSON
	printf '%s' "$3" >bad.json
	expect "$1" 2 "$2" initramfs build --recipe bad.json -o bad.img
}
refused 'a recipe that is no JSON' 'bad\.json' '{'
refused 'one that is no object' 'JSON object' '[]'
refused 'a field that there is not' "no field 'moduls'" '{"moduls": []}'
refused 'one in an entry' "no field 'sauce'" '{"files": [{"sauce": "x"}]}'
refused 'a text without a place' "'path' is missing" '{"texts": ["x"]}'
refused 'a place that is none' "starts with '/'" '{"files": [{"source": "/etc/hostname", "path": "x"}]}'
refused 'a mode that is none' 'no mode' '{"texts": [{"text": "x", "path": "/x", "mode": "rwx"}]}'
refused 'a profile that is none' 'no profile' '{"profile": "toaster"}'
refused 'a compression that is none' 'no compression' '{"compress": "arj"}'
refused 'a place outside' 'leads out' '{"profile": "custom", "texts": [{"text": "x", "path": "/../x"}]}'

# What is missing is an error that names who asked, before anything is written

expect 'a program' 1 '--program: .*nowhere' initramfs build -p /nowhere/program -o bad.img
expect 'a file' 1 '--file: .*nowhere' initramfs build -f /nowhere/file -o bad.img
expect 'a module' 1 'no module no_such_module, asked for by --module' initramfs build -m no_such_module -o bad.img
printf '{"programs": ["no-such-program"]}' >wants.json
expect 'a program that a recipe wants' 1 'wants\.json: .*no-such-program' initramfs build --recipe wants.json -o bad.img
expect 'no init' 1 'nothing .* is /init' initramfs build --profile custom -f /etc/hostname -o bad.img
expect 'two things in one place' 1 'two things' initramfs build --profile custom -p busybox:/init -f /etc/hostname:/x \
	-f /etc/passwd:/x -o bad.img
mkfifo fifo
expect 'a FIFO is no content' 2 'neither a file' initramfs build --profile custom -p busybox:/init -f "$work/fifo" -o bad.img
expect 'a kernel that is not there' 1 '9\.9\.9' initramfs build --kernel 9.9.9 -o bad.img
check_not 'none of them left a file' test -e bad.img

# In a root of its own

mkdir -p root/usr/bin root/lib64 && ln -s usr/bin root/bin
cp "$(command -v busybox)" root/usr/bin/tool
try build --profile custom --root root -p /bin/tool:/init --compress none -o root.img
ended 'a program of another root' 0
check 'is what that root has' cmp root/usr/bin/tool <("$caisson" initramfs extract root.img --into unpacked init >/dev/null &&
	cat unpacked/init)
expect 'one that only this machine has' 1 '--program' initramfs build --profile custom --root root -p /bin/ls:/init -o bad.img

# Debug sections of modules go, a signature keeps all

if command -v gcc >/dev/null; then
	release=$(basename "$(find /boot -name 'vmlinuz-*' | sort -V | tail -n 1)" | cut -d - -f 2-)
	modules=$work/modules
	cp -rs "$(readlink -f "/lib/modules/$release")" "$modules"
	rm -f "$modules/build" "$modules/source"
	target=$(find "$modules" -name 'virtio_blk.ko*' | head -n 1)
	case $target in
	*.ko)
		cp --remove-destination "$(readlink -f "$target")" "$target"
		echo 'int unused_here(int a) { return a + 1; }' | gcc -g -c -x c - -o debug.o
		sed 's/~Module signature appended~$//' "$target" >/dev/null
		python3 - "$target" debug.o <<'END'
import sys
path, debug = sys.argv[1:]
data = open(path, "rb").read()
magic = b"~Module signature appended~\n"
if data.endswith(magic):
    size = int.from_bytes(data[-len(magic) - 4:-len(magic)], "big")
    data = data[:-len(magic) - 12 - size]
open(path, "wb").write(data)
END
		objcopy --add-section .debug_info=debug.o "$target"
		try build --modules "$modules" --profile custom -p busybox:/init -m virtio_blk --compress none -o debug.img
		ended 'a module with debug sections' 0
		"$caisson" initramfs extract debug.img --into debug >/dev/null
		unlike 'has none in the archive' '\.debug_' "$(readelf -SW "$(find debug -name 'virtio_blk.ko')")"
		like 'where it had some' '\.debug_' "$(readelf -SW "$target")"
		;;
	*) skip 'modules are packed here' 'a module with debug sections' ;;
	esac
else
	skip 'gcc is not installed' 'a module with debug sections'
fi

tap_end
