#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Boot archives: the same bytes for the same inputs, whole, and readable for others.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_begin "$1"
cd "$work" || exit 2

build() { # ARGUMENT...
	"$caisson" initramfs build "$@"
}

# The same bytes

try build -o one.img
ended 'build' 0
same 'says where' one.img "$out"
try build
same 'by default it is initramfs.img' initramfs.img "$out"
check 'twice the same bytes' cmp one.img initramfs.img
(umask 077 && build -o umask.img >/dev/null)
check 'with another umask too' cmp one.img umask.img
same 'whoever needs it can read it' 644 "$(stat -c %a umask.img)"
(TZ=Pacific/Kiritimati LANG=tr_TR.UTF-8 build -o zone.img >/dev/null)
check 'in another time zone' cmp one.img zone.img
mkdir elsewhere
(cd elsewhere && build -o ../cwd.img >/dev/null)
check 'from another folder' cmp one.img cwd.img
(CAISSON_STATE=$work/state-2 CAISSON_CONFIG=$work/config-2 build -o state.img >/dev/null)
check 'with another state' cmp one.img state.img
build -o - >pipe.img
check 'on standard output' cmp one.img pipe.img
build -o - | cat >pipe.img
check 'through a pipe' cmp one.img pipe.img
echo before >pipe.img
build -o - >>pipe.img
same 'appended to a file' before "$(head -n 1 pipe.img | tr -d '\0')"
check 'all of it' cmp -s <(echo before | cat - one.img) pipe.img
if command -v faketime >/dev/null; then
	try faketime '2031-05-06 07:08:09' "$caisson" initramfs build -o time.img
	case $err in
	*'come first'*) skip 'the program is sanitized' 'at another time' ;;
	*)
		ended 'at another time' 0
		check 'too' cmp one.img time.img
		;;
	esac
else
	skip 'faketime is not installed' 'at another time'
fi
build --compress none -o plain.img >/dev/null
try zstd -dqc one.img
ended 'zstd(1) unpacks it' 0
cp out unpacked.img
check 'uncompressed it is what zstd unpacks' cmp plain.img unpacked.img
build --compress zstd:1 -o level.img >/dev/null
zstd -dqc level.img >unpacked.img
check 'whatever the level' cmp plain.img unpacked.img
same 'nothing half-made is left' '' "$(find . -name '*.new-*')"

# What is in it

cpio -it --quiet <plain.img >names 2>/dev/null
try "$caisson" initramfs list one.img
ended 'list' 0
same 'names what cpio names' "$(sed 's,^/,,' names | sort)" \
	"$(sed -E 's/^.{11} *[0-9, ]+ //; s/ -> .*//; s,^/,,' <<<"$out" | sort)"
plain_list=$out
try "$caisson" initramfs list plain.img
same 'the same when it is not compressed' "$plain_list" "$out"
try "$caisson" initramfs list --json one.img
ended 'list --json' 0
same 'has all of it' "$(wc -l <names)" \
	"$(python3 -c 'import json; print(len(json.load(open("out"))))')"
if command -v lsinitramfs >/dev/null; then
	try lsinitramfs one.img
	ended 'lsinitramfs reads it' 0
	like 'and finds init' '^init$' "$out"
else
	skip 'lsinitramfs is not installed' 'lsinitramfs reads it'
fi
like 'there is an init' '^-rwxr-xr-x +[0-9]+ /?init$' "$plain_list"
like 'dm-crypt, when it is a module' 'dm-crypt\.ko|^-.*init$' "$plain_list"
unlike 'nothing of one machine' 'guest\.json' "$plain_list"
build --no-volumes --no-network -o small.img >/dev/null
try "$caisson" initramfs list small.img
unlike 'without volumes there is no dm-crypt' 'dm-crypt|caisson-unlock|e2fsck' "$out"
unlike 'without a network no virtio_net' 'virtio_net' "$out"
check 'which is smaller' test "$(stat -c %s small.img)" -lt "$(stat -c %s one.img)"
build --platform q35 -o q35.img >/dev/null
try "$caisson" initramfs list q35.img
like 'for q35 there is virtio over PCI' 'virtio_pci\.ko|init' "$out"

# Both forms of the guest, as far as they were built

