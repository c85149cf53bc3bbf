#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The volume plug-in over its socket, with the requests that Docker sends, and by Podman.
# shellcheck disable=SC2317 # check calls functions by name
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_private_mounts "$0" "$@"
tap_begin "$1"

socket=$work/caisson.sock
service=''
anonymous=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
anonymous_here=anon-aerukz4jvpg66ajdivtytk6n54asgrlhrgv433ybencwpcnlzxxq

start() { # OPTION...
	local said
	rm -f "$work/said"
	mkfifo "$work/said"
	exec {said}<>"$work/said"
	"$caisson" volume serve --socket "$socket" "$@" 2>"$work/said" &
	service=$!
	wait_line "$said" 'listening at'
}

stop() { # SIGNAL
	kill "-$1" "$service" && wait_gone "$service" 60
}

# As Docker's client for plug-ins does it: $http, $out.
call() { # CALL [BODY]
	http=$(curl --silent --show-error --max-time 60 --unix-socket "$socket" --request POST \
		--header 'Accept: application/vnd.docker.plugins.v1.2+json' \
		--header 'Content-Type: application/vnd.docker.plugins.v1.2+json' --data-raw "${2-}" \
		--output "$work/out" --write-out '%{http_code}' "http://plugin/$1" 2>"$work/err")
	out=$(cat "$work/out" "$work/err")
}

good() { # DESCRIPTION CALL [BODY]
	call "${@:2}"
	if [ "$http" = 200 ]; then
		like "$1" '"Err":""' "$out"
	else
		point no "$1"
		diag "$http: $out"
	fi
}

bad() { # DESCRIPTION STATUS PATTERN CALL [BODY]
	call "${@:4}"
	same "$1" "$2" "$http"
	like "$1: says why" "\"Err\":\"[^\"]*$3" "$out"
}

# A field of the answer.
field() { # PYTHON-EXPRESSION-OF-d
	python3 -c "import json, sys; d = json.load(open(sys.argv[1])); print($1)" "$work/out"
}

# How it is started

expect 'an option that is none' 2 'unknown option' volume serve --port 80
expect 'a timeout without systemd' 2 'systemd' volume serve --socket "$socket" --idle-timeout 5
expect 'a size that is none' 2 'is not a size' volume serve --socket "$socket" --default-size 1.5
expect 'a group that is none' 2 "no group 'nobodies'" volume serve --socket "$socket" --group nobodies
expect 'a path that is too long' 1 'at most 107 characters' volume serve \
	--socket "$work/$(printf 'x%.0s' {1..120})"
: >"$work/file"
expect 'a file in the way' 1 'not a socket' volume serve --socket "$work/file"

check 'it starts' start --default-size 48M
same 'its socket is for root and a group' 'srw-rw----' "$(stat -c %A "$socket")"
expect 'another one at the same socket' 1 'listens at' volume serve --socket "$socket"
if is_root; then
	chmod 755 "$work"
	check_not 'another user is not let in' setpriv --reuid 65534 --regid 65534 --clear-groups \
		curl --silent --unix-socket "$socket" --request POST http://plugin/Plugin.Activate
fi

# The handshake

call Plugin.Activate
same 'it is a volume plug-in' "['VolumeDriver']" "$(field 'd["Implements"]')"
call VolumeDriver.Capabilities
same 'its volumes are of this host' local "$(field 'd["Capabilities"]["Scope"]')"
call VolumeDriver.List
same 'there are no volumes' '[]' "$(field 'd["Volumes"]')"
bad 'a call that there is none of' 404 'no call' VolumeDriver.Rename '{}'
bad 'no JSON' 400 'not JSON' VolumeDriver.Get '{'
same 'GET' 405 "$(curl --silent --output /dev/null --write-out '%{http_code}' --unix-socket "$socket" \
	http://plugin/Plugin.Activate)"

# Create, Get, List

good 'create' VolumeDriver.Create '{"Name":"data","Opts":{"size":"64M"}}'
good 'the same again' VolumeDriver.Create '{"Name":"data","Opts":{"size":"64M"}}'
good 'without options' VolumeDriver.Create '{"Name":"data","Opts":null}'
bad 'with others' 500 'its size is not' VolumeDriver.Create '{"Name":"data","Opts":{"size":"65M"}}'
bad 'an unknown option' 500 "no option 'siz'" VolumeDriver.Create '{"Name":"x","Opts":{"siz":"65M"}}'
bad 'a name that is none' 500 'cannot be the name' VolumeDriver.Create '{"Name":"Data"}'
bad 'a name that climbs' 500 'cannot be the name' VolumeDriver.Create '{"Name":"../../data"}'
bad 'too small' 500 'at least 32 MiB' VolumeDriver.Create '{"Name":"x","Opts":{"size":"1M"}}'
good 'an anonymous one' VolumeDriver.Create "{\"Name\":\"$anonymous\",\"Opts\":{}}"
try "$caisson" volume list --json
same 'they are volumes as any others' "$anonymous_here 50331648 data 67108864" \
	"$(field '" ".join("%s %d" % (v["name"], v["size"]) for v in d)')"
