#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# caisson run -it: a terminal for the workload.
# shellcheck disable=SC2016 # what is quoted, the guest expands
set -u
# shellcheck source=tests/lib/vm.sh
. "$(dirname "$0")/../lib/vm.sh"
vm_begin "$1"
terminal=$source/tests/lib/terminal.py

try timeout 170 "$terminal" size=33x99 'expect=# ' \
	'send=tty; echo "term=$TERM"\n' 'expect=/dev/pts/[0-9]' 'expect=term=xterm' \
	'send=stty size\n' 'expect=33 99' \
	size=44x111 'send=stty size\n' 'expect=44 111' \
	'send=sh -c "echo begin; exec sleep 1000"\n' 'expect=begin\r\n' \
	'send=\x03' 'expect=# ' 'send=echo "status=$?"\n' 'expect=status=130' \
	'send=echo start; cat\n' 'expect=start\r\n' 'send=echoed\n' 'expect=echoed\r\nechoed' 'send=\x04' 'expect=# ' \
	'send=echo error >&2\n' 'expect=error\r\nerror|>&2\r\nerror' \
	'send=exit 5\n' -- "$caisson" run --rm -it "$busybox"
ended 'a shell on a terminal: its size, Ctrl-C, Ctrl-D, its status; modes are put back' 5
same 'nothing of the kernel is on it' 0 "$(grep -ac 'Linux version' "$work/out")"

# Behind cat's first line: busybox's shell ignores SIGQUIT. Behind the whole line "here": the kernel may echo
# what is typed between a line's text and its end.
try timeout 170 "$terminal" 'expect=here\r\n' 'send=x\n' 'expect=x\r\nx\r\n' 'send=\x1c' -- \
	"$caisson" run --rm -it "$busybox" sh -c 'echo here; exec cat'
ended 'Ctrl-\ is the workload'"'"'s too' 131

try timeout 170 "$terminal" -- "$caisson" run --rm -it --user app "$busybox" \
	sh -c 'stat -c %U "$(tty)"; echo ok >"$(tty)"'
ended 'the terminal belongs to the user' 0
like 'by its name' 'app' "$out"

try timeout 170 "$terminal" -- "$caisson" run --rm -it "$busybox" /no/such
ended 'modes are put back when nothing could be run' 127

try vm_sh --rm -t 'tty; echo error >&2'
ended '-t alone, with no terminal here' 0
like 'gives the workload one' '/dev/pts/' "$out"
like 'which carries both of its outputs' 'error' "$out"
same 'and standard error none' '' "$err"

tap_end
