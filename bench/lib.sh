# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What measurements share. Source it; bench_begin BUILD [ROUNDS] comes first: $build, $rounds, $source, and
# a folder to work in that is removed at the end.
#
# Times on a shared machine are noisy: what is compared is measured in turn, and the ratio of each round's
# pair is what counts, and its median.

# shellcheck disable=SC2034 # for the scripts
bench_begin() { # BUILD [ROUNDS]
	build=$(cd "$1" && pwd)
	rounds=${2:-7}
	source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
	work=$(mktemp -d "${TMPDIR:-/tmp}/caisson-bench-XXXXXX")
	trap 'rm -rf "$work"' EXIT
	export CAISSON_STATE=$work/state CAISSON_CONFIG=$work/config LC_ALL=C
	cd "$work" || exit
}

median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# Of two files of times, pair by pair.
ratio() { paste "$1" "$2" | awk 'NF == 2 { printf "%.2f\n", $1 / $2 }' | median; }

nanoseconds() { date +%s%N; }

# Seconds that a command took, which must succeed.
seconds() {
	local start end
	start=$(nanoseconds)
	"$@" >output 2>&1 || {
		cat output >&2
		echo "bench: failed: $*" >&2
		exit 1
	}
	end=$(nanoseconds)
	awk -v ns=$((end - start)) 'BEGIN { printf "%.6f\n", ns / 1e9 }'
}
