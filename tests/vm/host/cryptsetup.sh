#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What caisson makes, cryptsetup opens, checks, re-keys and reencrypts; what cryptsetup makes, caisson
# treats rightly.
set -u
# shellcheck source=tests/lib/host-guest.sh
. /caisson/tests/lib/host-guest.sh
host_guest_begin "$1" open close "key add" export
make_tree "$work/tree"
weak=(--pbkdf pbkdf2 --pbkdf-force-iterations 1000)
weak_argon=(--pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 32768)

# Volumes of all kinds, opened by cryptsetup

for options in '' '--sector-size 512' '--sector-size 1024' '--sector-size 2048' '--cipher aes-xts-plain64 --key-size 256' \
	'--cipher aes-cbc-essiv:sha256 --key-size 256' '--cipher serpent-xts-plain64' '--label red' --preallocate; do
	# shellcheck disable=SC2086
	try "$caisson" volume create data --size 64M --from "$work/tree" $options
	case $options in
	*cbc* | *serpent*)
		# Ciphers that caisson does not have itself may be refused, in a sentence.
		if [ "$status" -ne 0 ]; then
			ended "create $options: refused" 1 'only the kernel can encrypt'
			same "create $options: nothing is left" '' "$(ls -A "$CAISSON_STATE/volumes")"
			# shellcheck disable=SC2086
			volume "create $options, empty" create data --size 64M $options
			volume "create $options: mounted" mount data --kernel --target "$work/mnt"
			like "create $options: so encrypted" "crypt ${options:9:12}" "$(dmsetup table caisson-data)"
			cp -a "$work/tree/." "$work/mnt/"
			same_tree "create $options: filled" "$work/tree" "$work/mnt"
			volume "create $options: unmounted" unmount data
			refused "create $options: not in user space" 'kernel|dm-crypt|cipher' open data --userspace
			volume "create $options: destroyed" destroy data
			continue
		fi
		;;
	esac
	ended "create $options" 0
	service_key data
	try cryptsetup luksDump "$(container_of data)"
	ended "create $options: cryptsetup luksDump" 0
	case $options in
	*512 | *1024 | *2048) like "create $options: in the header" "sector: ${options##* }" "$out" ;;
	*256) like "create $options: in the header" 'Key: *256 bits' "$out" ;;
	--label*) like "create $options: in the header" 'Label:[[:space:]]*red' "$out" ;;
	esac
	try cryptsetup open --key-file "$work/service" "$(container_of data)" other
	ended "create $options: cryptsetup open" 0
	try e2fsck -fn /dev/mapper/other
	ended "create $options: e2fsck" 0
	mount -o ro /dev/mapper/other "$work/mnt"
	same_tree "create $options: the files" "$work/tree" "$work/mnt"
	umount "$work/mnt"
	cryptsetup close other
	volume "create $options: destroyed" destroy data
done
if [ -e /sys/module/dm_integrity ] || modprobe dm-integrity; then
	try timeout 120 "$caisson" volume create data --size 64M --integrity hmac-sha256
	ended 'create --integrity' 0
	if [ "$status" -eq 0 ]; then
		service_key data
		like 'in the header' 'integrity: hmac' "$(cryptsetup luksDump "$(container_of data)")"
		try cryptsetup open --key-file "$work/service" "$(container_of data)" other
		ended 'cryptsetup opens it' 0
		try e2fsck -fn /dev/mapper/other
		ended 'e2fsck' 0
		cryptsetup close other
		volume 'opened' open data --kernel
		volume 'closed' close data
		refused 'in user space' integrity open data --userspace
	fi
	volume 'destroyed' destroy data
fi

# Keys, changed by either

