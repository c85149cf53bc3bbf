#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Bundles: complete, the same bytes for the same inputs, whole or finished by the next run, and never
# outside of their folder. Sources are a root made here, so that nothing of the system is touched.
# shellcheck disable=SC2016 # what is quoted, another shell expands
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
# shellcheck source=tests/lib/rootfs.sh
. "$(dirname "$0")/../lib/rootfs.sh"
tap_private_mounts "$0" "$@"
tap_begin "$1"
cd "$work" || exit 2
PATH=$PATH:/usr/sbin:/sbin
for program in gcc bsdtar cpio; do
	command -v $program >/dev/null || tap_skip_all "$program is not installed"
done
chmod 755 "$work"
[ "$(uname -m)" = x86_64 ] || tap_skip_all 'the root that is bundled from is made for x86-64'
triplet=x86_64-linux-gnu
lib=usr/lib/$triplet

bundle() { # ARGUMENT...
	"$caisson" bundle "$@"
}

# "NAME VALUE" of the report on standard output.
field() { # NAME
	python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/out" "$1"
}

states() { # STATE
	python3 -c '
import json, sys
for file in json.load(open(sys.argv[1]))["files"]:
    if file["state"] == sys.argv[2]:
        print(file["path"])' "$work/out" "$1"
}

# Everything there is to see of a tree.
tree() { # FOLDER
	(cd "$1" && find . -mindepth 1 -printf '%p %M %s %l %T@ %n\n' | sort &&
		find . -type f -print0 | sort -z | xargs -0 -r sha256sum)
}

library() { # FILE SONAME VERSION TEXT [LINKER-FLAG...]
	printf 'const char *demo(void) { return "%s"; }\n' "$4" >demo.c
	printf '%s { global: demo; local: *; };\n' "$3" >demo.map
	gcc -shared -fPIC -g -o "$1" demo.c -Wl,-soname,"$2" -Wl,--version-script=demo.map "${@:5}"
}

# A root as Debian has them: merged /usr, glibc, two programs, and a library with its links.
make_root() { # DIR TEXT
	local name
	mkdir -p "$1/usr/bin" "$1/usr/lib64" "$1/$lib"
	for name in bin lib lib64; do
		ln -s "usr/$name" "$1/$name"
	done
	cp -L "/lib/$triplet/libc.so.6" "/lib/$triplet/ld-linux-x86-64.so.2" "$1/$lib/"
	ln -s "/lib/$triplet/ld-linux-x86-64.so.2" "$1/usr/lib64/ld-linux-x86-64.so.2"
	library "$1/$lib/libdemo.so.1.0" libdemo.so.1 DEMO_1 "$2"
	ln -s libdemo.so.1.0 "$1/$lib/libdemo.so.1"
	printf '#include <stdio.h>\nconst char *demo(void);\nint main(int c, char **v)\n{\n%s\n}\n' \
		'printf("%s %s %s\n", v[0], demo(), c > 1 ? v[1] : ""); return 0;' >main.c
	gcc -g -o "$1/usr/bin/demo" main.c "$1/$lib/libdemo.so.1"
	ln "$1/usr/bin/demo" "$1/usr/bin/demo-again"
	printf 'int main(void) { return 0; }\n' >plain.c
	gcc -o "$1/usr/bin/plain" plain.c
	chmod 4751 "$1/usr/bin/plain"
}

make_root "$work/root" one
root=$work/root

may_chroot() {
	is_root && chroot "$root" /bin/demo >/dev/null 2>&1
}

# The same bytes

try bundle --root "$root" /bin/demo /bin/plain /bin/demo-again --into one
ended 'bundle' 0
like 'the report says what for' 'libdemo.so.1.0 .*for /usr/bin/demo' "$out"
like 'and how large all is' '^one: [0-9]+ files and [0-9]+ links, .* written ' "$out"
try bundle --root "$root" /bin/demo --into one --quiet
same 'a quiet one says nothing' '' "$out$err"
tree one >one.tree
(umask 077 && bundle --root "$root" /bin/demo /bin/plain /bin/demo-again --into two >/dev/null)
same 'with another umask the same' "$(cat one.tree)" "$(tree two)"
(umask 0 && TZ=Pacific/Kiritimati LANG=tr_TR.UTF-8 LC_ALL=tr_TR.UTF-8 \
	bundle --root "$root" /bin/plain /bin/demo-again /bin/demo --into three >/dev/null)
same 'in another order and locale' "$(cat one.tree)" "$(tree three)"
mkdir elsewhere
(cd elsewhere && bundle --root ../root /bin/demo /bin/plain /bin/demo-again --into ../four >/dev/null)
same 'from another folder' "$(cat one.tree)" "$(tree four)"
if command -v faketime >/dev/null; then
	try faketime '2031-05-06 07:08:09' "$caisson" bundle --root "$root" /bin/demo /bin/plain \
		/bin/demo-again --into five
	case $err in
	*'come first'*) skip 'the program is sanitized' 'at another time' ;;
	*) same 'at another time' "$(cat one.tree)" "$(tree five)" ;;
	esac
else
	skip 'faketime is not installed' 'at another time'
fi
same 'everything has the fixed time' '0' \
	"$(find one -mindepth 1 -printf '%T@\n' | sort -u | sed 's/\.0*$//')"
SOURCE_DATE_EPOCH=86400 bundle --root "$root" /bin/demo --into six >/dev/null
same 'or that of SOURCE_DATE_EPOCH' '86400' \
	"$(find six -mindepth 1 -printf '%T@\n' | sort -u | sed 's/\.0*$//')"
SOURCE_DATE_EPOCH=x expect 'which is a number' 2 'no number of seconds' bundle --root "$root" \
	/bin/demo --into six
rm -rf two three four five six

# As it stands

