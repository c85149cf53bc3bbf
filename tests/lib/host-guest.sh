# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the scripts share that run on a host in a machine (host.sh). Source it; host_guest_begin BUILD takes
# the place of tap_begin.
# shellcheck source=tests/lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/tap.sh"

host_guest_begin() { # BUILD
	TMPDIR=${TMPDIR:-/scratch} tap_begin "$1"
}

container_of() { # VOLUME
	echo "$CAISSON_STATE/volumes/$1/container"
}

# A member of the JSON object on standard output: strings, numbers and booleans alone.
member() { # NAME
	sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p" "$work/out" | head -n 1
}
