#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Volumes on a host with root and device-mapper, which is a machine: host/*.sh run there.
set -u
# shellcheck source=tests/lib/host.sh
. "$(dirname "$0")/../lib/host.sh"
host_begin "$1"
shift
scripts=()
[ $# -gt 0 ] || set -- smoke kernel cryptsetup userspace faults kills
for script; do
	scripts+=("$source/tests/vm/host/$script.sh")
done
host_run "${scripts[@]}"
tap_end
