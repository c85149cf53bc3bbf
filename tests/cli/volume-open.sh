#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Volumes open on this host, in user space: as a socket, as a file, mounted; twice, busy, killed.
# shellcheck disable=SC2317 # functions are called by name
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_private_mounts "$0" "$@"
may_mount || tap_skip_all 'needs root, to mount'
[ -c /dev/fuse ] || tap_skip_all 'needs /dev/fuse'
[ -c /dev/loop-control ] || tap_skip_all 'needs loop devices'
tap_begin "$1"
PATH=$PATH:/sbin:/usr/sbin

# Nothing that a point left open outlives the script: servers are no children of it.
trap 'close_all; tap_clean' EXIT
close_all() {
	exec 7<&- 8<&-
	local folder
	for folder in "$CAISSON_STATE"/volumes/*; do
		"$caisson" volume destroy "$(basename "$folder")" >/dev/null 2>&1
	done
}

field() { # PYTHON-EXPRESSION-OF-d
	python3 -c "import json, sys; d = json.load(open(sys.argv[1])); print($1)" "$work/out"
}

volume() { # SUBCOMMAND...
	"$caisson" volume "$@"
}

container_of() { # VOLUME
	echo "$CAISSON_STATE/volumes/$1/container"
}

server_of() { # VOLUME
	sed -n 's/^this host (process \([0-9]*\) serves it).*/\1/p' "$CAISSON_STATE/volumes/$1/holder"
}

kill_server() { # VOLUME
	local pid
	pid=$(server_of "$1")
	kill -KILL "$pid" && wait_gone "$pid" 20
}

mounted() { # FOLDER
	grep -q " $1 " /proc/self/mounts
}

# Sockets, mounts, loop devices, staged files: of none of them anything is there.
nothing_open() { # DESCRIPTION
	same "$1" '' "$(
		ls -A "$CAISSON_STATE/open"
		grep -o " $CAISSON_STATE/[^ ]*" /proc/self/mounts
		losetup -l -n -O BACK-FILE | grep -F "$CAISSON_STATE"
		find "$CAISSON_STATE" -name '.new-*'
	)"
}

# Tried for a moment: what is let go of late.
soon() { # COMMAND...
	for _ in $(seq 100); do
		"$@" >/dev/null 2>&1 && return 0
		read -r -t 0.05 <> <(:)
	done
	"$@"
}

mkdir "$work/tree"
printf 'hello\n' >"$work/tree/hello"
mke2fs -q -t ext4 -d "$work/tree" "$work/ext4.img" 40M >/dev/null
volume create data --from "$work/ext4.img" >/dev/null

# open and close

try volume open data --userspace
ended 'open' 0 'in user space'
file=$out
same 'prints the file' "$CAISSON_STATE/open/data/file/volume" "$file"
check 'which is the plain filesystem' e2fsck -fn "$file"
same 'with what is in it' hello "$(debugfs -R 'cat hello' "$file" 2>/dev/null)"
same 'for its owner alone' '700 600' \
	"$(stat -c %a "$CAISSON_STATE/open/data" "$CAISSON_STATE/open/data/nbd.sock" | xargs)"
same 'whose process has no right' nobody "$(ps -o user= -p "$(server_of data)" | xargs)"
check_not 'and no key in its arguments' grep -q -E '[0-9a-f]{64}' "/proc/$(server_of data)/cmdline"
try volume open data --json
ended 'again' 0
same 'is no failure' 'True userspace' "$(field 'str(d["was_open"]) + " " + d["way"]')"
socket=$(field 'd["nbd"]')
try volume inspect data --json
same 'inspect --json says how' "userspace $socket $file True" \
	"$(field '" ".join((d["open"], d["nbd"], d["file"], str(d["in_use"])))')"
try volume list
like 'list says who has it' '^data .*in use +this host \(process [0-9]+ serves it\)' "$out"
if command -v qemu-img >/dev/null; then
	check 'an NBD client sees the same' qemu-img compare -q -f raw -F raw \
		"nbd+unix:///data?socket=$socket" "$file"
fi
expect 'otherwise open' 1 'open in user space already' volume open data --read-only
for command in 'copy data twin' 'key change data --new-service' "export data $work/x" \
	"backup data $work/header" 'resize data 50M'; do
	# shellcheck disable=SC2086 # words
	try "$caisson" volume $command
	ended "not meanwhile: $command" 1 'in use by this host|is open, and can only grow'
