#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# open, close, mount, unmount and destroy, killed before each step: what is left, the next command handles.
set -u
# shellcheck source=tests/lib/host-guest.sh
. /caisson/tests/lib/host-guest.sh
host_guest_begin "$1" open close mount unmount
mkdir "$work/tree"
seq 1 5000 >"$work/tree/numbers"
most=${HOST_KILLS:-5}
kill_at=$build/tests/kill-at

steps_of() { # ARGUMENT...
	"$kill_at" --steps "$work/steps" -- "$caisson" volume "$@" >/dev/null 2>&1
	cat "$work/steps"
}

# Which steps: all, or $most of them from a random one on.
places() { # STEPS
	local stride=$((($1 + most - 1) / most))
	seq $((1 + RANDOM % stride)) $stride "$1"
}

RANDOM=${CAISSON_KILL_SEED:=$(od -An -N2 -tu2 /dev/urandom | tr -d " ")}
diag "CAISSON_KILL_SEED=$CAISSON_KILL_SEED"
volume 'a volume' create data --size 64M --from "$work/tree"
for way in --kernel --userspace; do
	for tree in '' --tree; do
		wrong=''
		steps=$(steps_of open data $way)
		"$caisson" volume close data >/dev/null
		always=''
		# Around the mapping: made, with its table, active, with its node.
		[ "$way$tree" != --kernel ] || always=$(seq $((steps - 11)) $((steps - 8)))
		for at in $(places "$steps") $always; do
			# shellcheck disable=SC2086
			"$kill_at" --after "$at" $tree -- "$caisson" volume open data $way >"$work/log" 2>&1
			timeout 30 "$caisson" volume open data $way >>"$work/log" 2>&1 || wrong+=" $at:open"
			[ "$way" != --kernel ] || [ -b /dev/mapper/caisson-data ] || wrong+=" $at:node"
			timeout 30 "$caisson" volume close data >>"$work/log" 2>&1 || wrong+=" $at:close"
			sleep 0.2
			[ -z "$(what_is_left)" ] || wrong+=" $at:$(what_is_left | xargs)"
			"$kill_at" --after "$at" $tree -- "$caisson" volume open data $way >"$work/log" 2>&1
			timeout 30 "$caisson" volume close data >>"$work/log" 2>&1 || wrong+=" $at:close-at-once"
			sleep 0.2
			[ -z "$(what_is_left)" ] || wrong+=" $at:after-close:$(what_is_left | xargs)"
		done
		same "open $way killed $tree at $most of $steps steps" '' "$wrong"
		wrong=''
		"$caisson" volume open data $way >/dev/null
		steps=$(steps_of close data)
		for at in $(places "$steps"); do
			"$caisson" volume open data $way >/dev/null
			# shellcheck disable=SC2086
			"$kill_at" --after "$at" $tree -- "$caisson" volume close data >"$work/log" 2>&1
			timeout 30 "$caisson" volume close data >>"$work/log" 2>&1 || wrong+=" $at:close"
			sleep 0.2
			[ -z "$(what_is_left)" ] || wrong+=" $at:$(what_is_left | xargs)"
		done
		same "close $way killed $tree at $most of $steps steps" '' "$wrong"
		wrong=''
		steps=$(steps_of mount data $way --target "$work/mnt")
		"$caisson" volume unmount data >/dev/null
		"$caisson" volume close data >/dev/null
		for at in $(places "$steps"); do
			# shellcheck disable=SC2086
			"$kill_at" --after "$at" $tree -- "$caisson" volume mount data $way --target "$work/mnt" \
				>"$work/log" 2>&1
			timeout 30 "$caisson" volume mount data $way --target "$work/mnt" >>"$work/log" 2>&1 ||
				wrong+=" $at:mount"
			[ "$(tail -n 1 "$work/mnt/numbers" 2>&1)" = 5000 ] || wrong+=" $at:read"
			timeout 30 "$caisson" volume unmount data >>"$work/log" 2>&1 || wrong+=" $at:unmount"
			timeout 30 "$caisson" volume close data >>"$work/log" 2>&1 || wrong+=" $at:close"
			sleep 0.2
			[ -z "$(what_is_left)" ] || wrong+=" $at:$(what_is_left | xargs)"
		done
		same "mount $way killed $tree at $most of $steps steps" '' "$wrong"
	done
done
# The server of the other way, killed with the volume open and mounted
volume 'mounted in user space' mount data --userspace --target "$work/mnt"
pkill -KILL -x caisson-attach
volume 'its server killed: closed' close data
nothing_left 'its server killed: nothing is left'
volume 'and mounted again' mount data --userspace --target "$work/mnt"
same 'with all data' 5000 "$(tail -n 1 "$work/mnt/numbers")"
volume 'unmounted' unmount data
volume 'closed' close data
# destroy, of what is mounted
wrong=''
"$caisson" volume mount data --kernel --target "$work/mnt" >/dev/null
steps=$(steps_of destroy data)
for at in $(places "$steps"); do
	"$caisson" volume create data --size 64M >/dev/null || wrong+=" $at:create"
	"$caisson" volume mount data --kernel --target "$work/mnt" >/dev/null || wrong+=" $at:mount"
	"$kill_at" --after "$at" -- "$caisson" volume destroy data >"$work/log" 2>&1
	timeout 30 "$caisson" volume destroy data >>"$work/log" 2>&1 || wrong+=" $at:destroy"
	sleep 0.2
	[ -z "$(what_is_left)" ] || wrong+=" $at:$(what_is_left | xargs)"
done
same "destroy killed at $most of $steps steps" '' "$wrong"
tap_end
