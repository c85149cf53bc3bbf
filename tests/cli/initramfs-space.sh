#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Boot archives where there is no room for them: nothing half made is left, and what was there stays.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_private_mounts "$0" "$@"
tap_begin "$1"
cd "$work" || exit 2
# More than 256 KB in any form.
printf '%s\n' "file bin/bash /bin/bash" "file lib/libc $(ldd /bin/bash | grep -o '/[^ ]*libc.so.6')" >list

for kind in none zstd gzip:1 xz:0 lz4:1; do
	try "$build/tests/pack-archive" /dev/full "$kind" <list
	ended "$kind: a full disk" 1 'No space left'
	try python3 -c '
import os, subprocess, sys
reader, writer = os.pipe()
os.close(reader)
sys.exit(subprocess.run(sys.argv[1:], stdin=open("list"), stdout=writer).returncode)' \
		"$build/tests/pack-archive" /dev/stdout "$kind"
	ended "$kind: a reader that went away" 1 'Broken pipe'
done

if may_mount && mkdir small && mount -t tmpfs -o size=256k tmpfs small; then
	for kind in none zstd gzip:1 xz:0 lz4:1; do
		try "$build/tests/pack-archive" small/archive "$kind" <list
		ended "$kind: a disk that fills" 1 'No space left'
		same "$kind: has no half archive" 0 "$(stat -c %s small/archive)"
		rm small/archive
	done
	umount small
	mount -t tmpfs -o size=512k tmpfs small
	echo before >small/archive.img
	expect 'the command, on a disk that fills' 1 'No space left' \
		initramfs build --no-volumes -o small/archive.img
	same 'leaves what was there' before "$(cat small/archive.img)"
	same 'and nothing else' archive.img "$(ls -A small)"
else
	skip 'nothing can be mounted here' 'a disk that fills'
fi

# A limit on the size of a file is a full disk, too; the signal that comes with it is ignored.
if (trap '' XFSZ && ulimit -f 100 && ! "$build/tests/pack-archive" limited none <list 2>err); then
	point yes 'a file that may not grow'
	like 'says so' 'File too large' "$(cat err)"
	same 'and stays empty' 0 "$(stat -c %s limited)"
else
	point no 'a file that may not grow'
fi

tap_end