done
try volume check data
ended 'check looks at what it can' 0
like 'which is all but the filesystem' 'filesystem +not checked' "$out"
expect 'close' 0 '' volume close data
nothing_open 'leaves nothing'
expect 'again' 0 '' volume close data
expect 'of nothing' 1 'no volume' volume close none
expect 'open of nothing' 1 'no volume' volume open none
expect '--kernel and --userspace' 2 'one of them' volume open data --kernel --userspace
if [ ! -e /dev/mapper/control ]; then
	expect '--kernel without device-mapper' 1 'device-mapper' volume open data --kernel
	nothing_open 'leaves nothing'
	expect 'and it is free' 0 '' volume check data
fi
try volume open data --userspace --passphrase <<<'wrong'
ended 'another key' 1 'does not open'
nothing_open 'leaves nothing'

# For reading alone

before=$(sha256sum <"$(container_of data)")
expect 'open --read-only' 0 '' volume open data --userspace --read-only
# shellcheck disable=SC2016 # for the other shell
check_not 'nothing can be written' sh -c 'printf x | dd of="$1" conv=notrunc 2>/dev/null' - "$file"
expect 'mount of it' 0 '' volume mount data --read-only
point="$CAISSON_STATE/mounts/data"
check_not 'is read-only, too' touch "$point/new"
same 'and has what is in it' hello "$(cat "$point/hello")"
expect 'close of what is mounted' 1 'is mounted on' volume close data
expect 'unmount' 0 '' volume unmount data
nothing_open 'leaves nothing'
same 'and not a byte was changed' "$before" "$(sha256sum <"$(container_of data)")"

# mount and unmount

try volume mount data
ended 'mount' 0
same 'prints where' "$point" "$out"
check 'it is' mounted "$point"
like 'without devices and set-user-ID programs' 'nosuid.*nodev' "$(grep " $point " /proc/self/mounts)"
head -c 5000000 /dev/urandom >"$work/noise"
cp "$work/noise" "$point/noise"
expect 'twice' 0 'open already' volume mount data
same 'is once' 1 "$(grep -c " $point " /proc/self/mounts)"
expect 'elsewhere, too' 1 'mounted on .* already' volume mount data --target "$work/elsewhere"
check_not 'leaves no folder there' test -e "$work/elsewhere"
expect 'at the same place, by its name' 0 '' volume mount data --target "$point/../data"
exec 7<"$point/noise"
expect 'unmount while a file is open' 1 'files are open' volume unmount data
check 'it is mounted still' mounted "$point"
same 'and can be used' hello "$(cat "$point/hello")"
expect 'unmount --lazy' 0 '' volume unmount data --lazy
check_not 'is out of sight' mounted "$point"
cmp -s "$work/noise" - <&7
same 'whoever has the file reads on' 0 $?
exec 7<&-
check 'and it is free when that ends' soon volume export data "$work/plain"
check 'with what was written' cmp -s "$work/noise" \
	<(debugfs -R 'dump noise /dev/stdout' "$work/plain" 2>/dev/null)
rm "$work/plain"
check 'its filesystem is whole' volume check data
nothing_open 'nothing is left'
expect 'unmount of what is not mounted' 0 '' volume unmount data
expect 'somewhere else, with a space' 0 '' volume mount data --target "$work/some where"
same 'is there' hello "$(cat "$work/some where/hello")"
expect 'unmount finds it' 0 '' volume unmount data
check_not 'wherever it is' mounted "$work/some\\\\040where"
printf x >"$work/file"
expect 'on a file' 1 '' volume mount data --target "$work/file"
nothing_open 'is as it was before'
expect 'with options' 0 '' volume mount data -o noexec,noatime
like 'they are taken' 'noexec.*noatime' "$(grep " $point " /proc/self/mounts)"
volume unmount data
expect 'with options that are none' 1 '' volume mount data -o no-such-option
nothing_open 'is as it was before'
volume create raw --size 32M --filesystem none >/dev/null
expect 'what has no filesystem' 1 '' volume mount raw
mkdir "$work/point"
expect 'nor where somebody has made a folder' 1 '' volume mount raw --target "$work/point"
check 'which stays' test -d "$work/point"
expect 'nor where there was none' 1 '' volume mount raw --target "$work/point/made"
check_not 'nor is one left' test -e "$work/point/made"
nothing_open 'is as it was before'
expect 'but opens' 0 '' volume open raw
expect 'and closes' 0 '' volume close raw

# An NBD client

volume open data --userspace >/dev/null 2>&1
python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.recv(18)
print("connected", flush=True)
sys.stdin.read()' "$socket" < <(exec sleep 60 2>/dev/null) >"$work/client" &
client=$!
soon grep -q connected "$work/client"
expect 'close with a client' 1 'NBD client' volume close data
check 'it is open as it was' cmp -s -n 1000 "$file" "$file"
kill "$client"
wait "$client" 2>/dev/null
check 'and closes when that has gone' soon volume close data
nothing_open 'nothing is left'

