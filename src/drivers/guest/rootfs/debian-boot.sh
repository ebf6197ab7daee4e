#!/bin/sh
# Takes on the identity before the network and the SSH server need it. Drivers are loaded here rather than waited for.
modprobe -q -a virtio_net virtio_console virtio_rng isofs
. /usr/lib/consort/context.sh
boot_context || lease_all
[ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
