#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The main job by a user who is not root and owns nothing.
# shellcheck disable=SC2016 # what is quoted, the guest expands
set -u
# shellcheck source=tests/lib/vm.sh
. "$(dirname "$0")/../lib/vm.sh"
vm_begin "$1"

if is_root; then
	command -v setpriv >/dev/null || tap_skip_all 'setpriv is not installed'
	chmod 711 "$work"
	mkdir "$work/home"
	chmod -R a+rX "$work/images"
	chown 65534:65534 "$work/home"
	as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs)
else
	mkdir "$work/home"
	as_user=()
fi
user() {
	# shellcheck disable=SC2317
	"${as_user[@]}" env -u CAISSON_STATE -u CAISSON_CONFIG -u XDG_STATE_HOME -u XDG_CONFIG_HOME \
		HOME="$work/home" timeout --kill-after=5 "$vm_timeout" "$caisson" "$@"
}
try user --version
[ "$status" -eq 0 ] || tap_skip_all 'another user cannot run what is in the build folder'

if [ -r "$(find /boot -maxdepth 1 -name 'vmlinuz-*' | sort -V | tail -n 1)" ]; then
	try user doctor
	ended 'doctor' 0
fi
try user volume create data --size 64M
ended 'volume create' 0
try user run --volume data:/data "$busybox" -- /bin/sh -c 'echo hello >/data/note; id -u'
ended 'run, with a volume' 0
same 'root in the machine' 0 "$out"
try user run --volume data:/data "$busybox" -- /bin/cat /data/note
ended 'and again' 0
same 'the note is there' hello "$out"
try user run --rm --user 1000 --volume data:/data:ro "$busybox" -- /bin/sh -c \
	'cat /data/note; echo x >/data/x'
ended 'read-only' 1 'Read-only|Permission denied'
state=$work/home/.local/state/caisson
same 'nothing of the text is in the container' 0 "$(grep -c hello "$state/volumes/data/container")"
same 'two machines are on record' 2 "$(find "$state/machines" -name end.json | wc -l)"
try user volume list
like 'volume list' '^data .* free' "$out"
try user volume destroy data
ended 'volume destroy' 0
try user run --volume data:/data "$busybox" -- /bin/cat /data/note
ended 'after which it is gone' 125 "no volume called 'data'"

tap_end
