#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The tool that kills commands at their steps does what the tests of kills rely on.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_begin "$1"
kill_at=$build/tests/kill-at
cd "$work" || exit 2

# Four steps: made, written, synced, renamed.
cat >write.py <<'PY'
import os, sys
fd = os.open("new", os.O_WRONLY | os.O_CREAT, 0o600)
os.write(fd, b"content")
if sys.argv[1] == "sync":
    os.fsync(fd)
os.rename("new", "name")
PY
try "$kill_at" --steps steps -- /bin/sh -c 'exit 7'
ended "the command's own status" 7
try "$kill_at" --steps steps -- python3 -S write.py sync
ended 'not killed' 0
steps=$(cat steps)
check 'steps are counted' test "$steps" -ge 4
same 'and all are done' content "$(cat name)"
rm name
# Python itself may take steps before.
first=$((steps - 3))
try "$kill_at" --after $first -- python3 -S write.py sync
ended 'killed before it makes the file' 137
check_not 'there is none' test -e new
try "$kill_at" --after $((first + 1)) -- python3 -S write.py sync
same 'killed before it writes: there is an empty one' 0 "$(stat -c %s new)"
rm new
try "$kill_at" --after $((first + 3)) -- python3 -S write.py sync
same 'killed before it renames: it is written' content "$(cat new)"
check_not 'and has its first name' test -e name
rm new
try "$kill_at" --after $((steps + 1)) -- python3 -S write.py sync
ended 'a step that does not come: not killed' 0
rm name

# The power
for mode in sync lazy; do
	rm -f new name
	# One more step behind the last, to be killed at.
	printf 'exec(open("write.py").read())\nos.mkdir("end")\n' >more.py
	"$kill_at" --steps steps -- python3 -S more.py $mode
	rm -rf end name
	"$kill_at" --after "$(cat steps)" --power 0 -- python3 -S more.py $mode
	same "$mode: the power fails behind the rename: $mode" "$([ $mode = sync ] && echo content)" "$(cat name)"
	check_not "$mode: the last step was not taken" test -e end
done
printf 'old old old' >file
cat >over.py <<'PY'
import os
fd = os.open("file", os.O_RDWR)
os.pwrite(fd, b"NEW", 0)
os.fsync(fd)
os.pwrite(fd, b"NEW", 4)
os.ftruncate(fd, 20)
os.pwrite(fd, b"NEW", 17)
os.mkdir("end")
PY
"$kill_at" --steps steps -- python3 -S over.py
rmdir end
printf 'old old old' >file
"$kill_at" --after "$(cat steps)" --power 0 -- python3 -S over.py
same 'what was synced stays, what was not is taken back' 'NEW old old' "$(cat file)"

# Children
cat >children.sh <<'SH'
sh -c 'read -r line <pipe; mkdir child' &
: >parent
wait
SH
mkfifo pipe
"$kill_at" --steps steps -- sh children.sh &
tool=$!
echo go >pipe
wait $tool
check 'the steps of children count' test "$(cat steps)" -ge 2
rm -r parent child
"$kill_at" --after 1 -- sh children.sh &
tool=$!
# Opening it to write succeeds only when the child, which lives on, reads.
check 'a child lives on' timeout 20 sh -c 'echo go >pipe'
wait $tool
check_not 'the command was killed' test -e parent
for ((i = 0; i < 100; i++)); do
	[ -e child ] && break
	sleep 0.05
done
check 'and the child came to its end' test -e child
rm -r child
"$kill_at" --after 1 --tree -- sh children.sh
check_not 'with --tree it does not' timeout 1 sh -c 'echo go >pipe'

tap_end
