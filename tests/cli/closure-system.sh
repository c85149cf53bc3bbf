#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Closures of every program of this machine, against its own loaders.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_begin "$1"
cd "$work" || exit 2

folders=()
for folder in /usr/bin /usr/sbin /usr/libexec; do
	[ ! -d "$folder" ] || folders+=("$folder")
done
find "${folders[@]}" -type f -print0 | LC_ALL=C sort -z >paths
try python3 "$source/tests/lib/loader_judge.py" programs "$caisson" <paths
diag "$(tail -n 1 <<<"$out")"
like 'programs were compared' '^[1-9][0-9]* programs, .* [1-9][0-9]* libraries found' "$(tail -n 1 <<<"$out")"
# What is listed here has to have its reason beside it: none is known.
expected=''
same "each is the loader's" "$expected" "$(sed '$d' <<<"$out" | head -n 20 | cut -c 1-1000)"
same 'the judge agrees' 0 "$status"

tap_end
