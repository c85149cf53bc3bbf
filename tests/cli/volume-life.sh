#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Volumes through all that is done to them: keys, backups, damage, copies, images, sizes. Nothing here
# needs root, nor device-mapper.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_private_mounts "$0" "$@"
tap_begin "$1"
PATH=$PATH:/sbin:/usr/sbin

# A field of the JSON on standard output.
field() { # PYTHON-EXPRESSION-OF-d
	python3 -c "import json, sys; d = json.load(open(sys.argv[1])); print($1)" "$work/out"
}

container_of() { # VOLUME
	echo "$CAISSON_STATE/volumes/$1/container"
}

volume() { # SUBCOMMAND...
	"$caisson" volume "$@"
}

# The plain filesystem of a volume, in a file.
plain_of() { # VOLUME FILE [OPTION...]
	local name=$1 file=$2
	shift 2
	rm -f "$file"
	volume export "$name" "$file" "$@" >"$work/export.out" 2>&1 || cat "$work/export.out" >&2
}

# What check says of one part: good, BAD, or "not checked".
verdict() { # PART
	sed -n "s/^$1 *\(good\|BAD\|not checked\) .*/\1/p" <<<"$out"
}

# Overwrites bytes of the payload with a filesystem's own tools: the volume's content is exported,
# changed, and made a volume again.
change_content() { # VOLUME COMMAND-OF-DEBUGFS...
	local name=$1
	shift
	plain_of "$name" "$work/changed"
	for command; do
		debugfs -w -R "$command" "$work/changed" >/dev/null 2>&1
	done
	volume destroy "$name" >/dev/null 2>&1
	volume create "$name" --from "$work/changed" >/dev/null
	rm -f "$work/changed"
}

nothing_left() { # DESCRIPTION
	same "$1" '' "$(find "$CAISSON_STATE" -name '.new-*' -o -name redo -o -name rekey)"
}

head -c 64 /dev/urandom >"$work/random"
head -c 64 /dev/urandom >"$work/random2"
printf 'correct horse' >"$work/passphrase"
mkdir "$work/tree"
printf 'hello\n' >"$work/tree/hello"
head -c 3000000 /dev/urandom >"$work/tree/noise"
mke2fs -q -F -t ext4 -d "$work/tree" "$work/ext4.img" 24M >/dev/null

# Options of create

for size in 512 1024 2048 4096; do
	try volume create sectors --size 32M --sector-size "$size"
	ended "--sector-size $size" 0
	try volume inspect sectors --json
	same 'is in the header' "$size" "$(field 'd["sector_size"]')"
	plain_of sectors "$work/plain"
	check 'its filesystem is whole' e2fsck -fn "$work/plain"
	volume destroy sectors >/dev/null 2>&1
done
for size in 0 256 500 1000 8192 x -1; do
	try volume create sectors --size 32M --sector-size="$size"
	check "--sector-size $size is refused" test "$status" -ne 0
done
expect '--key-size 256' 0 '' volume create short --size 32M --key-size 256
try volume inspect short --json
same 'is in the header' 256 "$(field 'd["key_bits"]')"
plain_of short "$work/plain"
check 'its filesystem is whole' e2fsck -fn "$work/plain"
for bits in 0 100 128 384 1024 4096; do
	try volume create bits --size 32M --key-size "$bits"
	check "--key-size $bits is refused" test "$status" -ne 0
done
for cipher in aes-xts-plain64x aes '' - aes- -aes null-ecb cipher_null-ecb '../x-y' \
	"$(printf 'a%.0s' {1..100})-xts"; do
	try volume create bits --size 32M --cipher="$cipher"
	check "--cipher '$cipher' is refused" test "$status" -ne 0
	same 'in one sentence' 1 "$(grep -c '^caisson' <<<"$err")"
