# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the scripts share that run on a host in a machine (host.sh). Source it; host_guest_begin BUILD takes
# the place of tap_begin.
# shellcheck source=tests/lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/tap.sh"

host_guest_begin() { # BUILD COMMAND...: commands of caisson volume that the script is about
	local command
	TMPDIR=${TMPDIR:-/scratch} tap_begin "$1"
	shift
	for command; do
		# shellcheck disable=SC2086 # "key add" is two words
		"$caisson" volume $command --help >/dev/null 2>&1 || tap_skip_all "there is no volume $command"
	done
	# Full entropy, and no newline.
	for command in a b c; do
		head -c 32 /dev/urandom >"$work/key-$command"
		chmod 600 "$work/key-$command"
	done
	mkdir "$work/mnt"
}

# Without udev nobody would make the nodes. The variable is for dmsetup alone: caisson has to find out.
dmsetup() { # ARGUMENT...
	DM_DISABLE_UDEV=1 command dmsetup "$@"
}

container_of() { # VOLUME
	echo "$CAISSON_STATE/volumes/$1/container"
}

# The machine key of a volume in $work/service, for cryptsetup.
service_key() { # VOLUME
	"$build/tests/machine-key" "$CAISSON_STATE" "$CAISSON_CONFIG" "$1" 1 >"$work/service"
}

# A member of the JSON object on standard output: strings, numbers and booleans alone.
member() { # NAME
	sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p" "$work/out" | head -n 1
}

# caisson volume, which is to end well.
volume() { # DESCRIPTION ARGUMENT...
	local description=$1
	shift
	try timeout --kill-after=5 60 "$caisson" volume "$@"
	ended "$description" 0
}

refused() { # DESCRIPTION PATTERN ARGUMENT...
	local description=$1 pattern=$2
	shift 2
	try timeout --kill-after=5 60 "$caisson" volume "$@"
	ended "$description" 1 "$pattern"
	same "$description: in one sentence" 1 "$(grep -c '^caisson' <<<"$err")"
}

# A tree with what a filesystem may hold.
make_tree() { # FOLDER
	mkdir -p "$1/deep/er/deepest"
	seq 1 20000 >"$1/numbers"
	head -c 3000000 /dev/urandom >"$1/deep/random"
	truncate -s 8M "$1/deep/sparse"
	echo end | dd of="$1/deep/sparse" bs=1 seek=5000000 conv=notrunc status=none
	ln "$1/numbers" "$1/deep/er/hard"
	ln -s ../random "$1/deep/er/link"
	mkfifo -m 0620 "$1/deep/fifo"
	mknod "$1/deep/null" c 1 3
	chmod 4755 "$1/deep/random"
	chown 1000:1234 "$1/deep/er/deepest"
	setfattr -n user.colour -v blue "$1/numbers"
	setfacl -m u:1000:rw "$1/deep/random"
	touch -d '2001-02-03 04:05:06.789' "$1/numbers"
}

# Everything of a tree, but lost+found and what a mount changes.
picture() { # FOLDER
	(
		cd "$1" || exit
		find . -path ./lost+found -prune -o -type d -printf '%p %y %m %U:%G\n' \
			-o -printf '%p %y %m %U:%G %n %l\n' | grep -v '^\. ' | sort
		find . -path ./lost+found -prune -o -type f -printf '%p %s %T@\n' | sort
		find . -path ./lost+found -prune -o -type f -print0 | sort -z | xargs -0 -r sha256sum
		find . -path ./lost+found -prune -o -type f -print0 | sort -z |
			xargs -0 -r getfattr -d -m '^(user|system|security)[.]' 2>/dev/null
	)
}

same_tree() { # DESCRIPTION FOLDER FOLDER
	picture "$2" >"$work/tree-1"
	picture "$3" >"$work/tree-2"
	if cmp -s "$work/tree-1" "$work/tree-2"; then
		point yes "$1"
	else
		point no "$1"
		diag "$(diff "$work/tree-1" "$work/tree-2" | head -n 8)"
	fi
}

# No loop device, no mapping, no mount (but the script's own, small), no server, no half-made file.
what_is_left() {
	losetup --noheadings --output NAME,BACK-FILE
	dmsetup ls 2>/dev/null | grep -v 'No devices'
	grep -o " $work/[^ ]* [^ ]*" /proc/self/mounts | grep -v "^ $work/small "
	pgrep -a caisson
	find "$CAISSON_STATE" \( -name '.new-*' -o -name '.pending-*' -o -name '*.sock' \) 2>/dev/null
}

nothing_left() { # DESCRIPTION
	# A loop device is let go by the kernel a moment after its last user.
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ -z "$(what_is_left)" ] && break
		sleep 0.2
	done
	same "$1" '' "$(what_is_left)"
	[ -z "$(what_is_left)" ] || clear_up
}

# So that one thing that is left does not fail all that follows.
clear_up() {
	pkill -KILL caisson
	grep -o " $work/[^ ]*" /proc/self/mounts | grep -v "/small$" | sort -r | xargs -r umount --lazy
	dmsetup ls --target crypt | grep -o '^caisson-[^[:space:]]*' | while read -r name; do
		dmsetup remove --retry "$name"
	done
	losetup --noheadings --output NAME,BACK-FILE | grep container | while read -r name _; do
		losetup --detach "$name"
	done
	rm -rf "$CAISSON_STATE/open"
} >&2

fsck_of() { # FILESYSTEM DEVICE
	case $1 in
	ext4) e2fsck -fn "$2" ;;
	xfs) xfs_repair -n "$2" ;;
	btrfs) btrfs check "$2" ;;
	esac
}
