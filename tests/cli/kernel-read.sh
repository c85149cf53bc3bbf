#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Configurations of kernels in every form that they come in, read and compared; and what the logs of boots
# are explained by.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_begin "$1"
cd "$work" || exit 2

# shellcheck disable=SC2317 # "try" calls it
kernel() { # COMMAND ARGUMENT...
	"$caisson" kernel "$@"
}

json() { # EXPRESSION, of the JSON in "out", called d
	python3 -c 'import json, sys; d = json.load(open("out")); print(eval(sys.argv[1]))' "$1"
}

cat >a.config <<'END'
#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.1.192 Kernel Configuration
#
CONFIG_A=y
CONFIG_DM_CRYPT=m
CONFIG_EXT4_FS=y
CONFIG_LOG_BUF_SHIFT=17
# CONFIG_OFF is not set
CONFIG_LOCALVERSION="-x"
END
cp a.config b.config

# What differs

expect 'the same' 0 '' kernel diff a.config b.config
same 'and nothing is said' '' "$out"
sed -e 's/^CONFIG_DM_CRYPT=m/CONFIG_DM_CRYPT=y/' -e 's/=17/=18/' -e '/EXT4/d' -e '/OFF/d' b.config >c.config
printf 'CONFIG_XFS_FS=m\nCONFIG_OFF=n\n' >>c.config
expect 'what differs' 1 '' kernel diff a.config c.config
same 'what caisson has a use for' '~ CONFIG_DM_CRYPT: m -> y
- CONFIG_EXT4_FS=y
+ CONFIG_XFS_FS=m' "$(grep '^[-+~]' <<<"$out")"
like 'with its feature and reason' '^ +volume: encrypted volumes cannot be opened' "$out"
like 'the others are counted' '^3 that caisson has a use for, 1 others \(--all shows them\)$' "$out"
expect 'all that differs' 1 '' kernel diff --all a.config c.config
like 'a number' '^~ CONFIG_LOG_BUF_SHIFT: 17 -> 18$' "$out"
unlike 'not set, n and absent are the same' 'CONFIG_OFF' "$out"
try kernel diff --json a.config c.config
same 'in JSON' '3 1 6.1.192 file CONFIG_DM_CRYPT m y volume' "$(json '"%d %d %s %s %s %s %s %s" % (d["wanted"],
	d["others"], d["a"]["release"], d["a"]["where"], d["differences"][0]["option"], d["differences"][0]["a"],
	d["differences"][0]["b"], d["differences"][0]["wanted"][0]["feature"])')"
printf 'CONFIG_A=y\nCONFIG_BETWEEN=y\nCONFIG_E="\033[31m\377"\n' >escape.config
try kernel diff --all a.config escape.config
ended 'a value with an escape sequence' 1
unlike 'no escape sequence comes out' "$(printf '\033')" "$out"
try kernel diff --all --json a.config escape.config
ended 'nor does it break JSON' 1
check 'which is whole' python3 -m json.tool out /dev/null

# Profiles

expect 'two profiles' 1 '' kernel diff minimal container
like 'the greater one has more' '^\+ CONFIG_' "$out"
unlike 'and nothing less' '^- ' "$out"
expect 'a profile with itself' 0 '' kernel diff minimal minimal
expect 'a configuration and a profile' 1 '' kernel diff a.config minimal
like 'what is as a module in one' '^~ CONFIG_DM_CRYPT: m -> y$' "$out"
unlike 'options that no profile speaks of are left out' 'LOCALVERSION' "$out"
expect 'neither a file nor a profile' 2 'profiles are called minimal' kernel diff a.config nothing

# Compressed