done
expect '--label' 0 '' volume create label --size 32M --label 'a label'
try volume inspect label --json
same 'is in the header' 'a label' "$(field 'd["label"]')"
plain_of label "$work/plain"
same 'and in the filesystem' 'a label' "$(e2label "$work/plain")"
try volume inspect short --json
same "without one it is the volume's name, in the header" short "$(field 'd["label"]')"
plain_of short "$work/plain"
same 'and in the filesystem' short "$(e2label "$work/plain")"
try volume create long --size 32M --label "$(printf 'l%.0s' {1..200})"
check 'a label that is too long is refused, or cut' test "$status" -le 1
volume destroy long >/dev/null 2>&1
expect '--preallocate' 0 '' volume create full --size 40M --preallocate
check 'takes all of its space' test \
	"$(stat -c '%b*%B' "$(container_of full)" | xargs -I{} echo '{}' | bc)" -ge 41943040
expect '--thin and --preallocate' 2 'one of them' volume create x --size 32M --thin --preallocate
volume destroy short label full >/dev/null 2>&1
nothing_left 'nothing half-made is left of the refused ones'
same 'and no volume' '' "$(ls -A "$CAISSON_STATE/volumes")"

# Images to begin with

for kind in ext2 ext3 ext4; do
	mke2fs -q -F -t "$kind" -d "$work/tree" "$work/$kind.img" 24M >/dev/null
	expect "--from an image of $kind" 0 '' volume create image --from "$work/$kind.img"
	plain_of image "$work/plain"
	check 'the filesystem is whole' e2fsck -fn "$work/plain"
	debugfs -R 'dump noise /dev/stdout' "$work/plain" 2>/dev/null >"$work/noise"
	check 'and what is in it' cmp -s "$work/noise" "$work/tree/noise"
	try volume list --json
	same 'which is known' "$kind" "$(field 'd[0]["filesystem"]')"
	volume destroy image >/dev/null 2>&1
done
for kind in xfs btrfs vfat; do
	command -v "mkfs.$kind" >/dev/null || {
		skip "mkfs.$kind is not installed" "--from an image of $kind"
		continue
	}
	rm -f "$work/$kind.img"
	truncate -s 320M "$work/$kind.img"
	"mkfs.$kind" "$work/$kind.img" >/dev/null 2>&1
	expect "--from an image of $kind" 0 '' volume create image --from "$work/$kind.img"
	plain_of image "$work/plain"
	check 'byte for byte' cmp -s "$work/$kind.img" "$work/plain"
	try volume check image
	check 'its filesystem is good, or not checked' test "$(verdict filesystem)" != BAD
	if [ "$kind" != vfat ] && is_root && [ -c /dev/fuse ]; then
		same 'good, by its own checker' good "$(verdict filesystem)"
	fi
	try volume resize image 330M
	[ "$kind" = vfat ] || {
		try volume resize image 100M
		ended "a volume with $kind does not shrink" 1 'can only grow'
	}
	volume destroy image >/dev/null 2>&1
	rm -f "$work/$kind.img"
done
head -c 1000000 /dev/urandom >"$work/rubbish"
try volume create image --from "$work/rubbish"
check '--from what is neither an image nor an archive' test "$status" -ne 0
same 'nothing is left' '' "$(ls -A "$CAISSON_STATE/volumes")"
expect '--from nothing' 1 'No such file' volume create image --from "$work/none"
expect '--from an image with --filesystem' 2 'makes no sense' volume create image \
	--from "$work/ext4.img" --filesystem ext4
expect '--from an image that does not fit' 1 'needs a volume of' volume create image \
	--from "$work/ext4.img" --size 32M
expect '--from an image, with room' 0 '' volume create image --from "$work/ext4.img" --size 64M
volume destroy image >/dev/null 2>&1

# Passphrases, key files

