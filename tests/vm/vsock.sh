#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vsock, on a host that has it: a machine is that host. Its image is caisson with what it runs with, and
# inside, caisson starts a machine of its own through vhost-vsock. Slow: one emulator runs another.
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_begin "$1"
guest=$build/guest/${CAISSON_TEST_GUEST:-static}

release=$(find /boot -name 'vmlinuz-*' -printf '%f\n' | sort -V | tail -n 1)
release=${release#vmlinuz-}
root=$work/root

# A program, or anything else, with the libraries that it needs, where it stands here.
add() {
	local file
	for file in "$@"; do
		[ -e "$file" ] || continue
		tar -C / -c --no-recursion "${file#/}" | tar -C "$root" -x
		[ ! -L "$file" ] || add "$(readlink -f "$file")"
		ldd "$file" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
			cp --parents -L "$library" "$root"
		done
	done
}

mkdir -p "$root"/{boot,etc,tmp,var/tmp,usr/{bin,sbin,lib,lib64,share},build}
for folder in bin sbin lib lib64; do
	ln -s "usr/$folder" "$root/$folder"
done
cp "$(command -v busybox)" "$root/usr/bin/busybox"
for applet in sh mkdir cat ls modprobe insmod echo grep sleep dmesg tail; do
	ln -s busybox "$root/usr/bin/$applet"
done
printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$root/etc/passwd"
add "$(command -v qemu-system-x86_64)" "$(readlink -f "$(command -v mksquashfs)")" \
	"$(command -v mke2fs)" "$(command -v e2fsck)"
ln -s "$(readlink -f "$(command -v mksquashfs)")" "$root/usr/bin/mksquashfs" 2>/dev/null
cp -a --parents /usr/share/qemu /usr/share/seabios "$root"
for module in /usr/lib/x86_64-linux-gnu/qemu/accel-tcg-*.so; do
	add "$module"
done
add /lib/x86_64-linux-gnu/libgcc_s.so.1 /usr/lib/x86_64-linux-gnu/libgcc_s.so.1 /etc/mke2fs.conf
cp -L "$build/caisson" "$build/caisson-commands" "$root/build"
cp -a "$guest" "$root/build/guest"
add "$build/caisson-commands" "$build"/guest/bundled/caisson-*
rm -rf "$root${build:?}"
cp -a --parents "/boot/vmlinuz-$release" "/boot/config-$release" "$root"
mkdir -p "$root/usr/lib/modules/$release"
(cd "/lib/modules/$release" && cp -a --parents modules.* kernel/{crypto,lib,net/vmw_vsock} \
	kernel/drivers/{block,char,md,net,virtio,vhost} kernel/fs/{squashfs,overlayfs} kernel/arch \
	"$root/usr/lib/modules/$release")
ldconfig -r "$root"
mkdir -p "$work/inner"
cc -static -Os -o "$work/inner/hello" "$source/tests/lib/hello.c"
"$source/tests/lib/mkimage.sh" "$root/image" "$work/inner" --cmd '["/hello"]' >/dev/null

cat >"$root/job" <<'END'
#!/bin/sh
modprobe vhost_vsock || { dmesg | tail; exit 90; }
export CAISSON_STATE=/tmp/state CAISSON_CONFIG=/tmp/config CAISSON_GUEST=/build/guest
caisson=/build/caisson
$caisson volume create data --size 64M || exit 91
$caisson run --verbose --channel vsock --accelerator tcg --network none --boot-timeout 900 \
	--volume data:/data /image -- /hello write /data/note written || exit 92
$caisson run --accelerator tcg --network none --boot-timeout 900 \
	--volume data:/data /image -- /hello read /data/note || exit 93
END
chmod 0755 "$root/job"
"$source/tests/lib/mkimage.sh" "$work/host-image" "$root" --cmd '["/job"]' --compression none >/dev/null
rm -rf "$root"

try timeout 1700 "$caisson" run --verbose --platform q35 --memory 3G --network none "$work/host-image"
ended 'a machine that is a host runs a machine' 0
like 'its guest wrote to the volume and read it back' '^written' "$out"
like 'over vsock' 'microvm, TCG, vsock' "$err"
tap_end
