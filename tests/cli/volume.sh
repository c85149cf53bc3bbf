#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The life of volumes on the host: nothing here needs a machine, nor device-mapper.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_private_mounts "$0" "$@"
tap_begin "$1"

# A field of the JSON on standard output.
field() { # PYTHON-EXPRESSION-OF-d
	python3 -c "import json, sys; d = json.load(open(sys.argv[1])); print($1)" "$work/out"
}

container_of() { # VOLUME
	echo "$CAISSON_STATE/volumes/$1/container"
}

# Sizes

for size in 12x 1.5G -1 '' ' 64M' 64MB 0x4000000 64m; do
	expect "--size '$size'" 2 'is not a size' volume create data --size="$size"
done
for size in 0 1 31M 33554431; do
	expect "--size $size is too small" 2 'at least 32 MiB' volume create data --size "$size"
done
for size in 18446744073709551616 9999999T 99999999999999999999999; do
	expect "--size $size is too large" 2 'too large' volume create data --size "$size"
done
same 'nothing is left of them' '' "$(ls -A "$CAISSON_STATE/volumes" 2>/dev/null)"

# create, list, inspect

try "$caisson" volume list
same 'no volumes: the head of the table alone' 1 "$(wc -l <"$work/out")"
try "$caisson" volume list --json
same 'and an empty array' 0 "$(field 'len(d)')"
try "$caisson" volume create data --size 64M
ended 'create' 0
same 'says its name' data "$out"
try "$caisson" volume create other --size 33554432
ended 'the smallest' 0
try "$caisson" volume create odd --size 33554433
ended 'an odd size is rounded up' 0
try "$caisson" volume list
like 'list shows the volume' '^data +64 MiB +.* ext4 +free' "$out"
same 'sorted by name' 'data odd other' "$(tail -n +2 "$work/out" | cut -d ' ' -f 1 | xargs)"
try "$caisson" volume list --json
same 'list --json has them all' 3 "$(field 'len(d)')"
same 'with what is to know' 'data 67108864 True False ext4' \
	"$(field '*(d[0][k] for k in ("name", "size", "has_key", "in_use", "filesystem"))')"
try "$caisson" volume inspect data --json
same 'inspect --json' 'aes-xts-plain64 512 4096 1 16777216' "$(
	field '*(d[k] for k in ("cipher", "key_bits", "sector_size", "keyslots", "data_offset"))'
)"
same 'its container is where it says' "$(container_of data)" "$(field 'd["path"]')"
check 'and takes less than it may' test "$(field 'd["allocated"]')" -lt 67108864
check 'it was made now' test "$(($(date +%s) - $(field 'd["created"]')))" -le 120
uuid=$(field 'd["uuid"]')
try "$caisson" volume inspect data
like 'inspect, for people' '^Cipher: +aes-xts-plain64, 512-bit key' "$out"
try "$caisson" volume inspect odd --json
same 'whole sectors' 33558528 "$(field 'd["size"]')"
expect 'inspect of nothing' 1 "no volume called 'nothing'" volume inspect nothing
expect 'create of what is there' 1 "there is a volume called 'data' already" \
	volume create data --size 64M

# What others see

if command -v cryptsetup >/dev/null || [ -x /sbin/cryptsetup ]; then
	PATH=$PATH:/sbin:/usr/sbin
	try cryptsetup isLuks --type luks2 "$(container_of data)"
	ended 'cryptsetup takes it for LUKS2' 0
	try cryptsetup luksDump "$(container_of data)"
	ended 'cryptsetup luksDump' 0
	like 'the same UUID' "UUID:[[:space:]]*$uuid" "$out"
	like 'the same cipher' 'cipher: aes-xts-plain64' "$out"
	like '4096-byte sectors' 'sector: 4096' "$out"
	like 'a 512-bit key' 'Key: *512 bits' "$out"
	like 'a fast keyslot' 'PBKDF: *pbkdf2' "$out"
	same 'one keyslot' 1 "$(grep -c 'Key: *512 bits' <<<"$out")"
	machine_key=$build/tests/machine-key
	"$machine_key" "$CAISSON_STATE" "$CAISSON_CONFIG" data 1 >"$work/key"
	same 'a machine key has 256 bits' 32 "$(stat -c %s "$work/key")"
	try cryptsetup open --test-passphrase --key-file "$work/key" "$(container_of data)"
	ended "cryptsetup opens the keyslot with caisson's key" 0
	try cryptsetup open --test-passphrase --key-file "$work/key" "$(container_of other)"
	ended 'which is not the key of another volume' 2
	check_not 'no file of state or configuration holds the key' \
		holds "$work/key" "$CAISSON_STATE" "$CAISSON_CONFIG"
	od -An -v -tx1 "$work/key" | tr -d ' \n' >"$work/key.hex"
	check_not 'nor in hexadecimal' holds "$work/key.hex" "$CAISSON_STATE" "$CAISSON_CONFIG"
	rm "$work/key"
