#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The whole life of a volume, offline, by a user who is not root, on a host that has no device-mapper, no loop
# devices and no FUSE.
# shellcheck disable=SC2317 # functions are called through try()
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_private_mounts "$0" "$@"
tap_begin "$1"
PATH=$PATH:/sbin:/usr/sbin

mkdir "$work/home"
if is_root; then
	command -v setpriv >/dev/null || tap_skip_all 'setpriv is not installed'
	may_mount || tap_skip_all 'root here may not mount, to hide /dev'
	chmod 711 "$work"
	chown 65534:65534 "$work/home"
	as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all)
	# A /dev with what every user has, and nothing else.
	mkdir "$work/dev"
	mount -t tmpfs -o mode=0755 tmpfs "$work/dev"
	for node in null zero full random urandom tty; do
		touch "$work/dev/$node"
		mount --bind "/dev/$node" "$work/dev/$node"
	done
	mkdir "$work/dev/shm" "$work/dev/pts"
	mount -t tmpfs -o mode=1777 tmpfs "$work/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$work/dev/pts"
	ln -s pts/ptmx "$work/dev/ptmx"
	ln -s /proc/self/fd "$work/dev/fd"
	mount --rbind "$work/dev" /dev
else
	as_user=()
fi
as() { # COMMAND...
	"${as_user[@]}" env -u CAISSON_STATE -u CAISSON_CONFIG -u XDG_STATE_HOME -u XDG_CONFIG_HOME \
		HOME="$work/home" TMPDIR="$work/home" timeout --kill-after=5 120 "$@"
}
user() { # ARGUMENT...: of caisson volume
	as "$caisson" volume "$@"
}
try as "$caisson" --version
[ "$status" -eq 0 ] || tap_skip_all 'another user cannot run what is in the build folder'
for command in open close check resize copy export; do
	"$caisson" volume "$command" --help >/dev/null 2>&1 || tap_skip_all "there is no volume $command"
done
if is_root; then
	check_not 'no FUSE here' test -e /dev/fuse
	check_not 'no loop devices' test -e /dev/loop-control
	check_not 'no device-mapper' test -e /dev/mapper/control
fi