form() { # FORM MOST-BYTES
	local what="the $1 form"
	export CAISSON_GUEST=$build/guest/$1
	try build -o "$1.img"
	ended "$what" 0
	check "$what: its archive has at most $2 bytes" test "$(stat -c %s "$1.img")" -le "$2"
	build --no-volumes -o "$1-small.img" >/dev/null
	check "$what: and without volumes a third of it at most" test \
		"$(($(stat -c %s "$1-small.img") * 3))" -le "$2"
	build --compress none -o "$1-plain.img" >/dev/null
	mkdir "$1"
	if ! is_root; then
		skip 'needs root, to enter the archive' "$what: every program starts"
		return
	fi
	(cd "$1" && cpio -idm --quiet <"../$1-plain.img")
	programs=0
	while read -r file; do
		file -b "$file" 2>/dev/null | grep -q 'ELF.*\(executable\|pie\)' || continue
		interpreter=$(file -b "$file" | sed -n 's/.*interpreter \([^,]*\).*/\1/p')
		[ -n "$interpreter" ] || continue
		programs=$((programs + 1))
		try chroot "$1" "$interpreter" --list "/${file#"$1"/}"
		ended "$what: /${file#"$1"/} finds its libraries" 0
		unlike 'all of them' 'not found' "$out$err"
	done < <(find "$1" -type f -perm -0100 ! -name '*.so*')
	try chroot "$1" /sbin/e2fsck -V
	ended "$what: e2fsck starts there" 0
	try chroot "$1" /sbin/caisson-unlock
	ended "$what: caisson-unlock too" 1 'order'
	try chroot "$1" /init
	ended "$what: init runs as PID 1 alone" 2 'PID 1'
}

form bundled 6000000
is_root && same 'three programs that need libraries' 3 "$programs"
if [ -d "$build/guest/static" ] && [ -e "$build/guest/static/caisson-guest" ]; then
	form static 3000000
	is_root && same 'none that needs a library' 0 "$programs"
	"$caisson" initramfs list static.img >static-list
	same 'one executable, and nothing beside it but modules' init \
		"$(awk '/^-/ { print $3 }' static-list | grep -v '\.ko$\|etc/caisson/modules$')"
else
	skip 'the static form was not built' 'one executable, and nothing beside it but modules'
fi
unset CAISSON_GUEST
CAISSON_GUEST=$work expect 'a folder without them' 1 'caisson-init is not in' initramfs build -o new.img

# What it cannot do

expect 'another platform' 2 'is one of: microvm q35' initramfs build --platform toaster
expect 'another compression' 2 'there are zstd' initramfs build --compress lzma
expect 'level 0' 2 'level' initramfs build --compress zstd:0
expect 'a level that is none' 2 'level' initramfs build --compress zstd:x
expect 'a kernel that is not there' 1 '/nowhere' initramfs build --kernel /nowhere -o new.img
expect 'a kernel that is none' 1 'names' initramfs build --kernel names -o new.img
expect 'modules that are not there' 1 '/nowhere' initramfs build --modules /nowhere -o new.img
expect 'a folder that is not there' 1 'nowhere/new.img' initramfs build -o nowhere/new.img
check_not 'none of them left a file' test -e new.img
if [ -w /dev/full ]; then
	"$caisson" initramfs build -o - >/dev/full 2>"$work/err"
	status=$? err=$(cat "$work/err")
	ended 'a full disk' 1 'No space left'
fi
echo before >kept.img
try "$caisson" initramfs build --kernel /nowhere -o kept.img
same 'a failure leaves what was there' before "$(cat kept.img)"

# What it cannot read

head -c 100000 /dev/urandom >garbage
: >empty
head -c "$(($(stat -c %s one.img) / 2))" one.img >half.img
head -c "$(($(stat -c %s plain.img) / 2))" plain.img >half-plain.img
cp one.img trailing.img
echo 'garbage' >>trailing.img
expect 'garbage' 1 'garbage' initramfs list garbage
expect 'an empty file' 1 'empty' initramfs list empty
expect 'half a compressed archive' 1 'half.img' initramfs list half.img
expect 'half a plain one' 1 'half-plain.img' initramfs list half-plain.img
expect 'garbage behind an archive' 1 'trailing.img' initramfs list trailing.img
expect 'a file that is not there' 1 'No such file' initramfs list nowhere
expect 'a folder' 1 'elsewhere' initramfs list elsewhere
try "$caisson" initramfs list <(cat one.img)
ended 'a pipe is read as a file is' 0
same 'to its end' "$plain_list" "$out"
cat one.img small.img >two.img
try "$caisson" initramfs list two.img
ended 'two archives, one behind the other' 0
same 'are read through' "$((2 * $(wc -l <names)))" "$(($(wc -l <<<"$out") + $(wc -l <names) -
	$("$caisson" initramfs list small.img | wc -l)))"

tap_end