same 'links stand as they are' "usr/bin usr/lib /lib/$triplet/ld-linux-x86-64.so.2 libdemo.so.1.0" \
	"$(cd one && readlink bin lib lib64/ld-linux-x86-64.so.2 $lib/libdemo.so.1 | xargs)"
check 'files are the sources' cmp "$root/usr/bin/demo" one/usr/bin/demo
same 'hard links are links' "$(stat -c %i one/usr/bin/demo)" "$(stat -c %i one/usr/bin/demo-again)"
same 'and counted once' 2 "$(stat -c %h one/usr/bin/demo)"
same 'modes stand, without set-user-ID' '755 751 755' \
	"$(stat -c %a one/usr/bin/demo one/usr/bin/plain one/usr | xargs)"
if may_chroot; then
	same 'it runs in nothing but itself' 'demo one two' "$(chroot one /bin/demo two | sed 's,^/bin/,,')"
else
	skip 'needs root' 'it runs in nothing but itself'
fi

# A second bundle shares

before=$(tree one)
try bundle --root "$root" /bin/demo /bin/plain /bin/demo-again --into one --json
same 'again: nothing is written' '0' "$(field written)"
same 'nothing is new' '' "$(states new)$(states replaced)$(states removed)"
same 'nothing has changed' "$before" "$(tree one)"
bundle --root "$root" /bin/demo --into shared >/dev/null
try bundle --root "$root" /bin/plain --into shared --json
same 'of a second program only the program is new' "/usr/bin/plain" "$(states new)"
same 'what it shares is kept' "$(stat -c %s "$root/usr/bin/plain")" "$(field written)"
like 'the first one is still recorded' '"/bin/demo"' "$(cat shared/.caisson-bundle.json)"
try "$caisson" closure --check shared
ended 'and both are complete' 0
bundle --root "$root" /bin/demo /bin/plain --into both >/dev/null
same 'in two steps as in one' "$(tree both)" "$(tree shared)"
rm -rf both shared

# Kept, replaced, refused, removed

make_root "$work/root2" two
rm "$work/root2/$lib/libdemo.so.1"
mv "$work/root2/$lib/libdemo.so.1.0" "$work/root2/$lib/libdemo.so.1.1"
ln -s libdemo.so.1.1 "$work/root2/$lib/libdemo.so.1"
rm -rf moved && cp -a "$root" moving
bundle --root moving /bin/demo --into moved >/dev/null
rm -rf moving && cp -a root2 moving
try bundle --root moving /bin/demo --into moved --json
ended 'a newer library' 0
same 'comes' "/$lib/libdemo.so.1.1" "$(states new)"
same 'its link is turned' "/$lib/libdemo.so.1" "$(states replaced | grep libdemo)"
same 'the older one goes' "/$lib/libdemo.so.1.0" "$(states removed)"
check_not 'from the disk, too' test -e "moved/$lib/libdemo.so.1.0"
rm -rf fresh
bundle --root moving /bin/demo --into fresh >/dev/null
same 'as if it were made anew' "$(tree fresh)" "$(tree moved)"
rm -rf moved fresh

mkdir -p "found/$lib" found/usr/lib64
ln -s usr/lib found/lib
cp -p "$root/$lib/libc.so.6" "found/$lib/"
try bundle --root "$root" /bin/demo --into found --json
same 'a file that is there is kept' "/lib /$lib/libc.so.6" "$(states kept | xargs)"
rm -rf moving && cp -a root2 moving && echo x >>"moving/$lib/libc.so.6"
before=$(fingerprint found)
expect 'a newer one does not replace it: it is no bundle'"'"'s' 1 'libc.so.6 .*is another file, and no bundle' \
	bundle --root moving /bin/demo --into found
like 'the hint knows a way' 'hint: .*--layout flat' "$err"
same 'and nothing was written' "$before" "$(fingerprint found)"
try bundle --root moving /bin/demo --into found --replace
ended '--replace does' 0
check 'which it is' cmp "moving/$lib/libc.so.6" "found/$lib/libc.so.6"
echo mine >>"found/$lib/libdemo.so.1.1"
expect 'what somebody changed is not replaced' 1 'libdemo.so.1.1 .*is another file' \
	bundle --root moving /bin/demo --into found
rm -rf found
mkdir -p "found/usr/bin/demo"
expect 'a folder in the way is refused' 1 '/usr/bin/demo in the folder is no file' \
	bundle --root "$root" /bin/demo --into found --replace
like 'and the hint is not what was given already' 'hint: --replace overwrites files and links alone' "$err"
rm -rf found && mkdir found && mkfifo found/lib
expect 'so is a FIFO' 1 'no folder|no file' bundle --root "$root" /bin/demo --into found --replace
rm -rf found
bundle --root "$root" /bin/demo --into found >/dev/null
expect 'another layout does not mix' 1 'another layout' bundle --root "$root" /bin/plain --into found \
	--layout flat
expect 'nor a bundle without manifest' 1 'would no longer be true' bundle --root "$root" /bin/plain \
	--into found --no-manifest
# What the image had is not taken away when a later bundle does not need it.
rm -rf found && mkdir -p "found/$lib" && cp -p "$root/$lib/libdemo.so.1.0" "found/$lib/"
rm -rf moving && cp -a root moving
bundle --root moving /bin/demo --into found >/dev/null
rm -rf moving && cp -a root2 moving
bundle --root moving /bin/demo --into found >/dev/null
check 'what was there before stays' test -f "found/$lib/libdemo.so.1.0"
rm -rf found moving

# A folder that wants out

