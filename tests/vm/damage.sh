#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Containers that are not what the key service recorded: each is refused, with a sentence.
# shellcheck disable=SC2016 # what is quoted, the guest expands
set -u
# shellcheck source=tests/lib/vm.sh
. "$(dirname "$0")/../lib/vm.sh"
vm_begin "$1"
PATH=$PATH:/usr/sbin:/sbin
command -v cryptsetup >/dev/null || tap_skip_all 'cryptsetup is not installed'
data=$CAISSON_STATE/volumes/data/container
"$caisson" volume create data --size 40M >/dev/null
"$caisson" volume create twin --size 40M >/dev/null
try vm_sh --rm -v data:/data -v twin:/twin 'echo mine >/data/note; echo theirs >/twin/note'
ended 'two volumes' 0
cp --sparse=always "$data" "$work/good"
"$build/tests/machine-key" "$CAISSON_STATE" "$CAISSON_CONFIG" data 1 >"$work/key"

restore() {
	cp --sparse=always "$work/good" "$data"
}

# Nothing of the volume may come out, whatever is wrong.
refused() { # DESCRIPTION PATTERN
	try vm_sh --rm -v data:/data 'cat /data/note; ls /data'
	ended "$1" 125 "$2"
	same 'and nothing was run' '' "$out"
}

# By the guest

cp --sparse=always "$CAISSON_STATE/volumes/twin/container" "$data"
refused 'another volume'"'"'s container' 'volume data: .*(UUID|key|differ|recorded)'

format() { # OPTION...
	restore
	cryptsetup luksFormat --batch-mode --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 \
		--uuid "$(cryptsetup luksUUID "$work/good")" --key-file "$work/key" "$@" "$data" \
		>"$work/format" 2>&1
}

null() { # the header of a container with no encryption at all, the payload as it is
	format --cipher cipher_null-ecb --key-size 256 --sector-size 4096
}
if null; then
	refused 'a null cipher' 'cipher|encrypt'
else
	skip "cryptsetup cannot format one here: $(head -n 1 "$work/format")" 'a null cipher'
fi
format --cipher aes-cbc-essiv:sha256 --key-size 256 --sector-size 4096
refused 'another cipher' 'cipher.*aes-cbc'
format --cipher aes-xts-plain64 --key-size 256 --sector-size 4096
refused 'a shorter key' 'key'
format --cipher aes-xts-plain64 --key-size 512 --sector-size 512
refused 'another sector size' 'sector'
format --cipher aes-xts-plain64 --key-size 512 --sector-size 4096
refused 'a volume key that is not the one' 'key'
format --cipher aes-xts-plain64 --key-size 512 --sector-size 4096 --offset 40960
refused 'another data offset' 'offset|segment|data'

restore
cryptsetup luksChangeKey --batch-mode --key-file "$work/key" --pbkdf pbkdf2 \
	--pbkdf-force-iterations 1000 "$data" <(head -c 32 /dev/urandom)
refused 'a keyslot that the key does not open' 'key'
restore
cryptsetup luksFormat --batch-mode --type luks1 --key-file "$work/key" --iter-time 10 "$data" \
	>/dev/null 2>&1
refused 'LUKS1' 'LUKS'
restore
dd if=/dev/zero of="$data" bs=1M count=16 conv=notrunc status=none
refused 'no header at all' 'volume data: '
restore
dd if=/dev/urandom of="$data" bs=4096 count=1 seek=0 conv=notrunc status=none
try vm_sh --rm -v data:/data 'cat /data/note'
if [ "$status" -eq 0 ]; then
	same 'a damaged first header: the second one serves' mine "$out"
else
	ended 'a damaged first header is said' 125 'volume data: .*header'
fi
restore
truncate -s 20M "$data"
refused 'a container that was cut' 'volume data|filesystem on the volume data'
restore
dd if=/dev/urandom of="$data" bs=4096 count=2 seek=4096 conv=notrunc status=none
refused 'a filesystem that was overwritten' 'filesystem on the volume data|mount the volume data'

# By the host

restore
mv "$CAISSON_STATE/volumes/data" "$CAISSON_STATE/volumes/moved"
expect 'a volume under another name has no key' 125 'no key for the volume moved' \
	run -v moved:/data "$busybox" true
mv "$CAISSON_STATE/volumes/moved" "$CAISSON_STATE/volumes/data"
expect 'a volume that is not there' 125 "no volume called 'nothing'" run -v nothing:/data "$busybox" true
cp -a "$CAISSON_STATE" "$work/copied"
try vm_sh --rm --state "$work/copied" --config "$work/no-config" -v data:/data 'cat /data/note'
ended 'the whole state, without the key-encryption key' 125 'key-encryption key'
"$caisson" volume destroy data >/dev/null
mkdir "$CAISSON_STATE/volumes/data"
restore
expect 'a container kept after its volume was destroyed' 125 'no key for the volume data' \
	run -v data:/data "$busybox" true
"$caisson" volume destroy data >/dev/null
"$caisson" volume create data --size 40M >/dev/null
restore
refused 'nor under a new volume'"'"'s key' 'volume data: '

try vm_sh --rm -v twin:/twin 'cat /twin/note'
same 'the other volume is none the worse' theirs "$out"

tap_end
