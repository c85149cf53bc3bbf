#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Commands on volumes are killed, at steps and at random times: lib/kill.py has the list. CAISSON_KILL_SEED
# repeats a run; more arguments are kill.py's.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_private_mounts "$0" "$@"
# What is copied for each kill, and synced by each command, is memory where there is some.
[ -n "${TMPDIR-}" ] || [ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)" -lt 2097152 ] ||
	export TMPDIR=/dev/shm
tap_begin "$1"
shift
[ "${1-}" != long ] || set -- --long "${@:2}"
python3 "$source/tests/lib/kill.py" --build "$build" --work "$work" "$@"
exit