call VolumeDriver.List
same 'and go by the names that were given' "$anonymous data" \
	"$(field '" ".join(sorted(v["Name"] for v in d["Volumes"]))')"
good 'get' VolumeDriver.Get '{"Name":"data"}'
same 'tells its size' 67108864 "$(field 'd["Volume"]["Status"]["size"]')"
same 'and its filesystem' ext4 "$(field 'd["Volume"]["Status"]["filesystem"]')"
same 'it is mounted nowhere' '' "$(field 'd["Volume"]["Mountpoint"]')"
bad 'get of none' 500 'there is no volume none' VolumeDriver.Get '{"Name":"none"}'
good 'remove of the anonymous one' VolumeDriver.Remove "{\"Name\":\"$anonymous\"}"
good 'and again' VolumeDriver.Remove "{\"Name\":\"$anonymous\"}"
expect 'it is gone' 1 'no volume' volume inspect "$anonymous_here"
try "$caisson" volume create mine --size 40M
good 'one that the command line made is adopted' VolumeDriver.Create '{"Name":"mine"}'
bad 'but not as what it may not be' 500 'not made with from' VolumeDriver.Create \
	'{"Name":"mine","Opts":{"from":"/srv"}}'
good 'and removed' VolumeDriver.Remove '{"Name":"mine"}'

# Mount, Unmount

mounted() {
	grep -q " $1 " /proc/self/mounts
}

test_mounts() {
	local mount_point pid first second
	good 'mount' VolumeDriver.Mount '{"Name":"data","ID":"1111"}'
	mount_point=$(field 'd["Mountpoint"]')
	check "it is mounted where it says" mounted "${mount_point:-nowhere}"
	mounted "${mount_point:-nowhere}" || return
	echo 'the lighthouse keeper knows' >"$mount_point/note"
	good 'for another container' VolumeDriver.Mount '{"Name":"data","ID":"2222"}'
	same 'at the same place' "$mount_point" "$(field 'd["Mountpoint"]')"
	good 'path' VolumeDriver.Path '{"Name":"data"}'
	same 'tells it, too' "$mount_point" "$(field 'd["Mountpoint"]')"
	good 'get' VolumeDriver.Get '{"Name":"data"}'
	same 'tells how many use it' 2 "$(field 'd["Volume"]["Status"]["users"]')"
	like 'and the way' '^(kernel|userspace)$' "$(field 'd["Volume"]["Status"]["way"]')"
	bad 'it is not removed now' 500 'in use by 2 mounts' VolumeDriver.Remove '{"Name":"data"}'
	good 'docker cp comes with the ID of the container' VolumeDriver.Mount \
		'{"Name":"data","ID":"1111"}'
	good 'and goes' VolumeDriver.Unmount '{"Name":"data","ID":"1111"}'
	good 'the other one goes' VolumeDriver.Unmount '{"Name":"data","ID":"2222"}'
	check 'the container still has it' mounted "$mount_point"

	check 'the service ends' stop TERM
	check_not 'its socket with it' test -e "$socket"
	check 'the volume does not' grep -q lighthouse "$mount_point/note"
	check 'another one starts' start
	bad 'it knows who uses the volume' 500 'in use by 1 mount, of 1111' VolumeDriver.Remove \
		'{"Name":"data"}'
	check 'it is killed' stop KILL
	check 'and another one starts' start
	good 'the last one goes' VolumeDriver.Unmount '{"Name":"data","ID":"1111"}'
	check_not 'it is mounted no more' mounted "$mount_point"
	good 'once more' VolumeDriver.Unmount '{"Name":"data","ID":"1111"}'
	try "$caisson" volume inspect data --json
	same 'and free' False "$(field 'd["in_use"]')"

	# Two at once
	call_in_background 1
	first=$!
	call_in_background 2
	second=$!
	check 'two mount it at once: the first' wait "$first"
	check 'and the second' wait "$second"
	good 'get' VolumeDriver.Get '{"Name":"data"}'
	same 'both use it' 2 "$(field 'd["Volume"]["Status"]["users"]')"
	check 'what was written is there' grep -q lighthouse "$mount_point/note"

	# By hand in between
	try "$caisson" volume unmount data
	ended 'somebody unmounts it by hand' 0
	good 'get' VolumeDriver.Get '{"Name":"data"}'
	same 'nobody uses it then' 0 "$(field 'd["Volume"]["Status"]["users"]')"
	try "$caisson" volume mount data
	ended 'and mounts it by hand' 0
	bad 'it is not removed under them' 500 'caisson volume unmount data' VolumeDriver.Remove \
		'{"Name":"data"}'
	good 'a container comes' VolumeDriver.Mount '{"Name":"data","ID":"3333"}'
	good 'and goes' VolumeDriver.Unmount '{"Name":"data","ID":"3333"}'
	check 'what was mounted by hand stays so' mounted "$mount_point"
	# Somebody has a file open in it.
	try "$caisson" volume unmount data
	good 'a container comes' VolumeDriver.Mount '{"Name":"data","ID":"4444"}'
	exec {pid}<"$mount_point/note"
	bad 'it goes while a file is open' 500 '' VolumeDriver.Unmount '{"Name":"data","ID":"4444"}'
	bad 'it is not removed under the file' 500 '' VolumeDriver.Remove '{"Name":"data"}'
	exec {pid}<&-
}