mkdir outside hostile
echo precious >outside/libc.so.6
mkdir -p outside/$triplet && cp outside/libc.so.6 outside/$triplet/
before=$(fingerprint outside)
hostile() { # DESCRIPTION, with the folder "hostile" made
	bundle --root "$root" /bin/demo --into hostile --replace >/dev/null 2>"$work/err"
	same "$1: nothing outside has changed" "$before" "$(fingerprint outside)"
	rm -rf hostile && mkdir hostile
}
ln -s "$work/outside" hostile/lib
ln -s "$work/outside" hostile/usr
hostile 'folders that are links, absolute'
ln -s ../outside hostile/usr
hostile 'relative ones'
mkdir -p hostile/usr && ln -s ../../../../../../../../../../../../../../"$work/outside" hostile/usr/lib
hostile 'ones that climb'
mkdir -p "hostile/$lib" && ln -s "$work/outside/libc.so.6" "hostile/$lib/libc.so.6"
hostile 'a link for a file'
mkdir -p "hostile/$lib" && ln "$work/outside/libc.so.6" "hostile/$lib/libc.so.6"
hostile 'a hard link for a file'
ln -s "$work/outside/manifest" hostile/.caisson-bundle.json
hostile 'a link for the manifest'
ln -s "$work/outside/next" hostile/.caisson-bundle.next
hostile 'a link for the next one'
ln -s "$work/outside/new" hostile/.caisson-bundle.new
hostile 'a link for a temporary file'
mkdir -p hostile/usr && ln -s lib hostile/usr/lib
hostile 'a loop'
ln -s /proc/self/cwd hostile/usr
hostile 'a magic link'
# A manifest that claims what is not its own.
claim() { # PATH
	python3 -c '
import json, sys
json.dump({"caisson_bundle": 1, "layout": "same", "wrapper": False, "programs": [],
    "files": [{"path": sys.argv[1], "kind": "file", "owned": True, "size": 9, "mode": "0644",
        "sha256": sys.argv[2]}]}, open("hostile/.caisson-bundle.json", "w"))' \
		"$1" "$(sha256sum <outside/libc.so.6 | cut -d ' ' -f 1)"
}
claim /../outside/libc.so.6
hostile 'a manifest whose paths climb'
ln -s "$work/outside" hostile/out && claim /out/libc.so.6
hostile 'one whose paths lead through links'
ln "$work/outside/libc.so.6" hostile/mine && claim /mine
hostile 'one that owns a hard link'
echo '{"caisson_bundle": 2}' >hostile/.caisson-bundle.json
expect 'a manifest of another version is not overwritten' 1 'version 2' bundle --root "$root" /bin/demo \
	--into hostile
echo nonsense >hostile/.caisson-bundle.json
expect 'nor one that is none' 1 'not JSON' bundle --root "$root" /bin/demo --into hostile
rm -rf hostile
rm -rf one-more && mkdir one-more && ln -s / one-more/usr
expect 'a link to / stays inside' 0 '' bundle --root "$root" /bin/demo --into one-more
check 'and leads to the folder itself' test -f "one-more/bin/demo" -o -f "one-more/demo"
check_not 'not to the system' test -e /demo
rm -rf one-more

# Roots of other layouts

mkdir -p alpine/lib alpine/bin alpine/usr/lib alpine/usr/bin
echo musl >alpine/lib/libc.musl
try bundle --root "$root" /bin/demo --into alpine
ended 'into a root with real folders' 0
check 'that stay real' test -d alpine/lib -a ! -L alpine/lib -a -f alpine/lib/libc.musl
check 'the interpreter is where the program names it' test -e alpine/lib64/ld-linux-x86-64.so.2
check 'by way of a relative link' test "$(readlink "alpine/lib/$triplet/ld-linux-x86-64.so.2")" = \
	"../../$lib/ld-linux-x86-64.so.2"
if may_chroot; then
	same 'it runs there' '/bin/demo one ' "$(chroot alpine /bin/demo)"
else
	skip 'needs root' 'it runs there'
fi
try bundle --root "$root" /bin/demo --into alpine --json
same 'again: nothing is written' '0' "$(states new | wc -l)"
try "$caisson" closure --check alpine
ended 'and it is complete' 0
mkdir -p merged/usr/lib merged/usr/bin merged/usr/lib64
ln -s /usr/lib merged/lib && ln -s usr/bin merged/bin && ln -s usr/lib64 merged/lib64
try bundle --root "$root" /bin/demo --into merged
ended 'into a merged root' 0
same 'whose own links stay' '/usr/lib' "$(readlink merged/lib)"
if may_chroot; then
	same 'it runs there, too' '/bin/demo one ' "$(chroot merged /bin/demo)"
else
	skip 'needs root' 'it runs there, too'
fi
rm -rf alpine merged
# A library of the folder's own is used where it is the same, and then is a part of the bundle.
mkdir -p "own/lib/$triplet" own/usr/lib
cp -p "$root/$lib/libc.so.6" "own/lib/$triplet/"
try bundle --root "$root" /bin/demo --into own --verify
ended 'a root that has the same library elsewhere' 0
try "$caisson" closure --check own
ended 'is complete' 0
same 'and keeps its own' 1 "$(stat -c %h "own/lib/$triplet/libc.so.6")"
echo >>"own/lib/$triplet/libc.so.6"
rm -rf own/.caisson-bundle.json "own/$lib/libc.so.6"
expect 'one that has another there' 1 'libc.so.6 in the folder is another file' \
	bundle --root "$root" /bin/demo --into own
rm -rf own

# Archives

for name in b.cpio b.cpio.gz b.cpio.zst b.cpio.xz b.cpio.lz4 b.tar b.tar.gz b.tar.zst b.tar.xz; do
	try bundle --root "$root" /bin/demo /bin/plain /bin/demo-again --into "$name"
	ended "$name" 0
	mkdir unpacked
	bsdtar -xpf "$name" -C unpacked
	if is_root; then
		same "$name is the folder" "$(cat one.tree)" "$(tree unpacked)"
	else
		same "$name is the folder" "$(fingerprint one)" "$(fingerprint unpacked)"
	fi
	rm -rf unpacked
	cp "$name" "first-$name"
	rm "$name"
	(umask 077 && cd elsewhere &&
		TZ=Asia/Tokyo bundle --root ../root /bin/demo /bin/plain /bin/demo-again --into "../$name") \
		>/dev/null
	check "$name: the same bytes" cmp "$name" "first-$name"
	same "$name: whoever needs it can read it" 644 "$(stat -c %a "$name")"