expect 'a passphrase from a file' 0 '' volume create pass --size 32M --key-file "$work/passphrase"
try volume key list pass --json
same 'is costly to guess' 'passphrase argon2id' "$(field 'd[0]["kind"] + " " + d[0]["kdf"]')"
try volume list
like 'the key service has none' '^pass .* no key' "$out"
expect 'without a key' 1 'no key for the volume' volume export pass "$work/x"
try volume export pass "$work/x" --passphrase </dev/null
ended 'with an empty passphrase' 2 'empty'
try volume export pass "$work/x" --passphrase <<<'wrong'
ended 'with another' 1 'does not open'
check_not 'nothing is written' test -e "$work/x"
rm -f "$work/plain"
try volume export pass "$work/plain" --passphrase <<<'correct horse'
ended 'with the right one' 0
try volume export pass "$work/y" --passphrase --memory-limit 64M <<<'correct horse'
ended '--memory-limit below what it costs' 1 'above the limit of 64'
try volume check pass --key-fd 5 5<"$work/passphrase"
ended 'a descriptor that is read' 0
try volume check pass --key-fd 77
ended 'a descriptor that is not open' 1 'descriptor 77'
try volume check pass --credential k
ended 'a credential without any' 1 'no credentials'
try env CREDENTIALS_DIRECTORY="$work" "$caisson" volume check pass --credential passphrase
ended 'a credential' 0
for name in ../random . '' /etc/passwd; do
	try env CREDENTIALS_DIRECTORY="$work/tree" "$caisson" volume check pass --credential="$name"
	ended "'$name' is no credential" 2 'no name of a credential'
done
try volume check pass --key-file "$work/passphrase" --key-fd 5 5<"$work/random"
ended 'two keys at once' 2 'one key'
volume destroy pass >/dev/null 2>&1

expect 'a volume of the key service' 0 '' volume create data --from "$work/ext4.img" --size 64M
: >"$work/empty"
expect 'an empty key file' 2 'empty' volume key add data --new-key-file "$work/empty"
head -c 8388609 /dev/urandom >"$work/large"
expect 'one that is too large' 1 'longer than 8388608' volume key add data \
	--new-key-file "$work/large"
truncate -s 8388608 "$work/large"
expect 'as large as may be' 0 '' volume key add data --new-key-file "$work/large"
expect 'opens it' 0 '' volume check data --key-file "$work/large"
truncate -s 8388607 "$work/large"
expect 'every byte counts' 1 '' volume check data --key-file "$work/large"
try volume key remove data --keyslot 1
ended 'removed by its number' 0
expect 'a folder for a key file' 1 '' volume key add data --new-key-file "$work/tree"
expect 'no new key' 2 'which new key' volume key add data
expect 'two new keys' 2 'one new key' volume key add data --new-recovery --new-service
expect "the service's twice" 1 'has a key' volume key add data --new-service
try volume key add data --new-recovery
ended 'a recovery key' 0 'keyslot 1'
recovery=$out
like 'is printed once, in letters' '^([cbdefghijklnrtuv]{8}-){7}[cbdefghijklnrtuv]{8}$' "$recovery"
try volume check data --passphrase <<<"$recovery"
ended 'and opens it' 0
printf '%s' "$recovery" >"$work/recovery"
check_not 'no file of state or configuration holds it' holds "$work/recovery" "$CAISSON_STATE" \
	"$CAISSON_CONFIG"
try volume key list data
like 'the list calls it so' '^1 +recovery +pbkdf2' "$out"
try volume inspect data --json
same 'and the header has its token' '1 recovery' \
	"$(field '(str(d["tokens"]) + " " + d["keyslot_list"][1]["kind"])')"
if command -v cryptsetup >/dev/null; then
	try cryptsetup open --test-passphrase --key-file "$work/recovery" "$(container_of data)"
	ended 'cryptsetup opens it with that' 0
	try cryptsetup luksDump "$(container_of data)"
	like "and knows whose token it is" 'systemd-recovery' "$out"