volume 'a volume' create data --size 64M --from "$work/tree"
container=$(container_of data)
service_key data
volume 'caisson adds a key file' key add data --new-key-file "$work/key-a"
check 'cryptsetup opens with it' cryptsetup open --test-passphrase --key-file "$work/key-a" "$container"
check 'cryptsetup adds another' cryptsetup luksAddKey "${weak[@]}" --key-file "$work/key-a" "$container" "$work/key-b"
volume 'caisson opens with that' open data --kernel --key-file "$work/key-b"
volume 'closed' close data
check 'cryptsetup changes it' cryptsetup luksChangeKey "${weak_argon[@]}" --key-file "$work/key-b" "$container" \
	"$work/key-c"
volume 'caisson opens with the new' open data --kernel --key-file "$work/key-c"
volume 'closed' close data
refused 'but not with the old' 'key' open data --kernel --key-file "$work/key-b"
nothing_left 'nothing is left of a wrong key'
volume 'caisson changes it' key change data --key-file "$work/key-c" --new-key-file "$work/key-b"
check_not 'cryptsetup does not open with the old' cryptsetup open --test-passphrase --key-file "$work/key-c" "$container"
check 'but with the new' cryptsetup open --test-passphrase --key-file "$work/key-b" "$container"
volume 'caisson removes it' key remove data --key-file "$work/key-b"
check_not 'cryptsetup does not open with it' cryptsetup open --test-passphrase --key-file "$work/key-b" "$container"
check 'cryptsetup removes the other' cryptsetup luksRemoveKey --batch-mode "$container" "$work/key-a"
refused 'with which caisson opens no more' key open data --kernel --key-file "$work/key-a"
volume 'the key of the key service is left' open data --kernel
volume 'closed' close data
refused 'and is not removed as the last' 'last|only' key remove data --service
check 'cryptsetup repair' cryptsetup repair --batch-mode "$container"
volume 'a key file from a descriptor' key add data --new-key-fd 9 9<"$work/key-a"
check 'is the same' cryptsetup open --test-passphrase --key-file "$work/key-a" "$container"
volume 'inspect' inspect data
unlike 'tells no key' "$(od -An -tx1 "$work/key-a" | tr -d ' \n' | cut -c 1-16)" "$out"

# Backup and restore

volume 'backup' backup data "$work/header"
check 'which cryptsetup takes for one' cryptsetup isLuks "$work/header"
same 'for its owner alone' 600 "$(stat -c %a "$work/header")"
check 'cryptsetup opens with it' cryptsetup open --test-passphrase --key-file "$work/key-a" "$work/header"
cryptsetup luksHeaderBackup --header-backup-file "$work/header-2" "$container"
dd if=/dev/urandom of="$container" bs=64k count=16 conv=notrunc status=none
refused 'a header that is gone' 'header' open data --kernel
volume 'restore' restore data "$work/header"
volume 'and it opens' open data --kernel
volume 'closed' close data
dd if=/dev/urandom of="$container" bs=64k count=16 conv=notrunc status=none
volume "restore of cryptsetup's backup" restore data "$work/header-2"
volume 'and it opens' open data --kernel
volume 'closed' close data
rm "$work/header-2"
check 'cryptsetup restores' cryptsetup luksHeaderRestore --batch-mode --header-backup-file "$work/header" "$container"
volume 'and it opens' open data --kernel
volume 'closed' close data
truncate -s 1M "$work/wrong"
cryptsetup luksFormat --batch-mode "${weak[@]}" --offset 32768 --key-file "$work/key-a" "$container.other" 2>/dev/null
refused 'a backup that is none' 'header|LUKS' restore data "$work/wrong"
volume 'and it still opens' open data --kernel
volume 'closed' close data

# Reencryption by cryptsetup: another volume key is another volume for the key service, and caisson says so

truncate -s 64M "$work/strange"
cp --sparse=always "$container" "$work/kept"
# A key file is one keyslot's alone, where there are several.
for slot in 0 1 2 3 4 5 6 7; do
	! cryptsetup open --test-passphrase --key-file "$work/key-a" --key-slot "$slot" "$container" 2>/dev/null || break