done
mkdir unpacked
(cd unpacked && cpio -idm --quiet <../b.cpio)
same 'cpio unpacks it' "$(fingerprint one)" "$(fingerprint unpacked)"
same 'with its hard links' 2 "$(stat -c %h unpacked/usr/bin/demo)"
rm -rf unpacked && mkdir unpacked && tar -xzf b.tar.gz -C unpacked
same 'tar, too' "$(fingerprint one)" "$(fingerprint unpacked)"
rm -rf unpacked
same 'folders come before what is in them' "$(bsdtar -tf b.cpio | LC_ALL=C sort)" "$(bsdtar -tf b.cpio)"
same 'xz has the check that the kernel knows' CRC32 "$(xz -l --robot b.cpio.xz | awk '$1 == "file" { print $7 }')"
like 'LZ4 is the old format' '^02214c18' "$(xxd -p -l 4 b.cpio.lz4 2>/dev/null || od -An -tx1 -N4 b.cpio.lz4 | tr -d ' ')"
same 'all belong to root' 'root/root' "$(tar -tvzf b.tar.gz | awk '{ print $2 }' | sort -u | sed 's,0/0,root/root,')"
stat -c '%i %Y' b.tar >before
try bundle --root "$root" /bin/demo /bin/plain /bin/demo-again --into b.tar
like 'the same archive is not written again' 'the archive has [1-9].* \(it was there already\)' "$out"
same 'really' "$(cat before)" "$(stat -c '%i %Y' b.tar)"
try bundle --root "$root" /bin/demo --into b.tar --no-manifest
unlike 'without manifest there is none' caisson-bundle "$(bsdtar -tf b.tar)"
expect 'standard output is none' 2 'standard output' bundle --root "$root" /bin/demo --into -
mkdir folder.tar
expect 'an archive is no folder' 1 'is no file' bundle --root "$root" /bin/demo --into folder.tar
same 'nothing half-made is left' '' "$(find . -maxdepth 1 -name '.*caisson-*')"
rm -rf b.* first-b.* folder.tar

# Without debug sections

try bundle --root "$root" /bin/demo --into stripped --strip --json
ended '--strip' 0
check 'saves something' test "$(field stripped)" -gt 0
check 'namely this' test "$(stat -c %s stripped/usr/bin/demo)" -lt "$(stat -c %s "$root/usr/bin/demo")"
unlike 'there are no debug sections left' '\.debug_' "$(readelf -SW stripped/usr/bin/demo)"
if may_chroot; then
	same 'it runs all the same' '/bin/demo one ' "$(chroot stripped /bin/demo)"
else
	skip 'needs root' 'it runs all the same'
fi
try "$caisson" closure --check stripped
ended 'and is what it was made of' 0
rm -rf stripped

# Flat

try bundle --root "$root" /bin/demo /bin/plain --into flat --layout flat
ended 'flat' 0
same 'has bin/ and lib/' 'bin lib' "$(cd flat && echo *)"
like 'says how a program starts' 'flat/lib/ld-linux-x86-64.so.2 --library-path flat/lib flat/bin/PROGRAM' "$out"
same 'and it does' 'flat/bin/demo one there' \
	"$(flat/lib/ld-linux-x86-64.so.2 --library-path flat/lib flat/bin/demo there)"
same 'libraries have each name that is asked for' 'libdemo.so.1.0' "$(readlink flat/lib/libdemo.so.1)"
try bundle --root "$root" /lib64/ld-linux-x86-64.so.2 /bin/demo --into loader --layout flat --verify
ended 'the loader as a program, too' 0
same 'is a link of itself' 2 "$(stat -c %h loader/lib/ld-linux-x86-64.so.2)"
rm -rf loader
expect 'wrappers are for flat ones' 2 'only a flat bundle' bundle --root "$root" /bin/demo --into w --wrapper
mkdir -p root3 && cp -a root/. root3/ && mkdir root3/opt
cp root2/usr/bin/demo root3/opt/demo
expect 'two programs of one name' 1 '/bin/demo would be two things.*: /usr/bin/demo and /opt/demo' \
	bundle --root root3 /bin/demo /opt/demo --into clash --layout flat
like 'have a way' 'hint: --layout same' "$err"
try bundle --root root3 /bin/demo /opt/demo --into clash
ended 'which works' 0
mkdir -p root3/opt/lib
library root3/opt/lib/libdemo.so.1 libdemo.so.1 DEMO_1 three
gcc -o root3/opt/other main.c root3/opt/lib/libdemo.so.1 -Wl,-rpath,/opt/lib
expect 'two libraries of one name' 1 "libdemo.so.1 would be two things.*" \
	bundle --root root3 /bin/demo /opt/other --into clash2 --layout flat
library "$work/root3/opt/fixed.so" /opt/fixed.so DEMO_1 four
gcc -o root3/opt/fixed main.c root3/opt/fixed.so
expect 'a library that is asked for by its path' 1 '/opt/fixed.so is a library that is asked for by its path' \
	bundle --root root3 /opt/fixed --into clash2 --layout flat
printf '#!/bin/demo\n' >root3/opt/script && chmod 755 root3/opt/script
expect 'a script' 1 '/opt/script is a script' bundle --root root3 /opt/script --into clash2 --layout flat
try bundle --root root3 /opt/script --into script
ended 'which goes where it is' 0
check 'with its interpreter' test -f script/usr/bin/demo
rm -rf clash clash2 script root3 flat