fi
try volume key remove data --passphrase <<<"$recovery"
ended 'removed' 0
try volume inspect data --json
same 'with its token' 0 "$(field 'd["tokens"]')"
expect 'remove of the last' 1 'is the last' volume key remove data --service
expect 'remove without saying which' 2 'which key' volume key remove data
expect 'a keyslot that is not there' 1 'no keyslot 9' volume key remove data --keyslot 9
expect 'a keyslot that cannot be' 2 '' volume key remove data --keyslot 32
expect 'a second key' 0 '' volume key add data --new-key-file "$work/random"
expect "the service's is removed" 0 '' volume key remove data --service
try volume list
like 'and is gone' '^data .* no key' "$out"
expect 'it comes back' 0 '' volume key add data --new-service --key-file "$work/random"
expect 'the first is changed' 0 '' volume key change data --key-file "$work/random" \
	--new-key-file "$work/random2"
expect 'the old one opens nothing' 1 '' volume check data --key-file "$work/random"
expect 'the new one does' 0 '' volume check data --key-file "$work/random2"
nothing_left 'nothing is left of a change'
plain_of data "$work/plain"
check 'all is in it still' cmp -s <(debugfs -R 'dump noise /dev/stdout' "$work/plain" 2>/dev/null) \
	"$work/tree/noise"

# Backup and restore

expect 'backup' 0 '' volume backup data "$work/header"
same 'for its owner alone' 600 "$(stat -c %a "$work/header")"
expect 'never over another file' 1 'exists' volume backup data "$work/header"
expect 'into no folder' 1 'No such file' volume backup data "$work/none/header"
expect 'of no volume' 1 'no volume' volume backup none "$work/header2"
if command -v cryptsetup >/dev/null; then
	try cryptsetup luksDump --disable-locks "$work/header"
	ended 'cryptsetup reads it' 0
	try cryptsetup luksHeaderBackup --disable-locks "$(container_of data)" \
		--header-backup-file "$work/header-stock"
	check 'it is what cryptsetup would have written, at its front' cmp -s -n \
		"$(stat -c %s "$work/header")" "$work/header" "$work/header-stock"
fi
dd if=/dev/urandom of="$(container_of data)" bs=1M count=2 conv=notrunc status=none
expect 'a header that is gone' 1 'no usable LUKS2 header' volume export data "$work/x"
expect 'is put back' 0 '' volume restore data "$work/header"
expect 'and opens' 0 '' volume check data
head -c 40000 "$work/header" >"$work/short"
expect 'half a backup' 1 'too small' volume restore data "$work/short"
expect 'no backup' 1 'no usable LUKS2 header' volume restore data "$work/rubbish"
expect 'nor a folder' 2 'no backup' volume restore data "$work/tree"
expect 'nor nothing' 1 'No such file' volume restore data "$work/none"
volume create other --size 32M >/dev/null
expect "another volume's" 1 'of another volume' volume restore other "$work/header"
expect "not even by force, over the service's record" 1 'of another volume' volume restore other \
	"$work/header" --force
expect 'which is as it was' 0 '' volume check other
volume backup other "$work/header-other" 2>/dev/null
volume key change other --new-service 2>/dev/null
try volume restore other "$work/header-other"
ended "a backup that the key service's key opens no more" 1 'does not open'
expect 'changed nothing' 0 '' volume check other
expect 'by force it is put there' 0 '' volume restore other "$work/header-other" --force
volume destroy other >/dev/null 2>&1
if command -v cryptsetup >/dev/null; then
	expect "cryptsetup's backup" 0 '' volume restore data "$work/header-stock"
	expect 'will do' 0 '' volume check data
fi
nothing_left 'nothing is left of a restore'

# Check, and damage

before=$(sha256sum <"$(container_of data)")
try volume check data
ended 'check of what is whole' 0
same 'each part is good' 'good good good good' \
	"$(for part in header keyslots key filesystem; do verdict "$part"; done | xargs)"
same 'nothing was changed' "$before" "$(sha256sum <"$(container_of data)")"
try volume check data --json
same 'check --json' 'True True 4' \
	"$(field 'all(p["good"] for p in d), all(p["checked"] for p in d), len(d)' | tr -d '(),')"