compress() { # FORM <PLAIN
	case $1 in
	gzip) gzip -c ;;
	bzip2) bzip2 -c ;;
	lzma) xz --format=lzma -c ;;
	xz) xz -c ;;
	lzo) lzop -c ;;
	lz4) lz4 -q -c ;;
	lz4-legacy) lz4 -q -l -c ;;
	zstd) zstd -q -c ;;
	esac
}
# The kernel of nobody: an ELF file, "Linux version", and the configuration between its marks.
make_vmlinux() { # FILE [CONFIG]
	python3 - "$@" <<'END'
import gzip, struct, sys
text = bytearray(400000)
text[0:64] = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
text[64:120] = bytes(56)
text[5000:5060] = b"Linux version 6.9.1-inside (a@b) #1".ljust(60, b"\0")
if len(sys.argv) > 2:
    blob = b"IKCFG_ST" + gzip.compress(open(sys.argv[2], "rb").read(), 9) + b"IKCFG_ED"
    text[200000:200000 + len(blob)] = blob
open(sys.argv[1], "wb").write(text)
END
}
# A bzImage around a compressed vmlinux (Documentation/arch/x86/boot.rst).
make_bzimage() { # FILE PAYLOAD FORM
	python3 - "$@" <<'END'
import os, struct, sys
payload = open(sys.argv[2], "rb").read()
if sys.argv[3] != "gzip":
    payload += struct.pack("<I", 400000)
setup = bytearray(5 * 512)
setup[0x1f1] = 4
setup[0x202:0x206] = b"HdrS"
setup[0x206:0x208] = b"\x0f\x02"
setup[0x20e:0x210] = b"\x00\x03"
release = b"6.9.1-inside (a@b) #1\0"
setup[0x500:0x500 + len(release)] = release
setup[0x248:0x250] = struct.pack("<II", 16, len(payload))
open(sys.argv[1], "wb").write(bytes(setup) + bytes(16) + payload + bytes(64))
END
}
mkdir elsewhere
make_vmlinux vmlinux a.config
make_vmlinux bare
expect 'in a vmlinux' 0 '' kernel diff a.config vmlinux
tail -c +65 vmlinux >vmlinux.bin
expect 'in a raw one' 0 '' kernel diff a.config vmlinux.bin
for form in gzip bzip2 lzma xz lzo lz4 lz4-legacy zstd; do
	compress $form <a.config >packed
	expect "$form: a configuration" 0 '' kernel diff a.config packed
	head -c $(($(stat -c %s packed) * 2 / 3)) packed >short
	expect "$form: a cut one" 2 'short (cannot be uncompressed|is )' kernel diff a.config short
	compress $form <vmlinux >packed-image
	expect "$form: a vmlinux, or configs.ko" 0 '' kernel diff a.config packed-image
	[ $form != lz4 ] || continue
	make_bzimage bzImage packed-image $form
	expect "$form: a bzImage" 0 '' kernel diff a.config bzImage
	try kernel diff --json a.config bzImage
	same "$form: where it is, is told" embedded "$(json 'd["b"]["where"]')"
done
make_bzimage plain.bzImage vmlinux gzip
expect 'a bzImage that is not compressed' 0 '' kernel diff a.config plain.bzImage
expect 'a pipe' 0 '' kernel diff a.config <(gzip -c a.config)

# Kernels that hold none

xz -c bare >bare.xz
make_bzimage elsewhere/vmlinuz bare.xz xz
expect 'a bzImage without its own' 2 'holds no configuration, and no file config-6.9.1-inside is beside it' \
	kernel diff a.config elsewhere/vmlinuz
cp a.config elsewhere/config-6.9.1-inside
expect 'with a file beside it' 0 '' kernel diff a.config elsewhere/vmlinuz
xz elsewhere/config-6.9.1-inside
mv elsewhere/config-6.9.1-inside.xz elsewhere/config-6.9.1-inside
expect 'which may be compressed: its content tells' 0 '' kernel diff a.config elsewhere/vmlinuz
expect 'raw bytes' 2 'bare.xz holds no kernel configuration' kernel diff a.config bare.xz

# What is none

: >empty
head -c 5000 /dev/urandom >noise
(cat a.config && printf '\0\0\0' && cat a.config) >nul
echo '<html>CONFIG</html>' >page
head -c 1000000000 /dev/zero | gzip -1 >bomb-zeros.gz
yes CONFIG_A=y | head -c 100000000 | gzip -1 >bomb-text.gz
mkfifo fifo
expect 'an empty file' 2 'empty is empty' kernel diff a.config empty
expect 'noise' 2 'noise' kernel diff a.config noise
expect 'NULs' 2 'nul has NUL bytes in it' kernel diff a.config nul
expect 'a page' 2 'page is no kernel configuration' kernel diff a.config page
expect 'a folder' 2 'elsewhere is a folder' kernel diff a.config elsewhere
expect 'a device' 2 '/dev/zero is not a regular file' kernel diff a.config /dev/zero
expect 'a FIFO that nobody writes to' 2 'fifo is empty' kernel diff a.config fifo
expect 'a gigabyte of zeros' 2 'bomb-zeros.gz' kernel diff a.config bomb-zeros.gz
expect 'much text' 2 'larger than the 16 MiB' kernel diff a.config bomb-text.gz
expect 'nothing' 2 'No such file' kernel diff a.config ./nothing
expect 'one operand' 2 'A and B' kernel diff a.config
expect 'the running kernel and two more' 2 'one operand is left' kernel diff --running a.config b.config

# What is installed