try bundle --root "$root" /bin/demo /bin/plain --into 'a b'\''c' --layout flat --wrapper
ended 'with wrappers' 0
wrapped=$work/"a b'c"
same 'a program starts by its name' "$wrapped/bin/demo one x y" "$("$wrapped/bin/demo" 'x y')"
same 'through $PATH' one "$(PATH=$wrapped/bin:$PATH demo | awk '{ print $(NF) }')"
ln -s "$wrapped/bin/demo" absolute
same 'through a link' './absolute one ' "$(./absolute)"
mkdir -p 'other place' && ln -s ../absolute 'other place/second'
same 'through two, relative' one "$(cd / && "$work/other place/second" | awk '{ print $(NF) }')"
ln -s "$wrapped/bin" 'linked bin'
same 'through a folder that is a link' one "$('linked bin/demo' | awk '{ print $(NF) }')"
same 'from its own folder' one "$(cd "$wrapped/bin" && ./demo | awk '{ print $(NF) }')"
same 'as an argument of sh' one "$(cd "$wrapped/bin" && sh demo | awk '{ print $(NF) }')"
if command -v busybox >/dev/null; then
	same "busybox's sh, too" one "$(busybox sh "$wrapped/bin/demo" | awk '{ print $(NF) }')"
	mkdir -p noreadlink && ln -sf "$(command -v busybox)" noreadlink/ls
	same 'without readlink' one "$(PATH=$work/noreadlink ./absolute | awk '{ print $(NF) }')"
fi
if command -v shellcheck >/dev/null; then
	check 'shellcheck has nothing to say' shellcheck -s sh "$wrapped/bin/demo"
else
	skip 'shellcheck is not installed' 'shellcheck has nothing to say'
fi
"$wrapped/bin/plain"
same 'its status is the program'"'"'s' 0 $?
try bundle --root "$root" /bin/demo /bin/plain --into "$wrapped" --layout flat --wrapper --verify
ended 'it can be proved' 0
like 'what nobody may read, by reading alone' '^verified.*(/bin/plain, or a library of it, is for its owner|loader)' "$out"
try bundle --root "$root" /bin/demo --into "$wrapped" --layout flat --wrapper --verify
like 'the other program by its loader' "^verified" "$out"

# In a root of another libc, and in none

if may_chroot && command -v musl-gcc >/dev/null && command -v busybox >/dev/null; then
	rootfs_musl musl
	same 'a root with musl alone' 0 "$(find musl -name 'libc.so.6' | wc -l)"
	bundle /bin/ls --into musl/opt/ls --layout flat >/dev/null
	like 'the system'"'"'s ls runs in it' '^hello$' \
		"$(chroot musl /opt/ls/lib/ld-linux-x86-64.so.2 --library-path /opt/ls/lib /opt/ls/bin/ls /bin)"
	cp -L "$(command -v busybox)" musl/bin/sh
	bundle /bin/ls --into musl/opt/wrapped --layout flat --wrapper >/dev/null
	like 'by its wrapper, too' '^hello$' "$(chroot musl /opt/wrapped/bin/ls /bin)"
	try bundle "$work/musl/bin/hello" --root / --into musl-out
	try bundle --root musl /bin/hello --into musl-bundle --verify
	ended 'a program of musl' 0
	like 'is proved by its loader' "^verified: the bundle's own loader" "$out"
	try bundle --root musl /bin/hello --into musl-flat --layout flat --wrapper --verify
	ended 'flat, too' 0
	mkdir -p musl-flat/usr && mkdir empty
	try bundle /bin/ls --into empty --verify
	ended 'in an empty root' 0
	like 'ls runs' '^usr$' "$(chroot empty /bin/ls /)"
	rm -rf musl musl-bundle musl-flat musl-out empty
else
	skip 'needs root, musl-gcc and busybox' "the system's ls runs in a root with musl alone"
fi

# --verify

verify_into() { # DESCRIPTION PATTERN, with the folder "trap" made
	expect "$1" 1 "$2" bundle --root "$root" /bin/demo --into trap --verify
	rm -rf trap && mkdir -p "trap/$lib/glibc-hwcaps/x86-64-v2"
}
if ! "/lib/$triplet/ld-linux-x86-64.so.2" --help 2>/dev/null | grep -q 'x86-64-v2 (supported'; then
	skip 'the processor is no x86-64-v2' '--verify'
else
	try bundle --root "$root" /bin/demo --into trap --verify --json
	ended '--verify' 0
	proof=$(field verified)
	case $proof in
	loader)
		same 'by the loader' loader "$proof"
		rm -rf trap && mkdir -p "trap/$lib/glibc-hwcaps/x86-64-v2"
		cp "$root/$lib/libdemo.so.1.0" "trap/$lib/glibc-hwcaps/x86-64-v2/libdemo.so.1"
		verify_into 'a library that is found outside the bundle' \
			'would load .*/x86-64-v2/libdemo.so.1, which is no file of this bundle'
		library "trap/$lib/glibc-hwcaps/x86-64-v2/libdemo.so.1" libdemo.so.1 DEMO_2 trap
		verify_into 'one that lacks a version' "version .?DEMO_1.? not found"
		gcc -shared -fPIC -o libgone.so demo.c -Wl,-soname,libgone.so.1
		library "trap/$lib/glibc-hwcaps/x86-64-v2/libdemo.so.1" libdemo.so.1 DEMO_1 trap \
			-Wl,--no-as-needed "$PWD/libgone.so"
		verify_into 'one that wants a library that is not there' 'libgone.so.1'
		;;
	*) skip "$(field verified_reason)" 'by the loader' ;;
	esac
	rm -rf trap
fi