done
try cryptsetup reencrypt --force-offline-reencrypt --batch-mode --key-file "$work/key-a" --key-slot "$slot" "$container"
ended 'cryptsetup reencrypts' 0
check 'and opens it' cryptsetup open --test-passphrase --key-file "$work/key-a" "$container"
try timeout 60 "$caisson" volume open data --kernel
if [ "$status" -eq 0 ]; then
	point no 'the volume has another volume key than the key service recorded: opened without a word'
	"$caisson" volume close data
else
	ended 'another volume key than the key service recorded is refused' 1 'key|record'
fi
try timeout 60 "$caisson" volume export data "$work/out.raw" --key-file "$work/key-a"
if [ "$status" -eq 0 ]; then
	mount -o loop,ro "$work/out.raw" "$work/mnt"
	same_tree 'with the key file all is there' "$work/tree" "$work/mnt"
	umount "$work/mnt"
else
	ended 'with the key file it is refused in a sentence' 1 'key|record'
fi
# A reencryption that stands in the middle
cp --sparse=always "$work/kept" "$container"
try cryptsetup reencrypt --force-offline-reencrypt --init-only --batch-mode --key-file "$work/key-a" --key-slot "$slot" "$container"
ended 'a reencryption is begun' 0
for way in --kernel --userspace; do
	try timeout 60 "$caisson" volume open data $way
	ended "open $way in the middle of a reencryption: refused" 1 'reencrypt'
done
refused 'export, too' 'reencrypt' export data "$work/out2.raw"
check_not 'which leaves no file' test -e "$work/out2.raw"
refused 'and key add' 'reencrypt' key add data --new-key-file "$work/key-b"
volume 'but it is inspected' inspect data
volume 'and destroyed' destroy data

# What cryptsetup formatted is not overwritten, and its header in a volume's place is judged

truncate -s 100M "$work/disk"
device=$(losetup --find --show "$work/disk")
cryptsetup luksFormat --batch-mode "${weak_argon[@]}" --key-file "$work/key-a" "$device"
before=$(sha256sum <"$device")
refused 'a device with LUKS2 on it' 'overwrite|LUKS|already' create data --size 64M --device "$device"
same 'is not touched' "$before" "$(sha256sum <"$device")"
mkfs.xfs -q -f "$device" 2>/dev/null || mke2fs -q -F "$device"
refused 'a device with a filesystem' 'overwrite|holds|already' create data --size 64M --device "$device"
mke2fs -q -F "$device" && mount "$device" "$work/mnt"
refused 'a device that is mounted' 'mounted|use|busy' create data --size 64M --device "$device"
try "$caisson" volume create data --size 64M --device "$device" --overwrite
ended 'with --overwrite, too' 1
umount "$work/mnt"
volume 'with --overwrite, one that is not' create data --size 64M --device "$device" --overwrite
volume 'destroyed' destroy data
losetup -d "$device"

volume 'a volume' create data --size 64M
container=$(container_of data)
formats=("--type luks2 --sector-size 512" "--type luks2 --cipher aes-xts-plain64 --key-size 256"
	"--type luks2 --pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 1000000" "--type luks1"
	"--type luks2 --cipher null-ecb --key-size 128")
for format in "${formats[@]}"; do
	truncate -s 64M "$work/foreign"
	[[ $format == *pbkdf* ]] || format+=' --pbkdf pbkdf2 --pbkdf-force-iterations 1000'
	# shellcheck disable=SC2086
	cryptsetup luksFormat --batch-mode $format --key-file "$work/key-a" "$work/foreign" || {
		skip 'cryptsetup does not make it' "in its place: $format"
		rm "$work/foreign"
		continue
	}
	cp --sparse=always "$work/foreign" "$container"
	try timeout 60 "$caisson" volume inspect data
	ended "in its place: $format: inspect" 0
	for way in --kernel --userspace; do
		try timeout 60 "$caisson" volume open data $way
		ended "in its place: $format: not with the key service's key, $way" 1
		same "in its place: $format: in one sentence, $way" 1 "$(grep -c '^caisson' <<<"$err")"
	done
	nothing_left "in its place: $format: nothing is left"
	rm "$work/foreign"
done
volume 'destroyed' destroy data

tap_end