cp --sparse=always "$(container_of data)" "$work/whole"
damage() { # OFFSET
	printf 'damage' | dd of="$(container_of data)" bs=1 seek="$1" conv=notrunc status=none
}
mend() {
	cp --sparse=always "$work/whole" "$(container_of data)"
}
damage 5000
try volume check data
ended 'a damaged first copy of the header' 1
same 'is told, and the rest is good' 'BAD good good good' \
	"$(for part in header keyslots key filesystem; do verdict "$part"; done | xargs)"
like 'which copy' 'first copy' "$out"
expect 'no backup is made of it' 1 'first copy' volume backup data "$work/header3"
expect 'restore mends it' 0 '' volume restore data "$work/header"
expect 'check' 0 '' volume check data
damage 21000
try volume check data
ended 'a damaged second copy' 1
like 'which copy' 'second copy' "$out"
mend
damage 132768
try volume check data
ended "a damaged keyslot of the key service's" 1
check 'the key is what is bad' test "$(verdict key)" = BAD
mend
truncate -s 17M "$(container_of data)"
try volume check data
ended 'a container that was cut off' 1
same 'the filesystem is bad' BAD "$(verdict filesystem)"
mend
plain_of data "$work/plain"
truncate -s 10M "$(container_of data)"
try volume check data
check 'one that was cut off before the payload' test "$status" -eq 1
truncate -s 20000 "$(container_of data)"
try volume check data
check 'one without all of its header' test "$status" -eq 1
mend
change_content data 'set_super_value free_blocks_count 7' 'clri <2>'
try volume check data
ended 'a damaged inode' 1
same 'the filesystem is bad' BAD "$(verdict filesystem)"
expect 'a resize of it' 1 'e2fsck ended' volume resize data 80M
nothing_left 'which changes nothing'
volume destroy data >/dev/null 2>&1
volume create data --from "$work/ext4.img" --size 64M >/dev/null 2>&1
change_content data 'freeb 3000 200'
try volume check data
ended 'a damaged bitmap' 1
same 'is bad' BAD "$(verdict filesystem)"
volume destroy data >/dev/null 2>&1
volume create data --from "$work/ext4.img" --size 64M >/dev/null 2>&1
# A journal that was not replayed.
plain_of data "$work/plain"
debugfs -w -R 'journal_open' "$work/plain" >/dev/null 2>&1
printf 'journal_open\njournal_write -b 2000 /dev/zero\njournal_close\n' |
	debugfs -w -f /dev/stdin "$work/plain" >/dev/null 2>&1
volume destroy data >/dev/null 2>&1
volume create data --from "$work/plain" >/dev/null 2>&1
before=$(sha256sum <"$(container_of data)")
try volume check data
check 'a journal that waits is no damage, and is left waiting' test "$status" -le 1
same 'nothing was changed' "$before" "$(sha256sum <"$(container_of data)")"
volume destroy data >/dev/null 2>&1
volume create data --from "$work/ext4.img" --size 64M >/dev/null 2>&1

# Copy

expect 'copy' 0 '' volume copy data twin
plain_of data "$work/plain"
plain_of twin "$work/plain2"
check 'the same content' cmp -s "$work/plain" "$work/plain2"
try volume inspect data --json
uuid=$(field 'd["uuid"]')
try volume inspect twin --json
check 'another container' test "$(field 'd["uuid"]')" != "$uuid"
expect 'onto what is there' 1 'already' volume copy data twin
expect 'onto itself' 2 'copy of itself' volume copy data data
expect 'of nothing' 1 "no volume" volume copy none some
for name in ../x /x .x X ''; do
	try volume copy data "$name"
	check "'$name' is no name" test "$status" -ne 0
done
expect 'under a key of its own' 0 '' volume copy data third --new-key-file "$work/random"
try volume list
like 'which the service has not' '^third .* no key' "$out"
plain_of third "$work/plain2" --key-file "$work/random"
check 'the same content' cmp -s "$work/plain" "$work/plain2"
"$build/tests/machine-key" "$CAISSON_STATE" "$CAISSON_CONFIG" data 1 >"$work/machine"
expect "the source's key opens no copy" 1 '' volume check third --key-file "$work/machine"
rm "$work/machine"
volume destroy twin third >/dev/null 2>&1