# A loader that is a stranger's program, and tries what it may.
cat >stranger.c <<'END'
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), open_files = 0;

	inet_aton("127.0.0.1", &here.sin_addr);
	for (int i = 3; i < 1024; i++)
		open_files += i != fd && fcntl(i, F_GETFD) >= 0;
	while (WHAT == 1)
		puts("libc.so.6 => /lib/libc.so.6 (0x0)");
	if (WHAT == 2)
		puts("libc.so.6 => somewhere (0x0)");
	if (WHAT > 1)
		return 0;
	printf("files %d, outside %d, write %d, fork %d, connect %d, mount %d, root %d, environment %d\n",
		open_files, access("/../../../../etc/passwd", F_OK) == 0,
		open("/tmp/new", O_WRONLY | O_CREAT, 0600) >= 0, fork() >= 0,
		connect(fd, (struct sockaddr *)&here, sizeof(here)) == 0,
		mount("none", "/tmp", "tmpfs", 0, NULL) == 0, setuid(0) == 0 && getuid() == 0,
		environ[0] != NULL);
	return 0;
}
END
python3 -c '
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sys.stdin.read()' < <(sleep 60) >port &
listener=$!
until [ -s port ]; do :; done
stranger() { # WHAT: 0, it tries; 1, endless; 2, no path; 3, silent
	rm -rf strange && mkdir -p strange/lib strange/bin strange/tmp
	chmod 1777 strange/tmp
	gcc -static -D_GNU_SOURCE -DPORT="$(cat port)" -DWHAT="$1" -o strange/lib/loader stranger.c &&
		gcc -o strange/bin/victim plain.c -nostartfiles -Wl,-e,main -Wl,--dynamic-linker=/lib/loader \
			-nodefaultlibs
}
if stranger 0 2>/dev/null; then
	"$caisson" bundle --root strange /bin/victim --into strange-out >/dev/null 2>&1
	mkdir -p strange-out/tmp && chmod 1777 strange-out/tmp
	try bundle --root strange /bin/victim --into strange-out --verify
	case $out in
	*'by reading alone'*) skip 'neither root nor a user namespace' 'a stranger is kept in' ;;
	*)
		ended 'a stranger is kept in' 1 \
			'files 0, outside 0, write 0, fork 0, connect 0, mount 0, root 0, environment 0'
		same 'and left nothing' '' "$(ls strange-out/tmp)"
		stranger 1
		expect 'one that says too much is stopped' 1 'says too much' bundle --root strange /bin/victim \
			--into strange-out-2 --verify
		stranger 2
		expect 'one that names no path proves nothing' 1 'would load somewhere, which is no file' \
			bundle --root strange /bin/victim --into strange-out-2 --verify --replace
		stranger 3
		expect 'nor does one that is silent' 1 'says nothing' \
			bundle --root strange /bin/victim --into strange-out-2 --verify --replace
		;;
	esac
else
	skip 'no static libc' 'a stranger is kept in'
fi
kill $listener
rm -rf strange strange-out strange-out-2

# closure --check

rm -rf moving checked && cp -a root moving
bundle --root moving /bin/demo --into checked >/dev/null
try "$caisson" closure --check checked
ended 'a bundle as it was made' 0
try "$caisson" closure --check checked --json
same 'in JSON, too' 'True []' "$(field good) $(field findings)"
finding() { # DESCRIPTION VERDICT PATTERN
	try "$caisson" closure --check checked
	same "$1" 1 "$status"
	like "$1: $2" "^$2 +$3" "$out"
	try "$caisson" closure --check checked --json
	like "$1: $2, in JSON" "'verdict': '$2'" "$(field findings)"
}
mv "checked/$lib/libc.so.6" kept
finding 'a file that is gone' missing "/$lib/libc.so.6: it is not there"
mv kept "checked/$lib/libc.so.6"
chmod 700 checked/usr/bin/demo
finding 'another mode' damaged '/usr/bin/demo: its mode is 0700 and not 0755'
chmod 755 checked/usr/bin/demo
cp checked/usr/bin/demo kept
printf x | dd of=checked/usr/bin/demo bs=1 seek=100 conv=notrunc status=none
finding 'another byte' damaged '/usr/bin/demo: its content'
cat kept >checked/usr/bin/demo
ln -sfn libc.so.6 "checked/$lib/libdemo.so.1"
finding 'a turned link' damaged "/$lib/libdemo.so.1: it leads to libc.so.6 and not to libdemo.so.1.0"
ln -sfn libdemo.so.1.0 "checked/$lib/libdemo.so.1"
try "$caisson" closure --check checked
ended 'all put right' 0
library "moving/$lib/libdemo.so.1.0" libdemo.so.1 DEMO_1 newer
finding 'a newer library on the system' stale "/$lib/libdemo.so.1.0: it was made of another $work/moving/$lib/libdemo.so.1.0"
library "moving/$lib/libmore.so.1" libmore.so.1 MORE_1 more
library "moving/$lib/libdemo.so.1.0" libdemo.so.1 DEMO_1 newer -Wl,--no-as-needed "moving/$lib/libmore.so.1"
finding 'one that wants more' lacking "/lib/$triplet/libmore.so.1: /bin/demo needs it now"
rm "moving/$lib/libmore.so.1"
finding 'one that wants what is not there' stale '/bin/demo: it could not be bundled now: .*libmore.so.1'
rm "moving/$lib/libdemo.so.1.0"
finding 'no library on the system' gone "/$lib/libdemo.so.1.0: .*moving.* is gone"
try "$caisson" closure --check checked --root "$root"
ended 'against another root it is as it was' 0
expect 'a folder without a manifest' 1 'is no bundle' closure --check elsewhere
expect 'a program beside --check' 2 'takes no FILE' closure --check checked /bin/true
rm -rf moving checked

# Folders that are searched first

mkdir -p root/opt/first
library root/opt/first/libdemo.so.1 libdemo.so.1 DEMO_1 preferred
try bundle --root root /bin/demo --into first --library-path /opt/first --verify
ended '--library-path' 0
like 'the report says how it starts' '^start its programs with LD_LIBRARY_PATH=/opt/first$' "$out"
check_not 'the other one does not come along' test -e "first/$lib/libdemo.so.1"
if may_chroot; then
	same 'it is the one that is used' '/bin/demo preferred ' \
		"$(LD_LIBRARY_PATH=/opt/first chroot first /bin/demo)"
