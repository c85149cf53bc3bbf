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

# The header with its JSON changed and its checksums right, as whoever holds the disk can make it: the
# keyslot still opens with the key.
edit() { # PYTHON-STATEMENT-ON-d
	restore
	python3 - "$data" "$1" <<'END'
import hashlib, json, sys
with open(sys.argv[1], 'r+b') as file:
    size = int.from_bytes(file.read(16)[8:], 'big')
    for offset in 0, size:
        file.seek(offset)
        header = bytearray(file.read(size))
        d = json.loads(header[4096:].split(b'\0')[0])
        exec(sys.argv[2])
        text = json.dumps(d).encode()
        header[4096:] = text + bytes(size - 4096 - len(text))
        header[448:512] = bytes(64)
        header[448:480] = hashlib.sha256(header).digest()
        file.seek(offset)
        file.write(header)
END
}

edit 'pass'
try vm_sh --rm -v data:/data 'cat /data/note'
ended 'a header that was written again as it was' 0
edit 'd["segments"]["0"]["encryption"] = "cipher_null-ecb"'
refused 'a null cipher' 'cipher_null-ecb'
edit 'd["keyslots"]["0"]["kdf"]["iterations"] = 2000000000'
refused 'a keyslot that would cost hours' 'iterations|cost'
edit 'd["keyslots"]["0"]["area"]["encryption"] = "cipher_null-ecb"'
refused 'a keyslot that is not encrypted' 'keyslot|cipher'
format --cipher aes-cbc-essiv:sha256 --key-size 256 --sector-size 4096
refused 'another cipher' 'cipher.*aes-cbc'
format --cipher aes-xts-plain64 --key-size 256 --sector-size 4096
refused 'a shorter key' 'key'
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

# More of the same, in the long suite: unit tests look at the headers, too.
if [ "${2-}" = long ]; then
	edit 'd["segments"]["0"]["encryption"] = "aes-ecb"'
	refused 'a weak cipher' 'aes-ecb'
	edit 'd["segments"]["0"]["sector_size"] = 512'
	refused 'other sectors' 'sector'
	edit 'd["segments"]["0"]["offset"] = str(int(d["segments"]["0"]["offset"]) + 4096)'
	refused 'another offset' 'offset|segment'
	edit 'd["segments"]["0"]["iv_tweak"] = "8"'
	refused 'another tweak' 'not counted from 0'
	edit 'd["segments"]["0"]["size"] = "8192"'
	refused 'half of the payload' 'does not reach'
	edit 'd["segments"]["1"] = dict(d["segments"]["0"])'
	refused 'two segments' 'volume data: '
	edit 'd["config"]["requirements"] = {"mandatory": ["online-reencrypt-v2"]}'
	refused 'a reencryption that was begun' 'volume data: '
	edit 'd.clear()'
	refused 'an empty header' 'volume data: '
	format --cipher aes-xts-plain64 --key-size 512 --sector-size 512
	refused 'another sector size' 'sector'
fi

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