# Export

rm -f "$work/image"
expect 'export' 0 '' volume export data "$work/image"
same 'for its owner alone' 600 "$(stat -c %a "$work/image")"
check 'a whole filesystem' e2fsck -fn "$work/image"
expect 'not over a file' 1 'there already' volume export data "$work/image"
expect 'but with --force' 0 '' volume export data "$work/image" --force
expect 'not over a folder' 1 'there already' volume export data "$work/tree" --force
ln -s "$work/image" "$work/link"
expect 'nor a link' 1 'there already' volume export data "$work/link" --force
mkfifo "$work/fifo"
expect 'nor a FIFO' 1 'no file' volume export data "$work/fifo" --force
expect 'into no folder' 1 'No such file' volume export data "$work/none/image"
expect 'qcow2' 0 '' volume export data "$work/image.qcow2" --format qcow2
if command -v qemu-img >/dev/null; then
	check 'which qemu-img finds whole' qemu-img check -q "$work/image.qcow2"
	check 'and the same' qemu-img compare -q -f raw -F qcow2 "$work/image" "$work/image.qcow2"
fi
check 'and small' test "$(stat -c %s "$work/image.qcow2")" -lt 20000000
expect 'encrypted, without a key' 2 'which new key' volume export data "$work/e" --encrypted
expect "encrypted, with the service's" 2 'names? a passphrase' volume export data "$work/e" \
	--encrypted --new-service
expect 'a key, and not encrypted' 2 'plain image has no key' volume export data "$work/e" \
	--new-key-file "$work/random"
expect 'encrypted' 0 '' volume export data "$work/e" --encrypted --new-key-file "$work/random"
expect 'encrypted qcow2' 0 '' volume export data "$work/e.qcow2" --encrypted --format qcow2 \
	--new-key-file "$work/random"
if command -v cryptsetup >/dev/null; then
	try cryptsetup open --test-passphrase --disable-locks --key-file "$work/random" "$work/e"
	ended 'cryptsetup opens it' 0
fi
mkdir "$CAISSON_STATE/volumes/back"
cp --sparse=always "$work/e" "$(container_of back)"
plain_of back "$work/plain2" --key-file "$work/random"
check 'the same content' cmp -s "$work/plain" "$work/plain2"
if command -v qemu-img >/dev/null; then
	check 'qemu-img finds the encrypted qcow2 whole' qemu-img check -q "$work/e.qcow2"
	qemu-img convert -f qcow2 -O raw "$work/e.qcow2" "$(container_of back)"
	plain_of back "$work/plain2" --key-file "$work/random"
	check 'and the content is the same' cmp -s "$work/plain" "$work/plain2"
fi
volume destroy back >/dev/null 2>&1
rm -f "$work"/e "$work"/e.qcow2 "$work"/image*

# Sizes

expect 'grow' 0 '' volume resize data 200M
try volume inspect data --json
same 'the container has it' 209715200 "$(field 'd["size"]')"
check 'and the filesystem' test "$(field 'd["filesystem_size"]')" -gt 190000000
expect 'it is whole' 0 '' volume check data
expect 'shrink' 0 '' volume resize data 48M
try volume inspect data --json
same 'the container has it' 50331648 "$(field 'd["size"]')"
expect 'it is whole' 0 '' volume check data
plain_of data "$work/plain"
check 'with all that is in it' cmp -s \
	<(debugfs -R 'dump noise /dev/stdout' "$work/plain" 2>/dev/null) "$work/tree/noise"