fi
try "$caisson" closure --check first
ended 'and it checks' 0
rm -rf first root/opt/first

# Two at a time

for number in 1 2 3 4; do
	bundle --root root /bin/demo --into together >/dev/null 2>>together.err &
	bundle --root root /bin/plain --into together >/dev/null 2>>together.err &
done
wait
same 'eight at a time wait for each other' '' "$(cat together.err)"
bundle --root root /bin/demo /bin/plain --into alone >/dev/null
same 'and it is one bundle' "$(tree alone)" "$(tree together)"
rm -rf together alone

# The loader's cache serves all programs

mkdir -p root/opt/one root/opt/two root/etc
library root/opt/one/libone.so.1 libone.so.1 ONE_1 first
library root/opt/two/libtwo.so.1 libtwo.so.1 TWO_1 second
gcc -o root/usr/bin/first main.c root/opt/one/libone.so.1
gcc -o root/usr/bin/second main.c root/opt/two/libtwo.so.1
printf '/opt/one\n/opt/two\n' >root/etc/ld.so.conf
if ldconfig -r root 2>/dev/null && [ -f root/etc/ld.so.cache ]; then
	try bundle --root root /bin/first --into cached
	ended 'a library that the cache alone knows' 0
	check 'the cache comes along' test -f cached/etc/ld.so.cache
	bundle --root root /bin/second --into cached >/dev/null
	bundle --root root /bin/first /bin/second --into cached-both >/dev/null
	check 'it serves both programs, however they came' cmp cached/etc/ld.so.cache cached-both/etc/ld.so.cache
	if may_chroot; then
		same 'the first one runs' '/bin/first first ' "$(chroot cached /bin/first)"
		same 'and the second' '/bin/second second ' "$(chroot cached /bin/second)"
	fi
	try "$caisson" closure --check cached
	ended 'and it checks' 0
	rm -rf cached cached-both
else
	skip 'ldconfig does not do here' 'the loader'"'"'s cache serves all programs'
fi

# Killed anywhere

