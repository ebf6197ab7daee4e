#!/bin/busybox sh
# Process 1 of the Debian guest's initial RAM disk: finds the root disk by its serial number and goes on there.
export PATH=/bin
mount -t devtmpfs -o mode=755 dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
modprobe -q -a virtio_pci virtio_mmio virtio_blk

root_disk() {
  for block in /sys/block/vd*; do
    [ -e "$block/serial" ] || continue
    serial=
    read -r serial <"$block/serial" || true
    if [ "$serial" = root ]; then
      echo "/dev/${block##*/}"
      return 0
    fi
  done
  return 1
}

disk=$(root_disk) || disk=$(findfs LABEL=root) || {
  echo "consort: there is no root disk" >/dev/console
  poweroff -f
}
mount -t ext4 -o rw,noatime "$disk" /root || poweroff -f
mount --move /dev /root/dev
umount /proc /sys
exec switch_root /root /sbin/init
