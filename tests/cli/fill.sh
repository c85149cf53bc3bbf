#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck disable=SC2317 # some functions are called by name
# Filesystems that are filled from folders and archives without a mount, judged by e2fsck and by the
# kernel: mounted, everything must be as it was.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_private_mounts "$0" "$@"
tap_begin "$1"

fill=$build/tests/fill-volume
awkward=$source/tests/lib/awkward.py
features=none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super
features+=,large_file,huge_file,dir_nlink,extra_isize,metadata_csum

new_filesystem() { # SIZE [OPTION...]
	rm -f "$work/image"
	truncate -s "$1" "$work/image"
	mke2fs -q -F -t ext4 -b 4096 -I 256 -m 0 -O "$features" "${@:2}" \
		-E nodiscard,lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0 "$work/image"
}

clean() {
	e2fsck -fn "$work/image" >"$work/fsck" 2>&1 || { cat "$work/fsck"; return 1; }
}

mounted() { # COMMAND...: in the folder where the image is mounted
	mkdir -p "$work/mnt"
	mount -o loop,user_xattr,acl "$work/image" "$work/mnt" || return 1
	"$@"
	local r=$?
	umount "$work/mnt"
	return $r
}

list_mounted() {
	mounted python3 "$awkward" list "$work/mnt" /lost+found >"$work/got"
}

# The same as what $work/wanted says.
same_tree() { # DESCRIPTION
	if ! may_mount; then
		skip "mounts need root" "$1"
		return
	fi
	list_mounted
	diff "$work/wanted" "$work/got" >"$work/diff"
	same "$1" "" "$(cut -c1-200 "$work/diff" | head -20)"
}

for tool in tar bsdtar python3; do
	command -v $tool >/dev/null || tap_skip_all "there is no $tool"
done
python3 "$awkward" make "$work/tree" || tap_skip_all "the folder for temporary files has no extended attributes"
python3 "$awkward" list "$work/tree" >"$work/wanted"

for way in plain encrypted; do
	new_filesystem 2200M
	check "a folder fills a filesystem ($way)" "$fill" $way "$work/tree" "$work/image"
	check "e2fsck has nothing to say of it" clean
	same_tree "all of it is there: times, owners, attributes, ACLs, holes, links"
done

read -r size inodes < <("$fill" measure "$work/tree")
new_filesystem "$size" -N "$inodes"
check "what was measured is enough" "$fill" encrypted "$work/tree" "$work/image"
check "and clean" clean
same_tree "and all of it is there"

# Judged by what the archives' own tools make of them.
(
	cd "$work/tree" || exit
	tar --numeric-owner --format=pax --xattrs --xattrs-include='*' --acls --sparse \
		--exclude=./socket --exclude=./times/-1 -cf "$work/pax.tar" .
	tar --numeric-owner --format=gnu --sparse --exclude=./socket -cf "$work/gnu.tar" .
	# Its second form of attributes' names comes back otherwise.
	bsdtar --numeric-owner --format=pax --acls --xattrs --options xattrheader=SCHILY \
		--exclude ./socket -cf "$work/bsd.tar" .
) 2>"$work/tar-errors"
unpack() { # KIND FOLDER
	mkdir -p "$2"
	case $1 in
	pax) tar -C "$2" -xpf "$work/pax.tar" --numeric-owner --same-owner --xattrs --xattrs-include='*' --acls ;;
	gnu) tar -C "$2" -xpf "$work/gnu.tar" --numeric-owner --same-owner ;;
	bsd) bsdtar -C "$2" -xpf "$work/bsd.tar" --numeric-owner --same-owner --xattrs --acls ;;
	esac 2>>"$work/tar-errors"
}
for kind in pax gnu bsd; do
	new_filesystem 300M
	if ! is_root; then
		skip "unpacking needs root" "an archive ($kind)"
		continue
	fi
	unpack $kind "$work/$kind"
	# bsdtar leaves the folder that it unpacks into a time of its own.
	touch -d @0 "$work/$kind"
	python3 "$awkward" list "$work/$kind" | sed 1d >"$work/wanted"
	check "an archive fills a filesystem ($kind)" "$fill" plain "$work/$kind.tar" "$work/image"
	check "e2fsck has nothing to say of it ($kind)" clean
	if may_mount; then
		list_mounted
		same "it is what its own tool unpacks ($kind)" "" \
			"$(sed 1d "$work/got" | diff "$work/wanted" - | cut -c1-200 | head -20)"
	else
		skip "mounts need root" "it is what its own tool unpacks ($kind)"
	fi
	rm -rf "${work:?}/$kind"
