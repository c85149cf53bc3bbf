#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# caisson run: streams, exit status, and what the workload finds around it.
# shellcheck disable=SC2016 # what is quoted, the guest expands
set -u
# shellcheck source=tests/lib/vm.sh
. "$(dirname "$0")/../lib/vm.sh"
vm_begin "$1"

# The guest's side of a string of checks: "NAME=VALUE" lines on its standard output.
value() { # NAME
	sed -n "s/^$1=//p" "$work/out" | tr -d '\r'
}

export CAISSON_TEST_PASSED='from outside' CAISSON_TEST_OTHER=unseen
try vm --name around --env GIVEN='a b=c' --env CAISSON_TEST_PASSED --env CAISSON_TEST_NONE \
	--workdir /made/here --volume warm-not:/x --help
ended '--help starts no machine' 0
try vm_sh --name around --env GIVEN='a b=c' --env CAISSON_TEST_PASSED --env CAISSON_TEST_NONE \
	--workdir /made/here --network none '
	echo "given=$GIVEN"
	echo "passed=$CAISSON_TEST_PASSED"
	echo "none=${CAISSON_TEST_NONE-unset}"
	echo "other=${CAISSON_TEST_OTHER-unset}"
	echo "path=$PATH"
	echo "home=$HOME"
	echo "pwd=$(pwd)"
	echo "hostname=$(hostname)"
	echo "etc=$(cat /etc/hostname)"
	echo "hosts=$(grep -c around /etc/hosts)"
	echo "id=$(id -u):$(id -g)"
	echo "input=$(readlink /proc/self/fd/0)"
	echo "bytes=$(wc -c)"
	echo "interfaces=$(ls /sys/class/net | xargs)"
	echo "shm=$(stat -c %a /dev/shm)"
	echo "null=$(echo x >/dev/null && echo works)"
	echo "urandom=$(head -c 4 /dev/urandom | wc -c)"
	echo "umask=$(umask)"
	echo "descriptors=$(ls /proc/self/fd | wc -l)"
	echo "written=$(echo x >/new && cat /new)"
	echo "cpus=$(nproc)"
	echo "session=$(cut -d " " -f 6 /proc/$$/stat | grep -cx $$)"
	echo "secret=$(find / -xdev -name guest.json 2>/dev/null | wc -l)"
	echo "cmdline=$(grep -c secret /proc/cmdline)"
	mkfifo /held
	for i in 1 2 3; do (sh -c "sleep 0.1 & sleep 0 & exit 0" >/held &); done
	cat /held
	tries=0
	while grep -qE "^State:.*Z" /proc/[0-9]*/status 2>/dev/null && [ $tries -lt 100 ]; do
		tries=$((tries + 1))
	done
	echo "zombies=$(grep -lE "^State:.*Z" /proc/[0-9]*/status 2>/dev/null | wc -l)"
	sleep 1000 & (setsid sleep 1001 &)
	echo problem >&2
	exit 7'
ended 'the exit status is the workload'"'"'s' 7
same 'standard error is its own, and nothing else is on it' problem "$err"
same '--env NAME=VALUE' 'a b=c' "$(value given)"
same '--env NAME passes' 'from outside' "$(value passed)"
same 'what there is' unset "$(value none)"
same 'and nothing else' unset "$(value other)"
like 'PATH has a default' '/usr/bin:.*/bin' "$(value path)"
same 'HOME is of the account' /root "$(value home)"
same 'the working directory is made when it is missing' /made/here "$(value pwd)"
same 'the host name is the machine'"'"'s' around "$(value hostname)"
same 'in /etc/hostname too' around "$(value etc)"
same 'and in /etc/hosts' 1 "$(value hosts)"
same 'root by default' 0:0 "$(value id)"
same 'without -i, standard input is /dev/null' '/dev/null' "$(value input)"
same 'which is empty' 0 "$(value bytes)"
same '--network none leaves the loopback' lo "$(value interfaces)"
same '/dev/shm is for all' 1777 "$(value shm)"
same '/dev/null works' works "$(value null)"
same '/dev/urandom works' 4 "$(value urandom)"
same 'umask' 0022 "$(value umask)"
same 'no descriptor but its own' 4 "$(value descriptors)"
same 'the root can be written' x "$(value written)"
same 'one processor' 1 "$(value cpus)"
same 'the workload leads a session' 1 "$(value session)"
same 'the file with the secret is gone' 0 "$(value secret)"
same 'nor is there one on the command line' 0 "$(value cmdline)"
same 'orphans are reaped' 0 "$(value zombies)"
same 'processes in the background did not hold it up' problem "$err"
folder=$CAISSON_STATE/machines/around
check 'the console log is kept' test -s "$folder/console.log"
same 'its end is recorded' 7 \
	"$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["status"])' \
		"$folder/end.json")"
