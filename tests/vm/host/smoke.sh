#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The host in a machine is one: device-mapper, loop devices, and a volume that cryptsetup opens.
set -u
# shellcheck source=tests/lib/host-guest.sh
. /caisson/tests/lib/host-guest.sh
host_guest_begin "$1"

check 'device-mapper' dmsetup version
try "$caisson" volume create data --size 64M
ended 'create' 0
"$build/tests/machine-key" "$CAISSON_STATE" "$CAISSON_CONFIG" data 1 >"$work/key"
try cryptsetup open --key-file "$work/key" "$(container_of data)" data
ended 'cryptsetup opens it' 0
try e2fsck -fn /dev/mapper/data
ended 'with a filesystem that has no fault' 0
mkdir "$work/mnt"
try mount /dev/mapper/data "$work/mnt"
ended 'which can be mounted' 0
echo hello >"$work/mnt/hello"
umount "$work/mnt"
check 'and closed' cryptsetup close data
tap_end