else
	skip 'cryptsetup is not installed' 'cryptsetup luksDump'
fi
if command -v blkid >/dev/null || [ -x /sbin/blkid ]; then
	try env PATH="$PATH:/sbin" blkid -p -o value -s TYPE "$(container_of data)"
	same 'blkid sees LUKS and no filesystem' crypto_LUKS "$out"
fi

# Who may read what

same 'folders are for their owner alone' 0 \
	"$(find "$CAISSON_STATE" "$CAISSON_CONFIG" -type d ! -perm 0700 | wc -l)"
same 'files too' 0 "$(find "$CAISSON_STATE" "$CAISSON_CONFIG" -type f ! -perm 0600 | wc -l)"
check 'the key-encryption key is in the configuration' test -f "$CAISSON_CONFIG/kek"
same 'and nowhere in the state' 0 "$(find "$CAISSON_STATE" -name '*kek*' | wc -l)"
check_not 'under no other name either' holds "$CAISSON_CONFIG/kek" "$CAISSON_STATE"
same 'nothing half-made is left' '' "$(find "$CAISSON_STATE" "$CAISSON_CONFIG" -name '.*')"
everything() {
	fingerprint "$CAISSON_STATE" | grep -v -e ' \./keys/' -e '^\./keys/'
}
everything >"$work/before"
"$caisson" volume create more --size 32M >/dev/null
same 'a new volume is a folder with a container, and its key' \
	'./volumes/more ./volumes/more/container' \
	"$(comm -13 <(sort "$work/before") <(everything | sort) |
		grep -o '\./volumes/more[^ ]*' | sort -u | xargs)"
"$caisson" volume destroy more >/dev/null
everything >"$work/after"
check 'destroyed, it leaves no trace but there' cmp -s "$work/before" "$work/after"

# The key-encryption key

"$caisson" volume create lost-first --size 32M >/dev/null
"$caisson" volume create lost-second --size 32M >/dev/null
"$caisson" volume create lost-third --size 32M >/dev/null
cp -p "$CAISSON_CONFIG/kek" "$work/kek"
head -c 32 /dev/urandom >"$CAISSON_CONFIG/kek"
expect 'another key-encryption key' 1 'key-encryption key' volume list
same 'in one sentence' 1 "$(grep -c '^caisson' <<<"$err")"
expect 'nothing is created under it' 1 'key-encryption key' volume create new --size 64M
expect 'what is lost with it can be given up' 0 'key forgotten, header overwritten' volume destroy \
	lost-first
rm "$CAISSON_CONFIG/kek"
expect 'none' 1 'is gone, and there are keys wrapped by it' volume list
expect 'nor has a volume to stay then' 0 'key forgotten, header overwritten' volume destroy lost-second
expect 'and is gone' 0 'nothing to destroy' volume destroy lost-second
check_not 'it is not replaced' test -e "$CAISSON_CONFIG/kek"
head -c 16 "$work/kek" >"$CAISSON_CONFIG/kek"
chmod 600 "$CAISSON_CONFIG/kek"
expect 'half of one' 1 'has 16 bytes' volume list
rm "$CAISSON_CONFIG/kek"
mkfifo -m 0600 "$CAISSON_CONFIG/kek"
try timeout 20 "$caisson" volume list
ended 'a FIFO in its place' 1 'not a regular file'
rm "$CAISSON_CONFIG/kek"
cp -p "$work/kek" "$CAISSON_CONFIG/kek"
chmod 644 "$CAISSON_CONFIG/kek"
expect 'one that others can read' 1 'open to others' volume list
chmod 600 "$CAISSON_CONFIG/kek"
expect 'the right one' 0 '' volume inspect data
printf 'no database\n' >"$work/keys.db"
cp -p "$CAISSON_STATE/keys/keys.db" "$work/keys.db.good"
cp "$work/keys.db" "$CAISSON_STATE/keys/keys.db"
expect 'a database that is none' 1 '.' volume list
expect 'a volume can be given up all the same' 1 'header overwritten' volume destroy lost-third
like 'and its key is not said to be forgotten' 'is damaged' "$err"
cp -p "$work/keys.db.good" "$CAISSON_STATE/keys/keys.db"
expect 'the database again' 0 '' volume inspect data
expect 'and now it is forgotten' 0 'key forgotten' volume destroy lost-third

# Damage

