#!/usr/bin/env bash
# Boots a Debian under its own systemd, in namespaces of its own: its processes, mounts, network and
# control groups are not this machine's. $1 is the folder it is in, $2 one with files to add; it
# writes to neither. It runs, without output, until this process gets a SIGKILL.
set -euo pipefail

base=$1 files=$2
root=/mnt/root
groups=/mnt/groups

case ${RELAY_BOOT_STAGE-} in
'')
	RELAY_BOOT_STAGE=mounts exec unshare --mount --propagation private -- "$0" "$base" "$files"
	;;
mounts)
	mount -t tmpfs tmpfs /mnt
	mkdir /mnt/upper /mnt/overlay "$root" "$groups"
	mount -t overlay -o "lowerdir=$files:$base,upperdir=/mnt/upper,workdir=/mnt/overlay" overlay "$root"
	# The control group that will be the root of its own; those of earlier ones are done with.
	mount -t cgroup2 cgroup2 "$groups"
	for old in "$groups"/relay-boot-*; do
		[[ -d /proc/${old##*-} ]] || find "$old" -depth -type d -delete 2>/dev/null || true
	done
	mkdir "$groups/relay-boot-$$"
	echo $$ >"$groups/relay-boot-$$/cgroup.procs"
	umount "$groups"
	RELAY_BOOT_STAGE=system exec unshare --pid --fork --kill-child --mount --uts --ipc --net --cgroup -- \
		"$0" "$base" "$files"
	;;
esac

mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
	touch "$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"

# Not a mere chroot: in one of those, systemd could give no service a user namespace.
cd "$root"
pivot_root . .
umount --lazy .
# As a container manager leaves it, and systemd has it elsewhere: what it mounts for a service, such as its credentials,
# is seen by the service.
mount --make-rshared /
exec env -i container=relay-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --unit=multi-user.target --log-target=journal