done

for pack in "gzip -1" "bzip2 -1" "xz -0" "zstd -q -1" "lz4 -q -1"; do
	new_filesystem 300M
	$pack -c <"$work/gnu.tar" >"$work/packed"
	check "through a pipe from ${pack%% *}" "$fill" plain /dev/stdin "$work/image" < <(cat "$work/packed")
	check "and clean" clean
done
try "$fill" measure /dev/stdin < <(cat "$work/packed")
ended "a pipe cannot be measured" 1 "can be read only once"
head -c 3000000 "$work/gnu.tar" >"$work/cut.tar"
new_filesystem 300M
try "$fill" plain "$work/cut.tar" "$work/image"
ended "an archive that was cut short is refused" 1 "not a whole tar archive"
new_filesystem 24M
try "$fill" plain "$work/tree" "$work/image"
ended "too little room is told in MiB" 1 "about [0-9]+ MiB more"

# Folders that the kernel must find its way in.
mkdir "$work/folder"
python3 -c '
import os, sys
top = sys.argv[1]
open(top + "/file", "w").close()
os.mkdir(top + "/names")
for number in range(30000):
    os.link(top + "/file", top + "/names/%s%d" % ("n" * 200, number))' "$work/folder"
new_filesystem 100M
check "a folder of 30000 long names" "$fill" encrypted "$work/folder" "$work/image"
check "its hash tree is in order" clean
use_it() {
	local number
	for number in 0 1 4711 29999; do
		[ -e "$work/mnt/names/$(printf 'n%.0s' {1..200})$number" ] || return 1
	done
	for number in {1..200}; do
		echo new >"$work/mnt/names/new$number" || return 1
	done
	rm "$work"/mnt/names/*999 "$work/mnt/names/new7" && mkdir "$work/mnt/more" && sync -f "$work/mnt"
}
if may_mount; then
	check "the kernel finds names, adds some and removes some" mounted use_it
	check "and leaves it clean" clean
	mkdir "$work/outer" "$work/outer/inner"
	echo outside >"$work/outer/file"
	mount -t tmpfs tmpfs "$work/outer/inner"
	chmod 700 "$work/outer/inner"
	echo inside >"$work/outer/inner/file"
	new_filesystem 20M
	check "a folder with a mount in it" "$fill" plain "$work/outer" "$work/image"
	same "the mount is an empty folder" "outside-" \
		"$(debugfs -R "cat /file" "$work/image" 2>/dev/null)-$(debugfs -R "cat /inner/file" "$work/image" 2>/dev/null)"
	new_filesystem 20M
	check "one that is gone into" "$fill" plain "$work/outer" "$work/image" cross
	same "has what is mounted" "inside" "$(debugfs -R "cat /inner/file" "$work/image" 2>/dev/null)"
	umount "$work/outer/inner"
fi

# Somebody who can neither chown nor mknod.
if is_root && command -v setpriv >/dev/null; then
	mkdir "$work/foreign"
	echo data >"$work/foreign/file"
	chown 1234:5678 "$work/foreign/file"
	chmod 4755 "$work/foreign/file"
	setfattr -n user.a -v b "$work/foreign/file"
	new_filesystem 20M
	chmod 755 "$work" "$work/foreign"
	chmod 666 "$work/image"
	as_nobody() {
		setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --no-new-privs "$@"
	}
	check "without root" as_nobody "$fill" plain "$work/foreign" "$work/image"
	stat=$(debugfs -R "stat /file" "$work/image" 2>/dev/null)
	like "owners are kept" "User: +1234 +Group: +5678" "$stat"
	like "and modes" "Mode: +04755" "$stat"
	chmod 600 "$work/foreign/file"
	new_filesystem 20M
	chmod 666 "$work/image"
	try as_nobody "$fill" plain "$work/foreign" "$work/image"
	ended "what may not be read is named" 1 "open $work/foreign/file: Permission denied"
else
	skip "not root" "another user"
fi

tap_end