cp --sparse=always "$(container_of other)" "$work/other"
dd if=/dev/urandom of="$(container_of other)" bs=1M count=1 conv=notrunc status=none
expect 'a header that was overwritten' 0 '' volume inspect other
like 'is shown as damaged' '^State: +damaged' "$out"
try "$caisson" volume inspect other --json
check 'with the reason' test -n "$(field 'd["header_error"]')"
try "$caisson" volume list
ended 'and does not keep the list from the others' 0
like 'which are there' '^data .* free' "$out"
rm "$(container_of other)"
try "$caisson" volume list
ended 'nor does a container that is gone' 0
try "$caisson" volume destroy other
ended 'which can still be destroyed' 0
mkfifo "$work/fifo"
"$caisson" volume create swapped --size 32M >/dev/null
rm "$(container_of swapped)"
mkfifo "$(container_of swapped)"
try timeout 20 "$caisson" volume inspect swapped
check 'a FIFO in the place of a container hangs nobody' test "$status" -ne 124
try timeout 20 "$caisson" volume destroy swapped
check 'nor in destroy' test "$status" -ne 124
check_not 'after which it is gone' test -e "$CAISSON_STATE/volumes/swapped"
printf 'precious' >"$work/precious"
"$caisson" volume create linked --size 32M >/dev/null
rm "$(container_of linked)"
ln -s "$work/precious" "$(container_of linked)"
try "$caisson" volume destroy linked
same 'destroy does not follow a link' precious "$(cat "$work/precious")"

# destroy

cp --sparse=always "$(container_of data)" "$work/copy"
try "$caisson" volume destroy data odd
ended 'destroy' 0
same 'says what' 'data odd' "$(xargs <"$work/out")"
check_not 'the folder is gone' test -e "$CAISSON_STATE/volumes/data"
try "$caisson" volume destroy data
ended 'destroy of what is gone' 0 'no volume data'
expect 'inspect of what is gone' 1 "no volume called 'data'" volume inspect data
mkdir -p "$CAISSON_STATE/volumes/data"
cp "$work/copy" "$(container_of data)"
try "$caisson" volume inspect data --json
same 'a copy that was kept has no key any more' False "$(field 'd["has_key"]')"
try "$caisson" volume list
like 'and says so' '^data .* no key' "$out"
expect 'its name is not free' 1 'already' volume create data --size 64M
"$caisson" volume destroy data >/dev/null
try "$caisson" volume create data --size 64M
ended 'until it is destroyed' 0
try "$caisson" volume inspect data --json
check 'a new volume is another one' test "$(field 'd["uuid"]')" != "$uuid"

# Killed, at whatever moment

for moment in 1 3 6 10 20 40 80 160; do
	{
		timeout --signal=KILL "$(printf '0.%03d' "$moment")" "$caisson" volume create cut \
			--size 64M &
		wait $!
	} >/dev/null 2>&1
	if "$caisson" volume inspect cut >/dev/null 2>&1; then
		try "$caisson" volume inspect cut --json
		check "killed after $moment ms: it was whole" test "$(field 'd["has_key"]')" = True
		"$caisson" volume destroy cut >/dev/null
	else
		try "$caisson" volume create cut --size 64M
		ended "killed after $moment ms: it can be made again" 0
		"$caisson" volume destroy cut >/dev/null
	fi
done
same 'nothing half-made is left of them' 0 \
	"$(find "$CAISSON_STATE" "$CAISSON_CONFIG" -name '.new-*' | wc -l)"

# Two at once

for i in 1 2 3 4; do
	"$caisson" volume create race --size 32M >"$work/race-$i" 2>&1 &
done
wait
same 'of four that make one volume, one does' 1 "$(cat "$work"/race-? | grep -c '^race$')"
same 'and three are told' 3 "$(cat "$work"/race-? | grep -c 'already')"

# Full disks

if may_mount; then
	mkdir "$work/small"
	mount -t tmpfs -o size=1m,mode=0700 tmpfs "$work/small"
	for size in 64k 256k 512k 1m 2m 3m 4m 5m; do
		mount -o "remount,size=$size" "$work/small" || continue
		try "$caisson" volume create data --size 64M --state "$work/small/state" \
			--config "$work/config-small"
		if [ "$status" -eq 0 ]; then
			point yes "a disk of $size is large enough"
			break
		fi
		ended "a disk of $size is full" 1 'No space left|full'
		same "in one sentence" 1 "$(grep -c '^caisson' <<<"$err")"
		same "and nothing is left" '' "$(ls -A "$work/small/state/volumes" 2>/dev/null)"
	done
	mount -o remount,size=64m "$work/small"
	try "$caisson" volume create second --size 64M --state "$work/small/state" \
		--config "$work/config-small"
	ended 'with room again, it works' 0
	dd if=/dev/zero of="$work/small/fill" bs=64k status=none 2>/dev/null
	try "$caisson" volume destroy second --state "$work/small/state" \
		--config "$work/config-small"
	ended 'a full disk is no reason to keep what fills it' 0 'key forgotten, header overwritten'
	rm "$work/small/fill"
	same 'nothing of it is left' data "$(ls -A "$work/small/state/volumes")"
else
	skip 'needs root, to mount a tmpfs' 'full disks'
fi

tap_end