state=$work/home/.local/state/caisson
member() { # EXPRESSION-OF-d
	python3 -c "import json, sys; d = json.load(open(sys.argv[1])); print($1)" "$work/out"
}
# The user's own folder, and a tar with owners that he could not give.
make_tree() {
	mkdir -p "$work/home/tree/deep/er"
	seq 1 20000 >"$work/home/tree/numbers"
	head -c 20000000 /dev/urandom >"$work/home/tree/deep/random"
	truncate -s 5M "$work/home/tree/deep/sparse"
	ln -s ../random "$work/home/tree/deep/er/link"
	ln "$work/home/tree/numbers" "$work/home/tree/deep/hard"
	chmod 0640 "$work/home/tree/deep/random"
	printf 'brown marker %s\n' 1 2 3 4 >"$work/home/tree/marker"
	for key in key-a key-b key-wrong; do
		head -c 32 /dev/urandom >"$work/home/$key"
		chmod 600 "$work/home/$key"
	done
	[ ${#as_user[@]} -eq 0 ] || chown -hR 65534:65534 "$work/home"
	# debugfs drops set-group-ID when it unpacks: that bit is looked at in the tar.
	chmod 0750 "$work/home/tree/deep/er"
}
make_tree
python3 - "$work/home/owners.tar" <<'PY'
import io, sys, tarfile
with tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT) as tar:
    def add(name, kind, mode, uid, gid, data=b"", **more):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.uid, info.gid, info.size = kind, mode, uid, gid, len(data)
        info.mtime = 981173106
        for key, value in more.items():
            setattr(info, key, value)
        tar.addfile(info, io.BytesIO(data))
    add("etc", tarfile.DIRTYPE, 0o755, 0, 0)
    add("etc/shadow", tarfile.REGTYPE, 0o640, 0, 42, b"root:*:1::::::\n", pax_headers={"SCHILY.xattr.user.colour": "blue"})
    add("bin", tarfile.DIRTYPE, 0o2755, 0, 0)
    add("bin/su", tarfile.REGTYPE, 0o4755, 0, 0, b"x" * 5000)
    add("bin/same", tarfile.LNKTYPE, 0o4755, 0, 0, linkname="bin/su")
    add("home", tarfile.DIRTYPE, 0o700, 100000, 100001)
    add("dev-null", tarfile.CHRTYPE, 0o666, 0, 0, devmajor=1, devminor=3)
    add("fifo", tarfile.FIFOTYPE, 0o620, 1000, 5)
    add("link", tarfile.SYMTYPE, 0o777, 1000, 1000, linkname="/etc/shadow")
PY
chmod 644 "$work/home/owners.tar"

# The files of a plain image, beside those of the tree.
same_files() { # DESCRIPTION IMAGE
	rm -rf "$work/dump" && mkdir "$work/dump"
	check "$1: e2fsck finds no fault" e2fsck -fn "$2"
	debugfs -R "rdump / $work/dump" "$2" >/dev/null 2>&1
	rmdir "$work/dump/lost+found"
	same "$1: the same files" '' "$(diff <(cd "$work/home/tree" && find . -printf '%p %y %m %l\n' | sort) \
		<(cd "$work/dump" && find . -printf '%p %y %m %l\n' | sort))"
	same "$1: the same contents" "$(cd "$work/home/tree" && find . -type f -print0 | sort -z | xargs -0 sha256sum)" \
		"$(cd "$work/dump" && find . -type f -print0 | sort -z | xargs -0 sha256sum)"
}

# A life

try user create data --size 64M --from "$work/home/tree"
ended 'create --from a folder' 0
same 'nothing of it is in the container' 0 "$(grep -c 'brown marker' "$state/volumes/data/container")"
same 'nor in any other file but the source' "$work/home/tree/marker" "$(grep -rl 'brown marker' "$work/home")"
try user list
like 'list' '^data .* ext4 ' "$out"
try user inspect data --json
ended 'inspect' 0
same 'inspect: what it is' 'data ext4 67108864 True' "$(member '*(d[k] for k in ("name", "filesystem", "size", "has_key")), sep=" "' 2>/dev/null ||
	member '" ".join(str(d[k]) for k in ("name", "filesystem", "size", "has_key"))')"
before=$(sha256sum <"$state/volumes/data/container")
try user check data
ended 'check' 0
try user check data --json
ended 'check --json' 0
check 'is JSON' member 'len(d)'
same 'check changes nothing' "$before" "$(sha256sum <"$state/volumes/data/container")"
try user export data "$work/home/out.raw"
ended 'export' 0
same 'for its owner alone' 600 "$(stat -c %a "$work/home/out.raw")"
same_files 'export' "$work/home/out.raw"
try user export data "$work/home/out.raw"
ended 'export over a file that is there' 1 'exists|there'
rm -f "$work/home/out.raw"
try user export data "$work/home/out.qcow2" --format qcow2
ended 'export --format qcow2' 0
if command -v qemu-img >/dev/null; then
	check 'export --format qcow2: qemu-img check' qemu-img check "$work/home/out.qcow2"
	qemu-img convert -O raw "$work/home/out.qcow2" "$work/out.raw"
	same_files 'export --format qcow2' "$work/out.raw"
fi
rm -f "$work/home/out.qcow2" "$work/out.raw"

try user key add data --new-key-file "$work/home/key-a"
ended 'key add' 0
try user check data --key-file "$work/home/key-a"
ended 'key add: it opens' 0
try user key change data --key-file "$work/home/key-a" --new-key-file "$work/home/key-b"
ended 'key change' 0
try user check data --key-file "$work/home/key-b"
ended 'key change: the new one opens' 0
try user check data --key-file "$work/home/key-a"
ended 'key change: the old one does not' 1
like 'check says so' '^key +BAD' "$out"
try user key change data --new-service
ended "key change of the key service's" 0
try user check data
ended 'which opens' 0
try user key remove data --key-file "$work/home/key-b"
ended 'key remove' 0
try user check data --key-file "$work/home/key-b"
ended 'key remove: it opens no more' 1