same 'files of the machine are for their owner alone' 0 \
	"$(find "$folder" -type f ! -perm 0600 | wc -l)"

try vm_sh --name around --rm --console 'exit 255'
ended 'an ended machine gives its name on; status 255' 255
like '--console shows the kernel' 'Linux version' "$err"
check_not '--rm leaves no folder' test -e "$folder"

try vm_sh --rm 'kill -KILL $$'
ended 'killed by a signal: 128 and its number' 137
try vm --rm "$busybox" -- /no/such/program
ended 'a command that is not there: 127' 127 "run '/no/such/program' in the image"
same 'with a hint' 1 "$(grep -c '^  hint: ' <<<"$err")"
try vm --rm "$busybox" no-such-name
ended 'by its name alone, too' 127 "run 'no-such-name' in the image"
try vm --rm "$busybox" /etc/passwd
ended 'a command that cannot be run: 126' 126 "run '/etc/passwd' in the image: Permission denied"
try vm --rm --entrypoint /bin/echo "$busybox" one 'two  three'
ended '--entrypoint' 0
same 'gets the arguments as they are' 'one two  three' "$out"
try vm --rm "$busybox" sh -c 'echo behind the image; exit 3'
ended 'options of the command are the command'"'"'s' 3
same 'all of them' 'behind the image' "$out"

# Users

try vm_sh --rm --user app 'id; echo $HOME; touch /root/x 2>/dev/null || echo refused'
ended '--user by name' 0
like 'has its groups' '^uid=1000\(app\) gid=1000\(app\) groups=1000\(app\),2000\(extra\)' "$out"
like 'its home' '^/home/app$' "$out"
like 'and no rights of root' '^refused$' "$out"
try vm_sh --rm --user 1234:extra 'id -u; id -g; grep -E "^Cap(Eff|Prm)" /proc/self/status'
same '--user by number, group by name' '1234 2000' "$(head -n 2 "$work/out" | xargs)"
same 'without capabilities' 2 "$(grep -c '0000000000000000$' "$work/out")"
try vm_sh --rm --user nobody-there true
ended 'a user that the image lacks' 125 "no user 'nobody-there'"

# Much of it

vm_sh --rm 'dd if=/dev/urandom of=/tmp/x bs=64k count=320 2>/dev/null
	sha256sum </tmp/x | cut -c 1-64 >&2; cat /tmp/x' 2>"$work/sum" | sha256sum >"$work/got"
same '20 MB through a pipe, byte for byte' "$(cat "$work/sum")" "$(cut -c 1-64 "$work/got")"
head -c 20971520 /dev/urandom >"$work/input"
try vm --rm -i "$busybox" cat <"$work/input"
ended '20 MB in and out again' 0
check 'byte for byte' cmp -s "$work/input" "$work/out"
try vm_sh --rm -i 'read -r first; echo "$first"; exit 4' < <(echo line; head -c 1000000 /dev/zero)
ended 'a workload that does not read all of its input' 4
same 'reads what it likes' line "$out"

tap_end
