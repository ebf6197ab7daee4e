#!/usr/bin/perl
# Raw Ethernet frames, for trying what a machine with every right over its own interface could try.
#
#   frames.pl listen INTERFACE          prints each frame that arrives, in hex, a line each; first "ready"
#   frames.pl send INTERFACE HEX...     sends these frames as they are
use strict;
use warnings;

use constant { AF_PACKET => 17, SOCK_RAW => 3, ETH_P_ALL => 3, PACKET_OUTGOING => 4, SIOCGIFINDEX => 0x8933 };

my ($mode, $interface, @frames) = @ARGV;
socket my $socket, AF_PACKET, SOCK_RAW, unpack('n', pack 'S', ETH_P_ALL) or die "socket: $!\n";
my $request = pack 'a16 x24', $interface;
ioctl $socket, SIOCGIFINDEX, $request or die "$interface: $!\n";
my $index = unpack 'x16 i', $request;
my $address = pack 'S n i S C C a8', AF_PACKET, ETH_P_ALL, $index, 0, 0, 0, '';
bind $socket, $address or die "bind: $!\n";
$| = 1;

if ($mode eq 'send') {
    send $socket, pack('H*', $_), 0 or die "send: $!\n" for @frames;
    exit 0;
}
print "ready\n";
while (defined(my $from = recv $socket, my $frame, 65536, 0)) {
    next if (unpack 'S n i S C', $from)[4] == PACKET_OUTGOING;
    print unpack('H*', $frame), "\n";
}