if [ -n "$(find /boot -name 'vmlinuz-*' -readable 2>/dev/null)" ]; then
	image=$(find /boot -name 'vmlinuz-*' -readable | sort -V | tail -n 1)
	expect 'the distribution'\''s kernel has its configuration beside it' 0 '' \
		kernel diff "$image" "/boot/config-${image#/boot/vmlinuz-}"
else
	skip 'there is no kernel in /boot' 'the distribution'\''s kernel has its configuration beside it'
fi
try kernel diff --running a.config
if [ "$status" -eq 2 ]; then
	like 'the running kernel: why not' 'configuration of the running kernel|/boot can be closed' "$err"
else
	same 'the running kernel' 1 "$status"
fi

# A machine's kernel: the image is searched once

mkdir -p modules
printf 'kernel/x.ko:\n' >modules/modules.dep
kept() {
	find "$CAISSON_STATE/kernels" -name '*.config' 2>/dev/null | wc -l
}
xz -c vmlinux >vmlinux.xz
make_bzimage bzImage vmlinux.xz xz
try "$caisson" initramfs build --kernel bzImage --modules modules -o out.img
ended 'a kernel that lacks something is refused by what is in its image' 1 'the kernel 6.9.1-inside has no CONFIG_'
same 'which is kept' 1 "$(kept)"

# What is checked is what is compared: the same answer of a configuration, wherever it is

for form in vmlinux bzImage packed; do
	try kernel check --json $form
	ended "a kernel is checked by its own configuration: $form" 1
	same "$form: nothing is unknown" 0 "$(grep -c 'not known' out)"
done
expect 'and one that comes by a pipe' 1 '' kernel check <(cat a.config)

# Without a configuration: modules alone, or nothing

try "$caisson" kernel check bare --for volume
ended 'a kernel of which nothing is known' 2
like 'that is said' '^volume +[0-9]+ of [0-9]+ not known: encrypted volumes' "$out"
unlike 'and not that it is complete' 'complete:' "$out"
try "$caisson" kernel check bare --for volume --json
same 'nor in JSON' 'False' "$(json 'd["complete"]')"
try "$caisson" kernel check bare --for volume --problems
like '--problems: what is not known' '^volume +CONFIG_EXT4_FS +not known' "$out"
mkdir known
printf 'kernel/md/dm-crypt.ko.xz:\n' >known/modules.dep
printf 'kernel/fs/ext4/ext4.ko\n' >known/modules.builtin
try "$caisson" kernel check bare --for volume --modules known
ended 'one of which the modules are known' 1
like 'a module' '^volume +CONFIG_DM_CRYPT +module dm_crypt' "$out"
like 'what would be one, and is built in' '^volume +CONFIG_EXT4_FS +built in' "$out"

# Logs of boots

data=$source/tests/data/console
expect 'a failed boot' 1 '' kernel explain "$data/no-initramfs.log"
like 'its line is quoted' 'no-initramfs.log:[0-9]+: .*VFS: Unable to mount root fs' "$out"
like 'and what mends it' 'set CONFIG_BLK_DEV_INITRD' "$out"
expect 'a good one' 0 '' kernel explain "$data/good.log"
like 'is told, too' 'nothing wrong was found' "$out"
expect 'from a pipe' 1 '' kernel explain - <"$data/initramfs-cut.log"
expect 'an empty log' 1 '' kernel explain empty
like 'has a likely reason' 'console=ttyS0' "$out"
printf '[    1.000000] Kernel panic - not syncing: Fatal exception\n' >panic.log
expect 'a panic that nobody knows' 3 '' kernel explain panic.log
like 'is quoted' 'panic.log:1: .*Fatal exception' "$out"
expect 'what is no log' 3 '' kernel explain a.config
expect 'a log that is not there' 2 'No such file' kernel explain nothing.log
expect 'a folder as a log' 2 'Is a directory' kernel explain elsewhere
head -c 40000000 /dev/zero >large.log
expect 'a log without end' 2 'larger than' kernel explain large.log
printf '[    1.0] Run /init as init process\ncaisson-init: fatal: \033]0;owned\007\033[2J\302\233x\n' >escape.log
try kernel explain escape.log
unlike 'no escape sequence of a log comes out' "$(printf '\033|\302\233')" "$out"
try kernel explain --json "$data/device-mapper.log"
same 'in JSON' 'explained dm-missing certain CONFIG_BLK_DEV_DM' "$(json '"%s %s %s %s" % (d["verdict"],
	d["findings"][0]["rule"], d["findings"][0]["sure"], d["findings"][0]["mends"][0]["option"])')"

tap_end
