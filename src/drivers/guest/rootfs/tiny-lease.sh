#!/bin/busybox sh
# What udhcpc calls: takes the address that was leased.
case $1 in
  deconfig) ip addr flush dev "$interface" ;;
  bound | renew)
    ifconfig "$interface" "$ip" netmask "${subnet:-255.255.255.0}"
    for gateway in $router; do ip route replace default via "$gateway" dev "$interface"; done
    [ "$interface" != eth0 ] || ip route replace 169.254.0.0/16 dev "$interface"
    {
      [ -z "$domain" ] || echo "search $domain"
      for server in $dns; do echo "nameserver $server"; done
    } >/etc/resolv.conf
    ;;
esac