try user backup data "$work/home/header"
ended 'backup' 0
dd if=/dev/urandom of="$state/volumes/data/container" bs=64k count=16 conv=notrunc status=none
try user check data
ended 'a header that is gone' 1
like 'check says so' '^header +BAD' "$out"
try user restore data "$work/home/header"
ended 'restore' 0
try user check data
ended 'restore: whole again' 0

for size in 96M 1G 80M 64M; do
	try user resize data $size
	ended "resize to $size" 0
	try user inspect data --json
	same "resize to $size: so it is" "$(numfmt --from=iec $size)" "$(member 'd["size"]')"
	try user check data
	ended "resize to $size: check" 0
done
try user resize data 33M
ended 'resize to less than what is in it' 1 'small|least|fit|space|less'
try user check data
ended 'and nothing happened' 0
try user export data "$work/home/out.raw"
same_files 'resize' "$work/home/out.raw"
rm -f "$work/home/out.raw"

try user copy data twin
ended 'copy' 0
try user inspect data --json
one=$(member 'd["uuid"]')
try user inspect twin --json
check 'copy: another UUID' test "$one" != "$(member 'd["uuid"]')"
try user export twin "$work/home/out.raw"
ended 'copy: export' 0
same_files 'copy' "$work/home/out.raw"
rm -f "$work/home/out.raw"
check_not 'copy: another volume key' cmp -s -n 65536 -i 16777216 "$state/volumes/data/container" \
	"$state/volumes/twin/container"

try user export data "$work/home/sealed" --encrypted --new-key-file "$work/home/key-a"
ended 'export --encrypted' 0
if command -v cryptsetup >/dev/null; then
	check 'export --encrypted: cryptsetup opens it' cryptsetup open --test-passphrase --key-file "$work/home/key-a" \
		"$work/home/sealed"
fi
rm -f "$work/home/sealed"

try user create owned --size 64M --from "$work/home/owners.tar"
ended 'create --from a tar, with owners' 0
try user export owned "$work/home/out.raw"
ended 'exported' 0
inode() { # PATH
	debugfs -R "stat $1" "$work/home/out.raw" 2>/dev/null
}
check 'e2fsck finds no fault' e2fsck -fn "$work/home/out.raw"
like 'owner and mode of root' 'Mode:  0640' "$(inode /etc/shadow)"
like 'group of root' 'User:     0   Group:    42' "$(inode /etc/shadow)"
like 'extended attributes' 'user.colour' "$(inode /etc/shadow)"
like 'set-group-ID' 'Mode:  02755' "$(inode /bin)"
like 'set-user-ID' 'Mode:  04755' "$(inode /bin/su)"
like 'a hard link' 'Links: 2' "$(inode /bin/same)"
like 'large owners' 'User: 100000   Group: 100001' "$(inode /home)"
like 'a device' 'Type: character special' "$(inode /dev-null)"
like 'a FIFO' 'Type: FIFO' "$(inode /fifo)"
like 'a link' 'Fast link dest: "/etc/shadow"' "$(inode /link)"
rm -f "$work/home/out.raw"

# Open, as far as it goes here: NBD

try user open data --json
ended 'open, of itself in user space' 0
socket=$(member 'd["nbd"]')
if command -v nbdcopy >/dev/null; then
	try as nbdcopy "nbd+unix:///data?socket=$socket" "$work/home/out.raw"
	ended 'NBD: read' 0
	same_files 'NBD' "$work/home/out.raw"
	rm -f "$work/home/out.raw"
fi
try user open data --kernel
ended 'open --kernel says what is not there' 1 '.'
try user destroy twin
ended 'another volume is destroyed meanwhile' 0
try user close data
ended 'close' 0
check_not 'its folder is gone' test -e "$state/open/data"
check 'and its lock' flock --nonblock "$state/volumes/data/container" true

# With a wrong key