expect 'the same size' 0 '' volume resize data 48M
expect 'an odd size' 0 '' volume resize data 50331649
try volume inspect data --json
same 'is rounded up' 50335744 "$(field 'd["size"]')"
expect 'too small' 2 'at least 32 MiB' volume resize data 31M
expect 'far too large' 2 'too large' volume resize data 9223372036854775807
expect 'no size' 2 'is not a size' volume resize data 31x
expect 'nothing' 1 'no volume' volume resize none 64M
try volume resize data 7T
check 'more than any disk has is a sparse file, or a sentence' test "$status" -le 1
volume destroy data >/dev/null 2>&1
head -c 40000000 /dev/urandom >"$work/tree/large"
mke2fs -q -F -t ext4 -d "$work/tree" "$work/ext4-full.img" 64M >/dev/null
expect 'a filesystem that is rather full' 0 '' volume create data --from "$work/ext4-full.img"
before=$(sha256sum <"$(container_of data)")
expect 'cannot shrink so far' 1 'resize2fs ended' volume resize data 40M
same 'and nothing was changed' "$before" "$(sha256sum <"$(container_of data)")"
nothing_left 'nor left'
rm "$work/tree/large"
volume create raw --size 64M --filesystem none >/dev/null
expect 'what is not known does not shrink' 1 'not known' volume resize raw 40M
expect 'but grows' 0 '' volume resize raw 80M
volume destroy raw data >/dev/null 2>&1

# Without room

if may_mount; then
	volume create data --from "$work/ext4.img" --size 64M >/dev/null
	mkdir "$work/small"
	mount -t tmpfs -o size=3m,mode=0700 tmpfs "$work/small"
	expect 'an export without room' 1 'No space left' volume export data "$work/small/image"
	same 'leaves nothing' '' "$(ls -A "$work/small")"
	expect 'a qcow2 without room' 1 'No space left' volume export data "$work/small/image" \
		--format qcow2
	same 'leaves nothing' '' "$(ls -A "$work/small")"
	expect 'a backup with room' 0 '' volume backup data "$work/small/header"
	umount "$work/small"
	mount -t tmpfs -o size=64m,mode=0700 tmpfs "$work/small"
	small=(--state "$work/small/state" --config "$work/small-config")
	expect 'a volume on a small disk' 0 '' volume create data --from "$work/ext4.img" --size 48M \
		"${small[@]}"
	before=$(sha256sum <"$work/small/state/volumes/data/container")
	mount -o remount,size=8m "$work/small"
	dd if=/dev/zero of="$work/small/fill" bs=4k status=none 2>/dev/null
	for command in 'volume resize data 4G' 'volume copy data twin' \
		"volume key add data --new-key-file $work/random" 'volume key change data --new-service'; do
		# shellcheck disable=SC2086 # words
		try "$caisson" $command "${small[@]}"
		ended "no room: $command" 1 'No space left|full'
		same 'nothing was changed' "$before" \
			"$(sha256sum <"$work/small/state/volumes/data/container")"
	done
	rm "$work/small/fill"
	expect 'with room again it is whole' 0 '' volume check data "${small[@]}"
	same 'nothing is left of all that' '' \
		"$(find "$work/small/state/volumes" -name '.new-*' -o -name redo -o -name rekey)"
	mount -o remount,size=64m,ro "$work/small"
	try volume check data "${small[@]}"
	check 'a disk that cannot be written is told, or looked at' test "$status" -le 1
	check 'in words' test -n "$out$err"
	for command in 'inspect data' 'inspect data --json' 'key list data'; do
		# shellcheck disable=SC2086 # words
		expect "it is looked at: $command" 0 '' volume $command "${small[@]}"
	done
	umount "$work/small"
	volume destroy data >/dev/null 2>&1
else
	skip 'needs root, to mount a tmpfs' 'without room'
fi

# With files that may not grow as large

