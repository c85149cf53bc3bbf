# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Root folders for test images, out of what Debian has installed. Source this file. Each function
# makes one kind in the folder DIR, which may exist.
# Packages: busybox-static, gcc, libc6-dev, musl-tools; the programs of rootfs_glibc.

rootfs_sources=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

rootfs_users() { # DIR
	mkdir -p "$1/etc" "$1/root" "$1/home/app" "$1/tmp"
	chmod 1777 "$1/tmp"
	printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'app:x:1000:1000:app:/home/app:/bin/sh' \
		>"$1/etc/passwd"
	printf '%s\n' 'root:x:0:' 'app:x:1000:' 'extra:x:2000:app' >"$1/etc/group"
}

# busybox alone, with all its names.
rootfs_busybox() { # DIR
	local name busybox
	busybox=$(command -v busybox) || {
		echo "rootfs_busybox: install busybox-static" >&2
		return 1
	}
	mkdir -p "$1/bin"
	install -m 0755 "$busybox" "$1/bin/busybox"
	while read -r name; do
		[ "$name" = busybox ] || ln -sf busybox "$1/bin/$name"
	done < <("$busybox" --list)
	rootfs_users "$1"
}

# A program and the libraries that ldd finds for it.
rootfs_add_program() { # DIR PROGRAM
	local file
	mkdir -p "$1$(dirname "$2")"
	cp -L "$2" "$1$2"
	while read -r file; do
		mkdir -p "$1$(dirname "$file")"
		[ -e "$1$file" ] || cp -L "$file" "$1$file"
	done < <(ldd "$2" 2>/dev/null | grep -o '/[^ )]*' | sort -u)
}

# bash and ordinary programs with glibc, as Debian has them; more programs may be named.
rootfs_glibc() { # DIR [PROGRAM]...
	local dir=$1 name path
	shift
	mkdir -p "$dir/usr/bin" "$dir/usr/lib" "$dir/usr/lib64" "$dir/usr/sbin"
	for name in bin lib lib64 sbin; do
		[ -e "$dir/$name" ] || ln -s "usr/$name" "$dir/$name"
	done
	for name in bash cat ls sleep id env stty echo mkdir rm sync true false hostname head wc \
		uname ps kill mount df stat dd sh nproc "$@"; do
		path=$(type -P "$name") || {
			echo "rootfs_glibc: no program $name" >&2
			return 1
		}
		rootfs_add_program "$dir" "$path"
	done
	rootfs_users "$dir"
	printf '%s\n' 'passwd: files' 'group: files' 'hosts: files dns' >"$dir/etc/nsswitch.conf"
}

# One program, linked dynamically with musl, and musl itself.
rootfs_musl() { # DIR
	command -v musl-gcc >/dev/null || {
		echo "rootfs_musl: install musl-tools" >&2
		return 1
	}
	mkdir -p "$1/bin" "$1/lib"
	musl-gcc -O2 -s -o "$1/bin/hello" "$rootfs_sources/hello.c"
	cp -L "/lib/ld-musl-$(uname -m).so.1" "$1/lib/"
	rootfs_users "$1"
}

# One static program and nothing else.
rootfs_scratch() { # DIR
	mkdir -p "$1"
	if command -v musl-gcc >/dev/null; then
		musl-gcc -O2 -s -static -o "$1/hello" "$rootfs_sources/hello.c"
	else
		gcc -O2 -s -static -o "$1/hello" "$rootfs_sources/hello.c"
	fi
}
