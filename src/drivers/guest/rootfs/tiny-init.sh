#!/bin/busybox sh
# Process 1 of the tiny guest: file systems, drivers, identity, then the guest agent, SSH and the command.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux
mount -t devtmpfs -o mode=755 dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,gid=5 pts /dev/pts
mount -t tmpfs -o mode=755 run /run
ln -sf /proc/self/fd /dev/fd
exec </dev/console >/dev/console 2>&1
# Until here only what ends it was told: a kernel without PCI complains of having none.
echo 4 >/proc/sys/kernel/printk

# A processor that had to wait while it measured its timer may go without, and where there is no other one every wait is
# for ever: it measures again.
has_timer() {
  while read -r name count rest; do
    case "$name $count $rest" in
      "LOC: 0 "*) ;;
      "LOC: "* | *timer) return 0 ;;
    esac
  done </proc/interrupts
  return 1
}
has_timer || {
  echo "consort: this guest has no timer and begins anew"
  echo b >/proc/sysrq-trigger
}

# Those that a boot waits for; the others come afterwards.
bus=virtio_mmio
for device in /sys/bus/pci/devices/*; do
  [ ! -e "$device" ] || bus=virtio_pci
  break
done
modprobe -q -a $bus virtio_blk virtio_net virtio_console isofs
ip link set dev lo up

. /usr/lib/consort/context.sh

keep_running() { while :; do "$@" </dev/null >/dev/null 2>&1; sleep 0.2; done; }

boot_context || lease_all

[ -s /etc/dropbear/dropbear_ed25519_host_key ] || dropbearkey -t ed25519 -f /etc/dropbear/dropbear_ed25519_host_key >/dev/null 2>&1
# It reads its host key for each connection (-R, and no key at its start: there is no such file), so that it need not be
# started again when this guest becomes another one: starting it takes longer than all else that is to be done then.
keep_running dropbear -F -s -R -r /run/no-key -P /run/dropbear.pid &
/usr/lib/consort/listen &
# Whoever waits for the SSH server comes first.
sh -c 'renice -n 19 -p $$ >/dev/null; exec modprobe -q -a "$@"' late virtio_rng virtio_balloon virtio_mem button evdev pvpanic pvpanic_pci
for port in /sys/class/virtio-ports/*; do
  [ -e "$port/name" ] || continue
  read -r name <"$port/name"
  [ "$name" != org.qemu.guest_agent.0 ] || keep_running qemu-ga -m virtio-serial -p "/dev/${port##*/}" -t /run &
done
keep_running acpid -d -c /etc/acpi &
# A shell on the console, for whoever presses Enter there: only its host's people can.
give_shells() {
  cd
  while read -r _; do
    setsid -c sh -l </dev/ttyS0 >/dev/ttyS0 2>&1 &
    echo $! >/run/console-shell.pid
    wait
  done
}
give_shells </dev/ttyS0 &

# Whether anything but this process and the kernel's own runs.
others_run() {
  for process in /proc/[0-9]*; do
    line=
    [ "$process" = /proc/1 ] || read -r line <"$process/cmdline"
    [ -z "$line" ] || return 0
  done 2>/dev/null
  return 1
}

# Programs get their time; the host manager ends the machine when its patience does.
finish() {
  trap '' TERM USR1 USR2
  kill -TERM -1
  # A shell that somebody types into takes no notice of that.
  [ ! -e /run/console-shell.pid ] || {
    read -r shell </run/console-shell.pid
    kill -HUP "$shell"
  } 2>/dev/null
  tries=0
  while [ $tries -lt 600 ] && others_run; do
    tries=$((tries + 1))
    sleep 0.05
  done
  sync
  umount -a -r 2>/dev/null
  "$1" -f
}
# As busybox's own tools ask for it.
trap 'finish halt' USR1
trap 'finish poweroff' USR2
trap 'finish reboot' TERM
while :; do
  sleep 86400 &
  wait
done
