#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: LGPL-2.1-or-later
# /init of the first stage of a host in a machine (host.sh): disks, an overlay over them, and on with bash.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do
	insmod "/modules/$module" || echo "insmod $module failed"
done </modules/order
disk() { # SERIAL
	for block in /sys/block/vd*; do
		[ "$(cat "$block/serial" 2>/dev/null)" = "$1" ] && echo "/dev/${block##*/}"
	done
}
i=0
until [ -n "$(disk scratch)" ] || [ $i -ge 100 ]; do
	sleep 0.1
	i=$((i + 1))
done
mount -t squashfs -o ro "$(disk root)" /lower
mount -t tmpfs -o mode=0755 tmpfs /upper
mkdir /upper/data /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work overlay /root
mount -t squashfs -o ro "$(disk payload)" /root/caisson
mount -t ext4 "$(disk scratch)" /root/scratch
mkdir /dev/caisson
for block in /sys/block/vd*; do
	ln -s "../${block##*/}" "/dev/caisson/$(cat "$block/serial")"
done
for folder in proc sys dev; do
	mount --move "/$folder" "/root/$folder"
done
exec switch_root /root /bin/bash /caisson/tests/lib/host-init.sh