for command in 'open data' "export data $work/home/out.raw" 'resize data 96M' 'copy data twin' \
	"key add data --new-key-file $work/home/key-a" "key change data --new-key-file $work/home/key-a" \
	'key remove data'; do
	# shellcheck disable=SC2086
	try user $command --key-file "$work/home/key-wrong"
	ended "a wrong key: $command" 1 'key'
	same "a wrong key: $command: in one sentence" 1 "$(grep -c '^caisson' <<<"$err")"
done
check_not 'a wrong key: no file' test -e "$work/home/out.raw"
try user list
same 'a wrong key: no copy' 'data owned' "$(tail -n +2 "$work/out" | cut -d ' ' -f 1 | xargs)"
try user check data --key-file "$work/home/not-there"
ended 'a key file that is not there' 1 'not-there'
: >"$work/home/empty"
try user key add data --new-key-file "$work/home/empty"
ended 'a key file that is empty' 2 'empty'
try user check data --key-fd 77
ended 'a descriptor that is not open' 1 'descriptor|77'

# With a passphrase, at a terminal

terminal() { # STEP... -- ARGUMENT...
	local steps=()
	while [ "$1" != -- ]; do
		steps+=("$1")
		shift
	done
	shift
	as python3 "$source/tests/lib/terminal.py" "${steps[@]}" -- "$caisson" volume "$@"
}
try terminal 'expect=[Pp]assphrase' 'send=correct horse 1\n' 'expect=[Aa]gain|[Rr]epeat|[Cc]onfirm' 'send=correct horse 1\n' \
	-- create spoken --size 64M --passphrase
ended 'create --passphrase, at a terminal' 0
unlike 'which shows nothing of it' 'horse' "$out"
try terminal 'expect=[Pp]assphrase' 'send=correct horse 1\n' -- check spoken --passphrase
ended 'check with it' 0
try terminal 'expect=[Pp]assphrase' 'send=wrong\n' -- check spoken --passphrase
ended 'check with another' 1
try user check spoken --passphrase </dev/null
ended 'without a terminal, standard input is read' 2 'passphrase is empty'
if command -v cryptsetup >/dev/null; then
	printf 'correct horse 1' | cryptsetup open --test-passphrase --key-file - "$state/volumes/spoken/container"
	same 'cryptsetup opens it' 0 $?
	like 'under Argon2id' 'PBKDF: *argon2id' "$(cryptsetup luksDump "$state/volumes/spoken/container")"
fi

# While it waits for a passphrase: what cannot be dumped is root's in /proc.
undumped() { # PID
	for _ in $(seq 200); do
		[[ $(cat "/proc/$1/comm" 2>/dev/null) == caisson-comm* ]] &&
			[ "$(stat -c %u "/proc/$1/environ" 2>/dev/null)" = 0 ] && return 0
		read -r -t 0.05 <> <(:)
	done
	return 1
}
if grep -qs __asan_init "$build/caisson-commands"; then
	skip 'not with a sanitizer' 'nothing of it is ever in a core dump'
else
	mkfifo "$work/silent"
	exec 9<>"$work/silent"
	"${as_user[@]}" env -u CAISSON_STATE -u CAISSON_CONFIG HOME="$work/home" "$caisson" volume create \
		silent --size 32M --passphrase <"$work/silent" >/dev/null 2>&1 &
	check 'nothing of it is ever in a core dump' undumped $!
	kill -KILL $!
	wait $! 2>/dev/null
	exec 9>&-
fi

# The end

cp --sparse=always "$state/volumes/data/container" "$work/home/kept"
try user destroy data owned spoken
ended 'destroy' 0
try user destroy data
ended 'destroy of what is gone' 0
same 'nothing is left' '' "$(ls -A "$state/volumes")"
mkdir -p "$state/volumes/data"
cp --sparse=always "$work/home/kept" "$state/volumes/data/container"
chmod -R go= "$state/volumes/data"
[ ${#as_user[@]} -eq 0 ] || chown -R 65534:65534 "$state/volumes/data"
try user export data "$work/home/out.raw"
ended 'a copy that was kept is not opened any more' 1 'key'
same 'no plain text was left in the home' "$work/home/tree/marker" "$(grep -rl 'brown marker' "$work/home")"

tap_end
