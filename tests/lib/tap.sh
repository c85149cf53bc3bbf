# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The Test Anything Protocol, and caisson in a state of its own. Source this file; then
#
#   tap_begin BUILD     first: $caisson, $build, $source, and $work, which is removed at the end
#   try COMMAND...      runs it: $status, $out, $err
#   check, same, ...    one point each
#   tap_end             last
#
# Nothing here waits for time to pass: wait_line and wait_gone wait for events.

# shellcheck disable=SC2034 # for the scripts
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tap_number=0
tap_failed=0

tap_begin() { # BUILD
	build=$(cd "${1:?the build folder}" && pwd) || exit 2
	caisson=$build/caisson
	export LC_ALL=C
	umask 022
	work=$(mktemp -d "${TMPDIR:-/tmp}/caisson-test.XXXXXX") || exit 2
	trap tap_clean EXIT
	trap 'exit 143' TERM INT HUP
	export CAISSON_STATE=$work/state CAISSON_CONFIG=$work/config
	exec </dev/null
}

tap_clean() {
	local pid
	for pid in $(jobs -p); do
		kill -KILL "$pid" 2>/dev/null
	done
	wait 2>/dev/null
	if may_mount; then
		grep -o " $work/[^ ]*" /proc/self/mounts | sort -r | xargs -r umount --lazy
	fi
	rm -rf --one-file-system "$work"
}

# Before tap_begin, for scripts that mount: starts the script again in a mount namespace of its own, so
# that nothing it mounts is seen, or left, outside. Without the right to, it goes on as it is.
tap_private_mounts() { # SCRIPT ARGUMENT...
	[ -z "${TAP_MOUNTS-}" ] || return 0
	export TAP_MOUNTS=no
	if is_root && unshare --mount --propagation private true 2>/dev/null; then
		export TAP_MOUNTS=yes
		exec unshare --mount --propagation private "$@"
	fi
}

may_mount() {
	[ "${TAP_MOUNTS-no}" = yes ]
}

# Leaves the whole script out.
tap_skip_all() { # REASON
	echo "1..0 # SKIP $1"
	exit 0
}

tap_end() {
	echo "1..$tap_number"
	[ "$tap_failed" -eq 0 ]
	exit
}

# Both for who reads the protocol and, on standard error, for Meson's report of what failed.
diag() { # LINE...
	local text
	text=$(printf '%s\n' "$@" | sed 's/^/# /')
	printf '%s\n' "$text"
	printf '%s\n' "$text" >&2
}

point() { # YES-OR-NO DESCRIPTION
	tap_number=$((tap_number + 1))
	if [ "$1" = yes ]; then
		echo "ok $tap_number - $2"
		return 0
	fi
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_number - $2"
	return 1
}

skip() { # REASON DESCRIPTION
	tap_number=$((tap_number + 1))
	echo "ok $tap_number - $2 # SKIP $1"
}

# Passes when the command does; what that prints is no line of the protocol.
check() { # DESCRIPTION COMMAND...
	local description=$1
	shift
	if "$@" >&2; then
		point yes "$description"
	else
		point no "$description"
		diag "failed: $*"
	fi
}

check_not() { # DESCRIPTION COMMAND...
	local description=$1
	shift
	if "$@" >&2; then
		point no "$description"
		diag "succeeded: $*"
	else
		point yes "$description"
	fi
}

same() { # DESCRIPTION WANTED GOT
	if [ "$2" = "$3" ]; then
		point yes "$1"
	else
		point no "$1"
		diag "wanted: $2" "got: $3"
	fi
}

like() { # DESCRIPTION EXTENDED-PATTERN TEXT
	if grep -Eq -e "$2" <<<"$3"; then
		point yes "$1"
	else
		point no "$1"
		diag "no match for: $2" "in: $3"
	fi
}

unlike() { # DESCRIPTION EXTENDED-PATTERN TEXT
	if grep -Eq -e "$2" <<<"$3"; then
		point no "$1"
		diag "a match for: $2" "in: $3"
	else
		point yes "$1"
	fi
}

# Standard input is what the caller redirects it to.
try() { # COMMAND...
	"$@" >"$work/out" 2>"$work/err"
	status=$?
	out=$(tr -d '\0' <"$work/out")
	err=$(tr -d '\0' <"$work/err")
}

# What try() saw ended so, and said so on standard error.
ended() { # DESCRIPTION STATUS [PATTERN]
	if [ "$status" -ne "$2" ]; then
		point no "$1"
		diag "ended with $status, not $2" "out: $out" "err: $err"
	elif [ $# -gt 2 ] && ! grep -Eq -e "$3" <<<"$err"; then
		point no "$1"
		diag "no match for: $3" "in: $err"
	else
		point yes "$1"
	fi
}

# try() and ended() in one, of caisson.
expect() { # DESCRIPTION STATUS PATTERN ARGUMENT...
	local description=$1 wanted=$2 pattern=$3
	shift 3
	try "$caisson" "$@"
	ended "$description" "$wanted" "$pattern"
}

is_root() {
	[ "$(id -u)" -eq 0 ]
}

# Waits until a line that matches comes out of descriptor FD; fails when none does in time.
wait_line() { # FD PATTERN [SECONDS]
	local line
	while IFS= read -r -t "${3:-60}" -u "$1" line; do
		[[ $line =~ $2 ]] && return 0
	done
	return 1
}

# Waits until a process that need not be a child is gone; fails when it is there after SECONDS.
wait_gone() { # PID SECONDS
	python3 -c '
import os, select, sys
try:
    fd = os.pidfd_open(int(sys.argv[1]))
except ProcessLookupError:
    sys.exit(0)
sys.exit(0 if select.select([fd], [], [], float(sys.argv[2]))[0] else 1)' "$1" "$2"
}

# Names of everything below a folder with modes and contents, to see whether anything changed.
fingerprint() { # FOLDER
	(cd "$1" && find . -printf '%p %M %s\n' | sort && find . -type f -print0 | sort -z |
		xargs -0 -r sha256sum)
}

# Whether any file of the folders holds the bytes of the file NEEDLE.
holds() { # NEEDLE FOLDER...
	python3 -c '
import os, sys
needle = open(sys.argv[1], "rb").read()
for top in sys.argv[2:]:
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and needle in open(path, "rb").read():
                print("#", path, "holds them")
                sys.exit(0)
sys.exit(1)' "$@"
}
