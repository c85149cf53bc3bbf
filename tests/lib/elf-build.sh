# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck disable=SC2054 # commas for the linker
# Makes small programs and libraries that ask for what the caller says, whether it is there or not. Source
# it; then
#
#   elf_begin FOLDER   first: for what is shared; $elf_failed becomes 1 when something cannot be made

# shellcheck disable=SC2034 # for the scripts
elf_begin() { # FOLDER
	mkdir -p "$1"
	elf_objects=$1 elf_failed=0 elf_interpreter=/lib64/ld-linux-x86-64.so.2
	echo 'int main(void) { return 0; } void _start(void) __attribute__((weak)); void _start(void) {}' \
		>"$elf_objects/main.c"
	: >"$elf_objects/nothing.c"
	(cd "$elf_objects" && gcc -c -fPIC main.c nothing.c)
}

# so FILE and exe FILE make a library or a program with
#   -n NAME     a DT_NEEDED of exactly this text
#   -s NAME     DT_SONAME, in place of the file's name; '' for none
#   -R PATH     DT_RUNPATH
#   -r PATH     DT_RPATH
#   -- FLAG...  what else the linker should know
so() {
	elf_link -shared -nostdlib "$@"
}

exe() {
	elf_link -pie '' "$@"
}

elf_link() { # KIND FLAG FILE OPTION...
	local kind=$1 file=$3 soname=${3##*/} flags=() needs=()
	[ -z "$2" ] || flags=("$2")
	shift 3
	mkdir -p "$(dirname "$file")"
	while [ $# -gt 0 ]; do
		case $1 in
		-n) elf_stub "$2" && needs+=("$elf_stub") ;;
		-s) soname=$2 ;;
		-R) flags+=(-Wl,--enable-new-dtags "-Wl,-rpath,$2") ;;
		-r) flags+=(-Wl,--disable-new-dtags "-Wl,-rpath,$2") ;;
		--)
			shift
			flags+=("$@")
			break
			;;
		esac
		shift 2
	done
	if [ "$kind" = -shared ] && [ -n "$soname" ]; then
		flags+=("-Wl,-soname,$soname")
	fi
	[ "$kind" = -shared ] || flags=("$elf_objects/main.o" "${flags[@]}")
	gcc "$kind" -o "$file" "$elf_objects/nothing.o" -Wl,--no-as-needed "${needs[@]}" \
		-Wl,--allow-shlib-undefined "${flags[@]}" || elf_failed=1
}

# A library that is there only for its name: what is linked with it wants NAME.
elf_stub() { # NAME
	elf_stub=$elf_objects/stub-$(printf %s "$1" | sha256sum | cut -c 1-16).so
	[ -e "$elf_stub" ] || gcc -shared -nostdlib -o "$elf_stub" "$elf_objects/nothing.o" \
		"-Wl,-soname,$1"
}

# Changes bytes: as numbers at an offset.
poke() { # FILE OFFSET BYTE...
	local file=$1 offset=$2 byte
	shift 2
	for byte in "$@"; do
		# shellcheck disable=SC2059 # the format is the byte
		printf "\\x$byte"
	done | dd of="$file" bs=1 seek="$offset" conv=notrunc status=none
}

# The tag of a dynamic section's entry becomes another.
retag() { # FILE FROM TO
	python3 - "$@" <<-'END'
		import struct, sys
		name, old, new = sys.argv[1], int(sys.argv[2], 0), int(sys.argv[3], 0)
		data = bytearray(open(name, 'rb').read())
		offset, = struct.unpack_from('<Q', data, 32)
		size, count = struct.unpack_from('<HH', data, 54)
		for at in range(offset, offset + size * count, size):
		    kind, _, start = struct.unpack_from('<IIQ', data, at)
		    length, = struct.unpack_from('<Q', data, at + 32)
		    if kind == 2:
		        for entry in range(start, start + length, 16):
		            if struct.unpack_from('<Q', data, entry)[0] == old:
		                struct.pack_into('<Q', data, entry, new)
		open(name, 'wb').write(data)
	END
}

# liba with the versions given; the symbol a1 in the first, a2 in the second.
versioned() { # FILE VERSION...
	local script=$elf_objects/versions file=$1 n=0 version previous=
	shift
	: >"$script"
	: >"$script.c"
	for version in "$@"; do
		n=$((n + 1))
		echo "$version { global: a$n; } $previous;" >>"$script"
		echo "int a$n(void) { return $n; }" >>"$script.c"
		previous=$version
	done
	mkdir -p "$(dirname "$file")"
	gcc -shared -nostdlib -fPIC -o "$file" "$script.c" -Wl,-soname,liba.so \
		"-Wl,--version-script=$script" || elf_failed=1
}

# Sets VER_FLG_WEAK of the version that PROGRAM needs.
weaken() { # FILE VERSION
	python3 - "$@" <<-'END'
		import struct, subprocess, sys
		name, version = sys.argv[1:]
		data = bytearray(open(name, 'rb').read())
		word = 0
		for byte in version.encode():
		    word = (word << 4) + byte
		    high = word & 0xf0000000
		    word = (word ^ high ^ high >> 24) & 0xffffffff if high else word
		at = data.find(struct.pack('<IH', word, 0))
		assert at > 0 or data.find(struct.pack('<IH', word, 2)) > 0
		if at > 0:
		    struct.pack_into('<H', data, at + 4, 2)
		open(name, 'wb').write(data)
	END
}