# shellcheck disable=SC2317 # called through try()
limited() { # COMMAND...
	(ulimit -f 20000 && "$@")
}
volume create data --size 64M >/dev/null
before=$(sha256sum <"$(container_of data)")
try limited "$caisson" volume create large --size 64M
ended 'a volume that is larger than files may be' 1 'File too large'
try limited "$caisson" volume export data "$work/limited"
ended 'nor an export' 1 'File too large'
try limited "$caisson" volume resize data 128M
ended 'nor a change of the size' 1 'File too large'
check_not 'leave nothing' test -e "$work/limited" -o -e "$(container_of large)"
same 'and change nothing' "$before" "$(sha256sum <"$(container_of data)")"
volume destroy data >/dev/null 2>&1

# Onto a file system that knows neither files without a name nor flags of a rename, as NFS

if may_mount && [ -c /dev/fuse ] && command -v fuse2fs >/dev/null; then
	volume create data --size 32M >/dev/null
	truncate -s 64M "$work/simple.img"
	mke2fs -q -F -t ext4 "$work/simple.img"
	mkdir "$work/simple"
	fuse2fs "$work/simple.img" "$work/simple" -o rw,fakeroot >/dev/null 2>&1
	expect 'an export' 0 '' volume export data "$work/simple/image"
	expect 'never over another' 1 'there already' volume export data "$work/simple/image"
	expect 'but with --force' 0 '' volume export data "$work/simple/image" --force
	expect 'a backup' 0 '' volume backup data "$work/simple/header"
	expect 'never over another file' 1 'exists' volume backup data "$work/simple/header"
	same 'nothing else is left there' 'header image lost+found' \
		"$(find "$work/simple" -mindepth 1 -printf '%f\n' | sort | paste -sd ' ')"
	umount "$work/simple"
	volume destroy data >/dev/null 2>&1
else
	skip 'needs root, /dev/fuse and fuse2fs' 'onto a file system that knows less'
fi

# Who has it

volume create data --size 64M >/dev/null
exec 8<"$(container_of data)"
flock -x 8
printf 'web-1' >"$CAISSON_STATE/volumes/data/holder"
for command in 'resize data 70M' 'key change data --new-service' 'copy data twin' \
	"export data $work/image" "backup data $work/header4" "restore data $work/header" \
	'open data' 'mount data' 'destroy data'; do
	# shellcheck disable=SC2086 # words
	try "$caisson" volume $command
	ended "in use: $command" 1 'in use by the machine web-1'
done
try volume check data
like 'check looks at what it can' 'filesystem +not checked +the volume is in use' "$out"
printf 'caisson volume copy (process 7)\n\033[2J' >"$CAISSON_STATE/volumes/data/holder"
expect 'another command' 1 'in use by caisson volume copy \(process 7\)$' volume resize data 70M
printf '\033[2Jx' >"$CAISSON_STATE/volumes/data/holder"
try volume list
unlike 'no escape sequence comes through' $'\033' "$out"
: >"$CAISSON_STATE/volumes/data/holder"
expect 'nobody says who' 1 'in use by another command' volume resize data 70M
exec 8<&-
expect 'free again' 0 '' volume resize data 70M

# Destroy

cp --sparse=always "$(container_of data)" "$work/copy"
volume key add data --new-key-file "$work/random" 2>/dev/null
try volume destroy data
ended 'destroy' 0 'key forgotten, header overwritten, (blocks given back, )?files deleted'
same 'says which' data "$out"
try volume destroy data
ended 'again' 0 'nothing to destroy'
same 'nothing is there' '' "$(find "$CAISSON_STATE"/{volumes,mounts,open} -mindepth 1 2>/dev/null)"
mkdir "$CAISSON_STATE/volumes/data"
cp "$work/copy" "$(container_of data)"
expect 'a copy of the file that somebody took opens with nothing' 1 'no key' volume export data \
	"$work/x"
try volume destroy data none
ended 'of one that is there and one that is not' 0
for name in .. ../volumes/x /etc '' .x 'a b'; do
	for command in destroy inspect check open mount close unmount; do
		try "$caisson" volume "$command" "$name"
		check "'$name' is no name: $command" test "$status" -ne 0
	done
done
nothing_left 'nothing half-made is left'

tap_end