rm -rf moving && cp -a root moving
seed=${BUNDLE_SEED:-$RANDOM}
diag "the seed is $seed (BUNDLE_SEED)"
rm -rf goal && bundle --root moving /bin/demo /bin/plain --into goal >/dev/null
# Bundles, and kills at a random moment of the time that it takes when it is left alone.
cat >kill.py <<'END'
import os, random, shutil, signal, subprocess, sys, time
caisson, seed, number, into = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
def start(into):
    return subprocess.Popen([caisson, "bundle", "--root", "moving", "/bin/demo", "/bin/plain", "--into", into],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
began = time.monotonic()
start("alone" + into).wait()
took = time.monotonic() - began
shutil.rmtree("alone" + into, ignore_errors=True)
if os.path.exists("alone" + into):
    os.unlink("alone" + into)
child = start(into)
time.sleep(random.Random(seed * 1000 + number).uniform(0.1, 1) * took)
child.send_signal(signal.SIGKILL)
print("killed" if child.wait() == -signal.SIGKILL else "late")
END
killed=0 half=0 broken=''
for number in {1..40}; do
	rm -rf cut
	# Every other time there is an older bundle to be brought up to date.
	if [ $((number % 2)) -eq 0 ]; then
		rm -rf moving && cp -a root2 moving
		bundle --root moving /bin/demo --into cut >/dev/null
	fi
	rm -rf moving && cp -a root moving
	[ "$(python3 kill.py "$caisson" "$seed" "$number" cut)" = killed ] && killed=$((killed + 1))
	[ -e cut/.caisson-bundle.next ] && half=$((half + 1))
	bundle --root moving /bin/demo /bin/plain --into cut >/dev/null 2>"$work/err" ||
		broken="$broken $number: $(cat "$work/err")"
	"$caisson" closure --check cut >/dev/null || broken="$broken $number: not complete"
	[ "$(fingerprint goal)" = "$(fingerprint cut)" ] || broken="$broken $number: differs"
done
diag "$killed of 40 were killed in time, $half of them while files were written"
same 'killed anywhere, the next run completes it' '' "$broken"
check 'of 40, 20 were killed' test "$killed" -ge 20
check 'some of them in the middle' test "$half" -ge 5
rm -rf cut goal moving
rm -rf moving && cp -a root moving
for number in {1..20}; do
	python3 kill.py "$caisson" "$seed" "$number" cut.tar.gz >/dev/null
done
bundle --root moving /bin/demo /bin/plain --into cut.tar.gz >/dev/null
check 'an archive, too' bsdtar -tf cut.tar.gz
same 'and nothing is left beside it' '' "$(find . -maxdepth 1 -name '.cut*')"
rm -rf cut.tar.gz moving

# A full disk

if may_mount; then
	mkdir small
	mount -t tmpfs -o size=1800k tmpfs small
	expect 'a full disk' 1 'No space left' bundle --root "$root" /bin/demo --into small/b
	half=''
	while read -r file; do
		cmp -s "small/b/$file" "root/$file" || half="$half $file"
	done < <(cd small/b && find . -type f ! -name '.caisson-bundle.*')
	same 'leaves no half file' '' "$half"
	same 'and no temporary one' '' "$(find small -name '.caisson-bundle.new')"
	mount -o remount,size=8m small
	try bundle --root "$root" /bin/demo --into small/b
	ended 'with room, the next run completes it' 0
	try "$caisson" closure --check small/b
	ended 'whole' 0
	rm -rf small/*
	mount -o remount,size=300k small
	expect 'an archive on a full disk' 1 'No space left' bundle --root "$root" /bin/demo --into small/b.cpio
	same 'is not there' '' "$(ls -A small)"
	umount small
	mount -t tmpfs -o nr_inodes=8 tmpfs small
	expect 'no inodes' 1 'No space left' bundle --root "$root" /bin/demo --into small/b
	umount small
else
	skip 'may not mount' 'a full disk'
fi

# Missing things, wrong words

expect 'a program that is not there' 1 'No such file' bundle --root "$root" /bin/nothing --into x
check_not 'makes no folder' test -e x
mv "root/$lib/libdemo.so.1.0" kept
expect 'a library that is missing' 1 'libdemo.so.1' bundle --root "$root" /bin/demo --into x
check_not 'makes none either' test -e x
mv kept "root/$lib/libdemo.so.1.0"
expect 'no place' 2 'where to' bundle /bin/true
expect 'no program' 2 'something is missing' bundle --into x
cp -p root/usr/bin/plain here
try bundle ./here --into relative
ended 'a relative path' 0
check 'is where it stands' test -f "relative$work/here"
rm -rf relative

# As an ordinary user

if is_root; then
	chmod 755 root
	mkdir -m 777 user
	as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	chmod 755 root/usr/bin/plain
	try "${as_user[@]}" "$caisson" bundle --root "$root" /bin/demo /bin/plain --into user/b --verify
	if [ "$status" -eq 126 ] || [ "$status" -eq 127 ]; then
		skip 'another user cannot run what is in the build folder' 'as an ordinary user'
	else
		ended 'as an ordinary user' 0
		like 'with its proof' '^verified' "$out"
		try "${as_user[@]}" "$caisson" bundle --root "$root" /bin/demo /bin/plain --into user/b.tar
		ended 'an archive' 0
		bundle --root "$root" /bin/demo /bin/plain --into mine.tar >/dev/null
		check 'which is the same as root'"'"'s' cmp mine.tar user/b.tar
		try "${as_user[@]}" "$caisson" bundle --root "$root" /bin/demo --into one
		ended 'a folder of another user that is complete: nothing to do' 0
		try "${as_user[@]}" "$caisson" bundle --root "$root" /bin/first --into one
		ended 'one that is not' 1 'Permission denied'
		cat >without.py <<'END'
# Runs a command where no user namespace can be made.
import ctypes, os, sys
ready, go = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    if ctypes.CDLL(None).unshare(0x10000000) != 0:
        os._exit(125)
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    open("/proc/sys/user/max_user_namespaces", "w").write("0")
    os.execvp(sys.argv[1], sys.argv[1:])
os.close(ready[1])
if not os.read(ready[0], 1):
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
for name in "uid_map", "gid_map":
    open(f"/proc/{pid}/{name}", "w").write("0 0 65536")
os.write(go[1], b"x")
sys.exit(os.waitpid(pid, 0)[1] >> 8)
END
		for layout in same flat; do
			try python3 without.py "${as_user[@]}" "$caisson" bundle --root "$root" /bin/demo \
				--into "user/$layout" --layout $layout --verify
			if [ "$status" -eq 125 ]; then
				skip 'no user namespace at all' "without namespaces, $layout"
			else
				ended "without namespaces, $layout" 0
				like 'by reading' '^verified by reading alone: cannot make namespaces' "$out"
			fi
		done
		try "${as_user[@]}" "$caisson" closure --check user/b
		ended 'closure --check' 0
	fi
else
	skip 'not root' 'as an ordinary user'
fi

# cryptsetup, as this system has it

cryptsetup=$(command -v cryptsetup || true)
if [ -z "$cryptsetup" ]; then
	skip 'cryptsetup is not installed' 'cryptsetup'
else
	try bundle "$cryptsetup" --into crypt --json
	ended 'cryptsetup is bundled' 0
	missing=''
	for name in libcrypto.so.3 libc.so.6 libm.so.6 libpcre2-8.so.0 libcryptsetup.so.12 libdevmapper.so.1.02.1 \
		ld-linux-x86-64.so.2 libblkid.so.1 libselinux.so.1 libudev.so.1 libuuid.so.1 libjson-c.so.5 \
		libargon2.so.1 libpopt.so.0; do
		[ -e "/lib/$triplet/$name" ] && readelf -d "$cryptsetup" "/lib/$triplet"/lib{cryptsetup,devmapper,selinux}.so.* \
			2>/dev/null | grep -qF "[$name]" || [ "$name" = ld-linux-x86-64.so.2 ] || continue
		[ -e "crypt/lib/$triplet/$name" ] || missing="$missing $name"
	done
	same 'with each library that a known system bundles by hand' '' "$missing"
	libgcc=$(stat -Lc %s "crypt/lib/$triplet/libgcc_s.so.1" 2>/dev/null || echo 0)
	check 'and libgcc_s, for 125 KB' test "$libgcc" -gt 100000 -a "$libgcc" -lt 150000
	if is_root; then
		bundle "$cryptsetup" --into crypt-none --dlopen none >/dev/null
		for folder in crypt crypt-none; do
			mkdir -p $folder/dev $folder/run
			for device in null:3 zero:5 random:8 urandom:9; do
				mknod -m 666 "$folder/dev/${device%:*}" c 1 "${device#*:}"
			done
			truncate -s 20M $folder/file
			echo -n secret >$folder/key
		done
		format=("$cryptsetup" luksFormat -q --type luks2 --pbkdf argon2id --pbkdf-memory 32768
			--pbkdf-force-iterations 4 --key-file /key /file)
		if ! chroot crypt /bin/true 2>/dev/null && [ ! -c crypt/dev/null ]; then
			skip 'no devices can be made here' 'cryptsetup in a chroot'
		else
			try chroot crypt-none "${format[@]}"
			ended 'without what it opens by itself, it aborts' 134 'libgcc_s.so.1 must be installed'
			try chroot crypt "${format[@]}"
			ended 'with it, it makes a LUKS2 container' 0
			try chroot crypt "$cryptsetup" open --test-passphrase --key-file /key /file
			ended 'and opens it' 0
		fi
	else
		skip 'needs root' 'cryptsetup in a chroot'
	fi
fi

tap_end