# Sizes

volume mount data >/dev/null 2>&1
was=$(stat -f -c %b "$point")
if capsh --has-p=cap_sys_resource 2>/dev/null; then
	expect 'grow while it is mounted' 0 '' volume resize data 200M
	check 'the filesystem grew' test "$(stat -f -c %b "$point")" -gt $((was * 3))
else
	try volume resize data 200M
	ended 'grow while it is mounted, without the right to' 1 'resize2fs'
	volume unmount data
	expect 'goes on when it is closed' 0 '' volume resize data 200M
	volume mount data >/dev/null 2>&1
	check 'the filesystem grew' test "$(stat -f -c %b "$point")" -gt $((was * 3))
fi
head -c 20000000 /dev/zero | tr '\0' 'z' >"$point/large"
expect 'but it does not shrink' 1 'can only grow' volume resize data 100M
expect 'unmount' 0 '' volume unmount data
check 'it is whole' volume check data
expect 'free, it shrinks' 0 '' volume resize data 150M
check 'it is whole' volume check data

# Killed: the server

volume mount data >/dev/null 2>&1
sync -f "$point/hello"
kill_server data
try volume inspect data --json
same 'a server that was killed has it no more' False "$(field 'd["in_use"]')"
try timeout 60 "$caisson" volume unmount data
check 'unmount ends' test "$status" -ne 124
expect 'mount' 0 '' volume mount data
same 'and all is there' hello "$(cat "$point/hello")"
expect 'unmount' 0 '' volume unmount data
nothing_open 'nothing is left of the dead one'
check 'it is whole' volume check data
volume open data --userspace >/dev/null 2>&1
kill_server data
expect 'close of a dead one' 0 '' volume close data
nothing_open 'leaves nothing'
volume open data --userspace >/dev/null 2>&1
kill_server data
expect 'open after a dead one' 0 '' volume open data --userspace
volume close data
volume mount data >/dev/null 2>&1
kill_server data
expect 'destroy after a dead one' 0 '' volume destroy data
nothing_open 'leaves nothing'

# Killed: the command

volume create data --from "$work/ext4.img" >/dev/null
for moment in 5 15 30 45 60 80 100 130 170; do
	for command in open mount; do
		{
			timeout --signal=KILL "$(printf '0.%03d' "$moment")" "$caisson" volume \
				"$command" data &
			wait $!
		} >/dev/null 2>&1
		soon volume mount data
		same "$command, killed after $moment ms: then it is mounted" hello \
			"$(cat "$point/hello" 2>&1)"
		{
			timeout --signal=KILL "$(printf '0.%03d' "$moment")" "$caisson" volume \
				unmount data &
			wait $!
		} >/dev/null 2>&1
		soon volume unmount data || diag "$(volume unmount data 2>&1)"
		soon volume close data
	done
done
nothing_open 'nothing is left of them'
check 'it is whole' volume check data

# Several at once

for i in 1 2 3 4 5; do
	"$caisson" volume mount data >"$work/at-once-$i" 2>"$work/at-once-$i.err" &
	pids[i]=$!
done
failed=0
for i in 1 2 3 4 5; do
	wait "${pids[i]}" || failed=$((failed + 1))
done
same 'five mounts at once' 0 "$failed"
[ "$failed" = 0 ] || diag "$(cat "$work"/at-once-*.err)"
same 'are one' 1 "$(grep -c " $point " /proc/self/mounts)"
for i in 1 2 3; do
	"$caisson" volume unmount data >/dev/null 2>"$work/at-once-$i.err" &
	pids[i]=$!
done
failed=0
for i in 1 2 3; do
	wait "${pids[i]}" || failed=$((failed + 1))
done
same 'three unmounts at once' 0 "$failed"
[ "$failed" = 0 ] || diag "$(cat "$work"/at-once-*.err)"
nothing_open 'leave nothing'

# Destroyed while it is in use

volume mount data >/dev/null 2>&1
exec 8<"$point/hello"
cp --sparse=always "$(container_of data)" "$work/copy"
expect 'destroy while a file is open' 0 'unmounted, closed, key forgotten, header overwritten' \
	volume destroy data
check_not 'it is out of sight' mounted "$point"
check_not 'and gone' test -e "$CAISSON_STATE/volumes/data"
exec 8<&-
# shellcheck disable=SC2016 # for the other shell
soon sh -c '! grep -q "$1" /proc/self/mounts' - "$CAISSON_STATE/open"
# shellcheck disable=SC2016
check 'no server is left' soon sh -c '! pgrep -f "caisson-attac[h].*$1"' - "$work"
volume destroy raw >/dev/null 2>&1
nothing_open 'nothing is left'

tap_end
