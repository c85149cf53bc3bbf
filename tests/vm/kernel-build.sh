#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A real kernel, built twice from cold: in two states, so that neither the source nor the build's folder has the
# same path, once with a cache and once without, by different numbers of compilers. The bytes are the same, and a
# machine starts from them. Takes as long as two kernels do.
set -u
# shellcheck source=tests/lib/vm.sh
. "$(dirname "$0")/../lib/vm.sh"
vm_kernel=
vm_begin "$1"
for program in flex bison bc; do
	command -v "$program" >/dev/null || tap_skip_all "$program is not installed"
done
[ -e /usr/src/linux-source-6.1.tar.xz ] || tap_skip_all 'linux-source-6.1 is not installed'
export CCACHE_DIR=$work/ccache

try "$caisson" kernel build --source apt:linux-source-6.1 --state "$work/first" --no-install --output "$work/one"
ended 'a kernel is built' 0
rm -rf "$work/first"
try env CCACHE_DISABLE=1 "$caisson" kernel build --source apt:linux-source-6.1 --jobs 1
ended 'and once more' 0
rm -rf "$CAISSON_STATE"/kernel-{sources,builds}
for file in bzImage vmlinux config; do
	check "$file: the same bytes" cmp "$work/one/$file" "$CAISSON_STATE/kernels/default/$file"
done
check 'it has what machines need' "$caisson" kernel check --for microvm,q35,volume,network "$work/one"
size=$(stat -c %s "$work/one/vmlinux")
check 'its vmlinux has 18 MB at most' test "$size" -le 18000000
release=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["release"])' "$work/one/manifest.json")
"$caisson" volume create data --size 32M >/dev/null
for platform in microvm q35; do
	try vm_sh --rm --platform "$platform" --volume data:/data 'uname -rv; echo works >>/data/note && cat /data/note'
	ended "$platform: a machine starts from it, with a volume" 0
	like "$platform: it is this kernel" "^$release #1 .* UTC 20" "$out"
done

tap_end
