#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# caisson kernel requirements and check: the table of what is needed, and kernels held against it.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_begin "$1"
kernel=$(find /boot -name 'vmlinuz-*-cloud-amd64' | sort -V | tail -n 1)
release=${kernel#/boot/vmlinuz-}

# The state of one option in the last --json.
state_of() { # OPTION
	python3 -c '
import json, sys
print(*(d["state"] for d in json.load(open(sys.argv[1]))["requirements"] if d["option"] == sys.argv[2]))' \
		"$work/out" "$1"
}

# The document's tables

"$caisson" kernel requirements --markdown >"$work/tables"
sed '1,/^<!-- tables/d' "$source/docs/kernel.md" >"$work/written"
check 'the tables of docs/kernel.md are those of kernel/ (./dev docs makes them anew)' \
	cmp "$work/written" "$work/tables"
check_not 'a table that is stale is noticed' cmp "$work/written" <(sed 's/dm_crypt/dm-crypt/' "$work/tables")

# Requirements

try "$caisson" kernel requirements
ended 'requirements' 0
like 'an option with its feature and what does not work without it' \
	'CONFIG_DM_CRYPT=y +volume: encrypted volumes cannot be opened' "$(tr '\n' ' ' <<<"$out")"
unlike 'what is for our own kernels alone is no requirement' 'CONFIG_MODULES' "$out"
try "$caisson" kernel requirements --for vsock
like '--for: that feature' '^    vsock' "$out"
unlike '--for: no other' '^    (base|volume|network)[:,]' "$out"
for profile in minimal container observe confidential; do
	try "$caisson" kernel requirements --profile "$profile"
	ended "--profile $profile" 0
	like "--profile $profile: with the reasons of its own" '^    build: ' "$out"
	like "--profile $profile: with its arguments" '^console=ttyS0' "$out"
	try "$caisson" kernel requirements --profile "$profile" --json
	check "--profile $profile --json: each with a reason" python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
assert d["profile"] == sys.argv[2] and d["arguments"] and len(d["requirements"]) > 100
assert all(r["reason"] and r["option"].startswith("CONFIG_") for r in d["requirements"] + [])
assert all(a["reason"] for a in d["arguments"])' "$work/out" "$profile"
done
try "$caisson" kernel requirements --profile minimal --json
same 'JSON has the versions and the other names, too' '6.12 None 6.9 CONFIG_CPU_MITIGATIONS' "$(python3 -c '
import json, sys
d = {r["option"]: r for r in json.load(open(sys.argv[1]))["requirements"]}
print(d["CONFIG_MITIGATION_MDS"]["since"], d["CONFIG_MITIGATION_MDS"].get("until"), d["CONFIG_RETPOLINE"]["until"],
      d["CONFIG_SPECULATION_MITIGATIONS"]["alternatives"][0])' "$work/out")"
try "$caisson" kernel requirements --profile maximal
ended 'a profile that is not there' 2 'no profile called "maximal"'
like 'those that are' 'minimal container observe confidential' "$err"
try "$caisson" kernel requirements --for everything
ended 'a feature that is not there' 2 'no feature and no machine'
try "$caisson" kernel check "$kernel" --for ''
ended 'a variable that is empty' 2 'names no feature'

# A kernel of the distribution's

try "$caisson" kernel check "$kernel"
ended "check $release" 0
like 'it names its papers' "configuration +/boot/config-$release" "$out"
like 'built in' '^base +CONFIG_TMPFS +built in' "$out"
like 'a module' '^volume +CONFIG_DM_CRYPT +module dm_crypt' "$out"
like 'a sum for each feature' '^volume +complete: encrypted volumes' "$out"
try "$caisson" kernel check
ended 'without a name: the one that machines would get' 0
try "$caisson" kernel check "$kernel" --profile minimal
ended 'it is no kernel of ours' 1
like 'modules are not left out of it' '^build +CONFIG_MODULES +set: ' "$out"

# Configurations

cp "/boot/config-$release" "$work/dotconfig"
try "$caisson" kernel check "$work/dotconfig" --modules "/lib/modules/$release"
ended 'a configuration with its modules' 0
like 'its version stands in it' '^release +6\.' "$out"
try "$caisson" kernel check "$work/dotconfig"
ended 'without them' 1
like 'modules that are nowhere' '^volume +CONFIG_DM_CRYPT +module absent: encrypted volumes' "$out"

sed -i 's/^\(CONFIG_[A-Z0-9_]*\)=m$/\1=y/' "$work/dotconfig"
try "$caisson" kernel check "$work/dotconfig"
ended 'all of them built in' 0
grep -v '^CONFIG_DM_CRYPT=' "$work/dotconfig" >"$work/without"
try "$caisson" kernel check "$work/without"
ended 'without dm-crypt' 1
like 'what will go wrong is said' '^volume +CONFIG_DM_CRYPT +missing: encrypted volumes cannot be opened' "$out"
like 'and summed up' '^volume +1 of [0-9]+ missing' "$out"
try "$caisson" kernel check "$work/without" --problems --for volume
ended '--problems' 1
same '--problems: nothing else' 1 "$(grep -c -v '(a wish)' <<<"$out")"
try "$caisson" kernel check "$work/without" --for microvm,network
ended 'for a machine without volumes it will do' 0
try "$caisson" kernel check "$work/without" --json
ended '--json' 1
same '--json: the state' missing "$(state_of CONFIG_DM_CRYPT)"
check '--json: complete or not' grep -q '"complete": *false' "$work/out"

# Either way to devices will do, unless a machine is named.
grep -v -E '^CONFIG_VIRTIO_MMIO=' "$work/dotconfig" >"$work/pci"
try "$caisson" kernel check "$work/pci"
ended 'PCI alone' 0
try "$caisson" kernel check "$work/pci" --for microvm
ended 'PCI alone, for microvm' 1
grep -v -E '^CONFIG_(VIRTIO_MMIO|VIRTIO_PCI)=' "$work/dotconfig" >"$work/neither"
try "$caisson" kernel check "$work/neither"
ended 'neither' 1

# What an older version does not have, it need not have.
sed -e 's|^# Linux/x86 6[^ ]* |# Linux/x86 5.10.0 |' -e '/^CONFIG_VMGENID=/d' "$work/dotconfig" >"$work/older"
try "$caisson" kernel check "$work/older" --json
ended '5.10' 0
same 'an option of later versions' 'not needed' "$(state_of CONFIG_VMGENID)"

# Wrong use

try "$caisson" kernel requirements minimal
ended 'requirements: a word too many' 2 "'minimal' is too much"

try "$caisson" kernel check "$work/nothing"
ended 'no such file' 2 'No such file'
try "$caisson" kernel check /dev/null
ended 'no file at all' 2
head -c 100000 /dev/urandom >"$work/random"
try "$caisson" kernel check "$work/random"
ended 'neither kernel nor configuration' 2
same 'in one sentence' 1 "$(grep -c '^caisson' <<<"$err")"
try "$caisson" kernel check "$kernel" --modules /dev/null
ended 'modules that are no folder' 2 'open the modules folder /dev/null: Not a directory'
try "$caisson" kernel check "$kernel" --running
ended 'two kernels' 2 'too many'
tap_end