call_in_background() { # ID
	curl --silent --fail --max-time 60 --output /dev/null --unix-socket "$socket" --request POST \
		--data-raw "{\"Name\":\"data\",\"ID\":\"$1\"}" http://plugin/VolumeDriver.Mount &
}

if ! "$caisson" volume mount --help >/dev/null 2>&1; then
	skip 'this caisson mounts nothing' 'mounts'
elif ! is_root || ! may_mount; then
	skip 'only root may mount' 'mounts'
else
	test_mounts
fi
good 'remove' VolumeDriver.Remove '{"Name":"data"}'
expect 'it is gone' 1 'no volume' volume inspect data
same 'and so is what was known of it' lock "$(ls "$CAISSON_STATE/plugin")"

# Podman

podman_with() { # ARGUMENT...
	CONTAINERS_CONF=$work/containers.conf podman --root "$work/podman" --runroot "$work/podman-run" \
		--storage-driver vfs --cgroup-manager cgroupfs "$@"
}

test_podman() {
	printf '%s\n' '[engine]' 'volume_plugin_timeout = 60' '[engine.volume_plugins]' \
		"caisson = \"$socket\"" >"$work/containers.conf"
	try podman_with volume create --driver caisson --opt size=64M data
	ended 'podman volume create' 0
	check 'makes a volume' "$caisson" volume inspect data
	try podman_with volume ls
	like 'podman volume ls' 'caisson +data' "$out"
	try podman_with volume inspect data --format '{{.Driver}} {{.Status.filesystem}}'
	same 'podman volume inspect' 'caisson ext4' "$out"
	try podman_with volume create --driver caisson --opt siz=64M other
	ended 'podman tells what caisson says' 125 "no option 'siz'"
	if ! "$caisson" volume mount --help >/dev/null 2>&1 || ! may_mount; then
		skip 'nothing can be mounted' 'a container uses it'
	else
		test_podman_mount
		test_podman_run
	fi
	try podman_with volume rm data
	ended 'podman volume rm' 0
	expect 'destroys it' 1 'no volume' volume inspect data
}

test_podman_mount() {
	local mount_point
	try podman_with volume mount data
	ended 'podman volume mount' 0
	# Podman 4.3 does not tell where.
	call VolumeDriver.Path '{"Name":"data"}'
	mount_point=$(field 'd["Mountpoint"]')
	check 'mounts it' mounted "${mount_point:-nowhere}"
	bad 'it is in use' 500 'in use by 1 mount' VolumeDriver.Remove '{"Name":"data"}'
	try podman_with volume unmount data
	ended 'podman volume unmount' 0
	check_not 'unmounts it' mounted "${mount_point:-nowhere}"
}

test_podman_run() {
	local run=(run --rm --network none --cgroups disabled --rootfs)
	# shellcheck source=tests/lib/rootfs.sh
	. "$source/tests/lib/rootfs.sh"
	mkdir -p "$work/rootfs"
	rootfs_busybox "$work/rootfs"
	try podman_with "${run[@]}" "$work/rootfs" true
	if [ "$status" -ne 0 ]; then
		skip "podman runs no container here: $(tail -n 1 <<<"$err")" 'a container uses it'
		return
	fi
	try podman_with run --rm --network none --cgroups disabled -v data:/data \
		--rootfs "$work/rootfs" sh -c 'echo lighthouse >/data/note'
	ended 'a container writes' 0
	try podman_with run --rm --network none --cgroups disabled -v data:/data \
		--rootfs "$work/rootfs" cat /data/note
	ended 'another one reads' 0
	same 'what the first one wrote' lighthouse "$out"
	try "$caisson" volume inspect data --json
	same 'nobody has it open then' False "$(field 'd["in_use"]')"
}

if ! command -v podman >/dev/null; then
	skip 'podman is not installed' 'podman'
elif ! is_root; then
	skip 'podman without root knows no volume plug-ins' 'podman'
else
	test_podman
fi
check 'the service ends' stop TERM

# As systemd starts it

if command -v systemd-socket-activate >/dev/null; then
	systemd-socket-activate --listen="$socket" "$caisson" volume serve --idle-timeout 1 \
		2>"$work/activated" &
	activated=$!
	for _ in {1..100}; do
		[ ! -S "$socket" ] || break
		sleep 0.05
	done
	good 'systemd hands over a socket' VolumeDriver.List
	check 'it ends when nobody asks' wait_gone "$activated" 30
	check 'and well' wait "$activated"
	check "systemd's socket is left" test -S "$socket"
else
	skip 'systemd-socket-activate is not installed' 'systemd hands over a socket'
fi

tap_end
