#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# How a machine ends before its time: signals, a reader that goes away, kill -9.
# shellcheck disable=SC2016 # what is quoted, the guest expands
set -u
# What nohup(1) started would ignore SIGHUP, and a shell cannot change that for itself.
[ -n "${heeds_hangup-}" ] || heeds_hangup=1 exec env --default-signal=HUP "$0" "$@"
# shellcheck source=tests/lib/vm.sh
. "$(dirname "$0")/../lib/vm.sh"
vm_begin "$1"

# Prints "ready", and the name of each signal that comes; ends with 9 when told to. A signal that comes just before
# read(2) is heeded by the shell when that returns: hence a bound on it.
trapper='trap "echo got TERM; exit 9" TERM; trap "echo got INT" INT; trap "echo got USR1" USR1
	trap "echo got HUP" HUP
	echo ready; while :; do read -r -t 1 line && echo "line $line"; done'

vm_start -i --rm --name trapper "$busybox" sh -c "$trapper"
check 'the workload started' wait_line "$vm_out" '^ready$'
try vm_sh --name trapper true
ended 'a second machine of that name is refused' 125 "a machine called 'trapper' is running"
kill -USR1 "$vm_pid"
check 'SIGUSR1 reaches the workload' wait_line "$vm_out" '^got USR1$'
kill -HUP "$vm_pid"
check 'so does SIGHUP' wait_line "$vm_out" '^got HUP$'
kill -INT "$vm_pid"
check 'and SIGINT' wait_line "$vm_out" '^got INT$'
echo hello >&"$vm_in"
check 'it goes on' wait_line "$vm_out" '^line hello$'
kill -TERM "$vm_pid"
vm_wait
same 'SIGTERM too, and it ends as it likes' 9 "$status"
same 'with its last words' 'got TERM' "$out"
check_not '--rm left no folder' test -e "$CAISSON_STATE/machines/trapper"

vm_start -i --rm "$busybox" sh -c 'echo ready; exec sleep 1000'
wait_line "$vm_out" '^ready$'
kill -INT "$vm_pid"
vm_wait
same 'SIGINT ends what does not catch it: 130' 130 "$status"

vm_start -i --rm "$busybox" sh -c 'trap "" INT; echo ready; sleep 1000'
wait_line "$vm_out" '^ready$'
qemu=$(vm_qemu)
for _ in 1 2 3; do
	kill -INT "$vm_pid"
	# One that is pending already would be counted once.
	python3 -c '
import sys, time
path = "/proc/%s/status" % sys.argv[1]
def pending():
    return any(int(line.split()[1], 16) & 2 for line in open(path)
               if line.startswith(("SigPnd", "ShdPnd")))
while pending():
    time.sleep(0.001)' "$vm_pid" 2>/dev/null
done
vm_wait
same 'the third SIGINT kills the machine' 130 "$status"
check 'QEMU is gone' wait_gone "$qemu" 1

# A machine that still boots has no workload to tell.
"$caisson" run --rm --name early "$busybox" true >/dev/null 2>&1 &
early=$!
python3 -c '
import os, sys, time
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)' "$CAISSON_STATE/machines/early/qemu.log"
kill -TERM "$early"
wait "$early"
same 'SIGTERM while it boots ends it at once' 143 $?
check_not 'and leaves nothing' test -e "$CAISSON_STATE/machines/early"

# A reader that goes away

try timeout 60 bash -c '"$0" run --rm "$1" -- sh -c "yes; echo \$? >&2" | head -n 1' "$caisson" \
	"$busybox"
same 'a reader that goes away got what it wanted' y "$out"
same 'and ends the program that wrote to it, as a pipe does' 141 "$(tail -n 1 <<<"$err")"
try timeout 60 bash -c '"$0" run --rm "$1" -- sh -c "trap \"\" PIPE
	while echo x 2>/dev/null; do :; done; echo end >&2" | head -n 1' "$caisson" "$busybox"
same 'one that ignores SIGPIPE sees the error' end "$(tail -n 1 <<<"$err")"
try vm_sh --rm 'echo x; echo problem >&2; exit 5' >/dev/full
check 'an output that cannot be written does not hang' test "$status" -ne 124

# Killed

"$caisson" volume create data --size 32M >/dev/null
vm_start -i --name victim --volume data:/data -p 127.0.0.1:0:80 "$busybox" true
vm_wait
same 'port 0 is none' 125 "$status"
vm_start -i --name victim --volume data:/data "$busybox" \
	sh -c 'echo kept >/data/note; sync; echo ready; sleep 1000'
check 'a machine with a volume runs' wait_line "$vm_out" '^ready$'
qemu=$(vm_qemu)
check 'its QEMU runs' kill -0 "$qemu"
if is_root; then
	check_not 'QEMU does not run as root' test "$(stat -c %u "/proc/$qemu")" -eq 0
else
	skip 'caisson does not run as root' 'QEMU does not run as root'
fi
same 'no key nor secret is on its command line' 0 \
	"$(tr '\0' '\n' <"/proc/$qemu/cmdline" | grep -cE '[0-9a-f]{32}')"
try "$caisson" volume list
like 'the volume is in use by it' '^data .* in use +victim' "$out"
try vm_sh --name other --volume data:/data true
ended 'another machine is refused, and told which' 125 'in use by the machine victim'
expect 'nor can it be destroyed' 1 'in use by the machine victim' volume destroy data
kill -KILL "$vm_pid"
check 'kill -9 of caisson: QEMU is gone within a second' wait_gone "$qemu" 1
vm_wait 2>/dev/null
same 'killed it was' 137 "$status"
check 'its folder is still there' test -d "$CAISSON_STATE/machines/victim"
try "$caisson" volume list
like 'the volume is free' '^data .* free' "$out"
try vm_sh --rm --volume data:/data 'cat /data/note'
ended 'the next machine opens it' 0
same 'and finds what was written' kept "$out"
check_not 'the folder of the killed one is gone' test -e "$CAISSON_STATE/machines/victim"
same 'no socket, no temporary file' '' \
	"$(find "$CAISSON_STATE" "$CAISSON_CONFIG" -type s -o -name '.new-*')"

# Many machines

for i in $(seq 1 20); do
	mkdir "$CAISSON_STATE/machines/old-$i"
	printf '{"status": 0, "time": %d}' "$i" >"$CAISSON_STATE/machines/old-$i/end.json"
	touch -d "@$((1000000000 + i))" "$CAISSON_STATE/machines/old-$i/end.json"
done
"$caisson" run --volume nothing:/x "$busybox" true 2>/dev/null
same 'of those that ended, the last 16 stay' 16 \
	"$(find "$CAISSON_STATE/machines" -mindepth 1 -maxdepth 1 | wc -l)"
check 'the newest' test -d "$CAISSON_STATE/machines/old-20"
check_not 'and not the oldest' test -e "$CAISSON_STATE/machines/old-1"

tap_end
