#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The process number 1 of a host in a machine (host.sh): runs the scripts, and ends the machine.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C TERM=dumb
mkdir -p /dev/shm /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t tmpfs -o mode=1777,size=600m tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
hostname host
ip link set lo up 2>/dev/null
modprobe -a loop dm-mod dm-crypt fuse
mkdir -p /run/cryptsetup
set -a
# shellcheck source=/dev/null
. /caisson/environment
set +a
# What one script left is not the next one's.
clear_up() {
	pkill -KILL caisson
	grep -o ' /scratch/[^ ]*' /proc/self/mounts | sort -r | xargs -r umount --lazy
	DM_DISABLE_UDEV=1 dmsetup remove_all --force
	losetup --detach-all
	rm -rf /scratch/caisson-test.*
}

tap=
for port in /sys/class/virtio-ports/*; do
	[ "$(cat "$port/name")" = org.caisson.tap ] && exec {tap}>"/dev/${port##*/}"
done
while read -r script; do
	began=$EPOCHREALTIME
	echo "#host begin $script" >&"$tap"
	# The kernel's messages and the scripts' standard error are the console.
	timeout --kill-after=5 "${HOST_SCRIPT_TIMEOUT:-900}" bash "/caisson/scripts/$script" /caisson/build \
		</dev/null >&"$tap" {tap}>&-
	status=$?
	clear_up >/dev/console 2>&1
	echo "#host time $script took $(((${EPOCHREALTIME/./} - ${began/./}) / 1000)) ms" >&"$tap"
	echo "#host end $script $status" >&"$tap"
done </caisson/scripts.list
exec {tap}>&-
sync
echo b >/proc/sysrq-trigger
sleep 60
