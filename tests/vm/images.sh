#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images of every kind, each of which gets nothing that it has not got, and platforms of every kind.
# shellcheck disable=SC2016 # what is quoted, the guest expands
set -u
# shellcheck source=tests/lib/vm.sh
. "$(dirname "$0")/../lib/vm.sh"
vm_begin "$1"
mkimage=$source/tests/lib/mkimage.sh

# Kinds

try vm --rm "$work/images/glibc" bash -c 'echo "bash ${BASH_VERSINFO[0]}"; id -un; ls -d /usr
	exec 3<>/dev/null; [[ -t 0 ]] || echo "no terminal"'
ended 'glibc: bash and its libraries' 0
same 'work' 'bash 5 root /usr no terminal' "$(xargs <"$work/out")"
try vm --rm "$work/images/musl" write /note text
ended 'musl, linked dynamically, by its entrypoint' 0
try vm --rm "$work/images/musl"
like 'without arguments' '^hello, uid 0 gid 0$' "$out"
try vm --rm --user 77:78 "$work/images/scratch" one
ended 'scratch: one static program' 0
same 'which gets its user and its arguments' 'hello, uid 77 gid 78 argument 0: /hello argument 1: one' \
	"$(xargs <"$work/out")"
try vm --rm "$work/images/scratch" exit 42
ended 'and gives its status' 42

# What an image says of itself

mkdir -p "$work/root/bin" "$work/upper/etc" "$work/upper/old" "$work/root/old" "$work/root/etc" \
	"$work/root/gone" "$work/top"
cp "$(command -v busybox)" "$work/root/bin/busybox"
for name in sh cat ls id echo env pwd hostname stat find; do
	ln -s busybox "$work/root/bin/$name"
done
printf 'app:x:1000:1000::/home/app:/bin/sh\n' >"$work/root/etc/passwd"
echo lower >"$work/root/old/file"
echo lower >"$work/root/gone/file"
echo lower >"$work/root/replaced"
echo kept >"$work/root/kept"
ln -s /etc/passwd "$work/root/link"
echo upper >"$work/upper/replaced"
: >"$work/upper/.wh.gone"
: >"$work/upper/old/.wh..wh..opq"
echo upper >"$work/upper/old/new"
echo top >"$work/top/top"
"$mkimage" "$work/said" "$work/root" --extra-layer "$work/upper" --extra-layer "$work/top" \
	--entrypoint '["/bin/sh","-c"]' --cmd \
	'["pwd; id -u; id -g; echo $FROM_IMAGE $BOTH; cat /replaced /kept /old/* /top; ls -d /gone; echo \"$@\"", "zero", "one  two"]' \
	--env FROM_IMAGE=yes --env BOTH=image --user app --workdir /work --tag first \
	--archive "$work/said.tar" --compression zstd
try vm --rm --env BOTH=user "oci:$work/said:first"
ended 'oci:FOLDER:TAG; its Entrypoint and Cmd' 0
same 'WorkingDir, User, Env, layers with whiteouts' \
	'/work 1000 1000 yes user upper kept upper top one  two' \
	"$(tr '\n' ' ' <"$work/out" | sed 's/ $//')"
like 'what was whited out is gone' "ls: /gone: No such file" "$err"
try vm --rm "oci-archive:$work/said.tar" 'echo "$0"' operand
ended 'oci-archive:FILE, and a Cmd of the user' 0
same 'takes the place of the image'"'"'s' operand "$out"
try vm --rm --entrypoint '' "$work/said.tar" /bin/echo direct
ended 'a path alone; an empty entrypoint' 0
same 'leaves the command' direct "$out"
expect 'a tag that is not there' 125 'other' run "oci:$work/said:other" true
cd "$work" || exit 2
try vm --rm said 'echo here'
ended 'a relative path' 0
same 'all of these are one image, flattened once' 1 \
	"$(find "$CAISSON_STATE/images" -mindepth 1 -maxdepth 1 -newer "$work/said.tar" | wc -l)"

# What is no image

cp -r "$work/said" "$work/broken"
blob=$(find "$work/broken/blobs/sha256" -type f -size +100k | head -n 1)
dd if=/dev/zero of="$blob" bs=1 seek=5000 count=8 conv=notrunc status=none
fresh=(--state "$work/fresh" --config "$work/fresh-config")
try vm "${fresh[@]}" "$work/broken" true
ended 'a layer whose digest does not match' 125 'digest|sha256'
head -c 100000 "$work/said.tar" >"$work/cut.tar"
try vm "oci-archive:$work/cut.tar" true
ended 'an archive that was cut' 125 'cut.tar'
"$mkimage" "$work/foreign" "$work/top" --architecture s390x
try vm "$work/foreign" true
ended 'an image for another processor' 125 's390x'
mkdir "$work/climb"
python3 - "$work/climb/dots.tar" "$work/climb/link.tar" <<'END'
import io, sys, tarfile
def member(name, data=None, target=None):
    info = tarfile.TarInfo(name)
    if target:
        info.type, info.linkname = tarfile.SYMTYPE, target
    else:
        info.size = len(data)
    return info, io.BytesIO(data or b'')
with tarfile.open(sys.argv[1], 'w') as tar:
    tar.addfile(*member('../../escaped', b'x'))
with tarfile.open(sys.argv[2], 'w') as tar:
    tar.addfile(*member('out', target='/tmp'))
    tar.addfile(*member('out/escaped', b'x'))
END
for kind in dots link; do
	"$mkimage" "$work/climb/$kind" "$work/climb/$kind.tar"
	try vm "$work/climb/$kind" true
	ended "a layer that climbs out ($kind)" 125 'escaped|climbs|\.\.'
done
check_not 'none did' test -e "$work/escaped" -o -e /tmp/escaped
"$mkimage" "$work/empty" "$work/top"
try vm "$work/empty"
ended 'an image without a command' 125 'no command'
same 'nothing half-made is left of them' '' "$(find "$CAISSON_STATE" "$work/fresh" -name '.new-*')"

tap_end
