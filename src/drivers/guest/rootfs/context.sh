# How a guest takes on who it is: sourced by what runs at boot and by what listens at the context port.
# A context is a directory with a shell script `steps` (calls of the functions below, every word of it quoted by the
# host manager) and what they refer to by number. It is applied as a whole, and again for another instance.
# Plain POSIX shell and few programs: each of them takes milliseconds in an emulated machine.

context_run=/run/consort
[ -d $context_run ] || mkdir -p $context_run

say() { echo "consort: $*" >/dev/console 2>/dev/null || true; }

# The disk with that serial number, as its driver or udev tells.
disk_of() {
  for block in /sys/block/vd*; do
    [ -e "$block/serial" ] || continue
    serial=
    read -r serial <"$block/serial" || true
    if [ "$serial" = "$1" ]; then
      echo "/dev/${block##*/}"
      return 0
    fi
  done
  return 1
}

# name mac: sets `device` to the interface with that hardware address; failing that (a machine resumed as another one) to
# the one so named.
find_interface() {
  for net in /sys/class/net/*; do
    device=${net##*/}
    read -r address <"$net/address" || continue
    [ "$address" != "$2" ] || return 0
  done
  device=$1
  [ -e "/sys/class/net/$1" ]
}

instance() { context_instance=$1; }

host() {
  echo "$1" >/proc/sys/kernel/hostname
  echo "$1" >/etc/hostname
}

# Seconds since 1970.
clock() { date -u -s "@$1" >/dev/null; }

# A file of random bytes: they count, and what was drawn from before is not drawn from again.
entropy() { /usr/lib/consort/reseed <"$context_directory/$1" || say "could not take in entropy"; }

# A machine id nobody else has.
machine_id() {
  echo "$1" >/etc/machine-id
}

# name mac address/prefix|dhcp mtu
interface() {
  find_interface "$1" "$2" || {
    say "there is no interface $1 ($2)"
    return 1
  }
  read -r flags <"/sys/class/net/$device/flags"
  # One that was never up has nothing to be rid of.
  if [ $((flags % 2)) = 1 ] || [ "$device" != "$1" ]; then
    ip link set dev "$device" down
    if [ "$device" != "$1" ]; then ip link set dev "$device" name "$1" || true; fi
    ip addr flush dev "$1"
  fi
  if [ "$3" = dhcp ]; then
    ip link set dev "$1" address "$2" mtu "$4" up
    lease_address "$1"
    return
  fi
  # Once it is up, the kernel tells everybody at which hardware address this one is now.
  echo 1 >"/proc/sys/net/ipv4/conf/$1/arp_notify"
  # The host manager reaches a guest from a link-local address that never leaves the host.
  if [ -x /bin/ifconfig ]; then
    # The same by fewer programs, and by less of each and of the kernel: all of it is translated anew after a resume.
    mask_of "${3#*/}"
    ifconfig "$1" hw ether "$2" mtu "$4" "${3%/*}" netmask "$mask" up || return 1
    [ "$1" != eth0 ] || route add -net 169.254.0.0 netmask 255.255.0.0 dev "$1"
  else
    ip addr add "$3" dev "$1"
    ip link set dev "$1" address "$2" mtu "$4" up
    [ "$1" != eth0 ] || ip route replace 169.254.0.0/16 dev "$1"
  fi
}

# prefix length: sets `mask` to the address mask of so many bits.
mask_of() {
  bits=$((0xffffffff << (32 - $1) & 0xffffffff))
  mask=$((bits >> 24)).$((bits >> 16 & 255)).$((bits >> 8 & 255)).$((bits & 255))
}

lease_address() {
  if command -v udhcpc >/dev/null 2>&1; then
    udhcpc -i "$1" -b -q -S -s /usr/lib/consort/lease </dev/null >/dev/null 2>&1 &
  else
    mkdir -p /run/systemd/network
    printf '[Match]\nName=%s\n[Network]\nDHCP=ipv4\n' "$1" >"/run/systemd/network/10-$1.network"
    networkctl reload 2>/dev/null || systemctl start systemd-networkd
  fi
}

# number path mode: a file of the context goes where it belongs.
file() {
  mkdir -p "${2%/*}/"
  rm -f "$2"
  cp "$context_directory/$1" "$2"
  chmod "$3" "$2"
}

# number: an archive of many of them, all at once.
files() { tar -x -m -f "$context_directory/$1" -C /; }

# numbers of one Ed25519 key: an archive with it in Dropbear's form, one with OpenSSH's files.
ssh_host_key() {
  if [ -d /etc/dropbear ]; then
    files "$1"
  else
    rm -f /etc/ssh/ssh_host_*
    files "$2"
  fi
}

# serial path type options
filesystem() {
  disk=$(disk_of "$1") || {
    say "there is no disk $1"
    return 1
  }
  mkdir -p "$2"
  grep -q " $2 " /proc/mounts || {
    modprobe -q "$3" 2>/dev/null || true
    mount -t "$3" -o "$4" "$disk" "$2"
  }
}

# serial
swap() {
  disk=$(disk_of "$1") || return 1
  grep -q "^$disk " /proc/swaps || swapon "$disk"
}

# What a guest runs; begins once everything else is there.
command_file() { context_command="$context_directory/$1"; }

# directory: 0, or 1 when a step failed; all of them are tried. Sets context_instance and context_command.
apply_context() {
  context_directory=$1
  context_instance=
  context_command=
  context_failed=0
  . "$1/steps"
  echo "$context_instance" >$context_run/instance
  return $context_failed
}

# What a machine that boots is told by its context disk; fails when it has none.
boot_context() {
  disk=$(disk_of cidata) || disk=$(findfs LABEL=cidata 2>/dev/null) || return 1
  mkdir -p $context_run/disk
  mount -t iso9660 -o ro "$disk" $context_run/disk || return 1
  rm -rf $context_run/context
  mkdir -m 700 $context_run/context
  tar -x -f $context_run/disk/consort.tar -C $context_run/context || return 1
  umount $context_run/disk
  outcome=applied
  apply_context $context_run/context || outcome=failed
  echo "$outcome $context_instance" >$context_run/applied
}

# Without a context every interface asks for an address.
lease_all() {
  for net in /sys/class/net/eth*; do
    [ -e "$net" ] || continue
    ip link set dev "${net##*/}" up
    lease_address "${net##*/}"
  done
}
