#!/usr/bin/perl
# Joins a socket in a machine's directory with one on the underlay network, in the Perl that every Debian has.
#
#   relay.pl DIRECTORY LISTEN CONNECT [PEER [once]]
#
#     LISTEN, CONNECT   unix:NAME (in DIRECTORY) or tcp:ADDRESS:PORT (port 0: any)
#     PEER              who alone may connect to LISTEN
#     once              ends with the first connection that was joined, which ends as soon as who connected has said all
#
# Two lines on standard input: files of control groups it joins (with commas between them), and the move's token, which
# is said first on what is connected by TCP, and asked for first from who connects by TCP. One line on standard output
# tells the port, or 0; then it goes on by itself and outlives who started it. Each connection has one process, which ends
# with this one, however that ends: nothing is left that could still feed who is connected to another by then. What is in
# DIRECTORY belongs to the machine, which may put a link there to where it may not go itself: all is done as the
# machine's own user, from that directory.
use strict;
use warnings;
use Errno qw(EAGAIN EINTR);
use IO::Handle;
use Socket qw(AF_INET AF_UNIX SOCK_STREAM SOL_SOCKET SO_REUSEADDR SO_KEEPALIVE IPPROTO_TCP TCP_NODELAY TCP_KEEPIDLE
    TCP_KEEPINTVL TCP_KEEPCNT SHUT_WR inet_aton inet_ntoa pack_sockaddr_in unpack_sockaddr_in pack_sockaddr_un);

use constant { ATONCE => 64, SAY_WITHIN => 5, CHUNK => 1 << 18, TOKEN_MAX => 256, WAS_JOINED => 3 };
# Seconds, seconds, times: a host that has begun anew says so at the first, a network that is cut may be so for long.
use constant { ASK_AFTER => 10, ASK_EVERY => 10, ASK_OFTEN => 60 };
# What a machine writes last waits behind all that lies between the two sides, while it stands still: what the network
# does not take yet stays with whom it is from. Linux's number, which Socket has no name for.
use constant { TCP_NOTSENT_LOWAT => 25, UNSENT_MAX => 1 << 17 };

my ($directory, $listen, $connect, $peer, $once) = @ARGV;
defined $connect or die "usage: relay.pl DIRECTORY LISTEN CONNECT [PEER [once]]\n";
chomp(my ($groups, $token) = map { <STDIN> // '' } 1, 2);
for my $file (split /,/, $groups) {
    open my $procs, '>', $file or die "open $file: $!\n";
    syswrite $procs, $$ or die "join $file: $!\n";
}
length $token or die "no token\n";
chdir $directory or die "chdir $directory: $!\n";
my $group = (stat '.')[5];
if ($> == 0 && $group != 0) {
    ($(, $)) = ($group, "$group $group");
    ($<, $>) = ($group, $group);
    $> == $group or die "cannot become $group: $!\n";
}

my ($door, $is_tcp, $port) = listening($listen);
$| = 1;
$SIG{PIPE} = 'IGNORE';
print "$port\n";
# Whoever started it reads no more: what is said now would end it.
open STDIN, '<', '/dev/null';
open STDERR, '>', '/dev/null';
open STDOUT, '>', '/dev/null';

# Whoever holds its other end sees when this process is gone.
pipe my $life, my $alive or die "pipe: $!\n";
my %serving;
$SIG{CHLD} = sub {
    while ((my $pid = waitpid -1, 1) > 0) {
        delete $serving{$pid};
        exit 0 if $once && $? >> 8 == WAS_JOINED;
    }
};
$SIG{TERM} = sub { kill TERM => keys %serving; exit 0 };
for (;;) {
    my $from = accept my $in, $door or next;
    if ($is_tcp && defined $peer && inet_ntoa((unpack_sockaddr_in $from)[1]) ne $peer || %serving >= ATONCE) {
        close $in;
        next;
    }
    my $pid = fork;
    if (!defined $pid) { close $in; next }
    if ($pid) { $serving{$pid} = 1; close $in; next }
    $SIG{TERM} = $SIG{CHLD} = 'DEFAULT';
    close $door;
    close $alive;
    exit(serve($in) ? WAS_JOINED : 0);
}

sub listening {
    my ($kind, $where, $wanted) = split /:/, $_[0];
    if ($kind eq 'unix') {
        unlink $where;
        socket my $socket, AF_UNIX, SOCK_STREAM, 0 or die "socket: $!\n";
        my $mask = umask 077;
        bind $socket, pack_sockaddr_un $where or die "bind $where: $!\n";
        umask $mask;
        listen $socket, 16 or die "listen: $!\n";
        return ($socket, 0, 0);
    }
    socket my $socket, AF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
    setsockopt $socket, SOL_SOCKET, SO_REUSEADDR, 1;
    bind $socket, pack_sockaddr_in $wanted, inet_aton $where or die "bind $where: $!\n";
    listen $socket, 16 or die "listen: $!\n";
    return ($socket, 1, (unpack_sockaddr_in getsockname $socket)[0]);
}

sub connected {
    my ($kind, $where, $wanted) = split /:/, $_[0];
    if ($kind eq 'unix') {
        -S $where && !-l $where or return;
        socket my $socket, AF_UNIX, SOCK_STREAM, 0 or return;
        connect $socket, pack_sockaddr_un $where or return;
        return $socket;
    }
    socket my $socket, AF_INET, SOCK_STREAM, 0 or return;
    prepare_tcp($socket);
    connect $socket, pack_sockaddr_in $wanted, inet_aton $where or return;
    # The other side would believe that it goes on.
    return if is_over();
    syswrite $socket, "$token\n" or return;
    return $socket;
}

# Whoever only waits to be told something would never learn that the other host is gone.
sub prepare_tcp {
    my ($socket) = @_;
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    setsockopt $socket, SOL_SOCKET, SO_KEEPALIVE, 1;
    setsockopt $socket, IPPROTO_TCP, TCP_KEEPIDLE, ASK_AFTER;
    setsockopt $socket, IPPROTO_TCP, TCP_KEEPINTVL, ASK_EVERY;
    setsockopt $socket, IPPROTO_TCP, TCP_KEEPCNT, ASK_OFTEN;
    setsockopt $socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX;
}

# Who does not know the token learns nothing, not even whether anything is here.
sub knows_token {
    my ($in) = @_;
    my $said = '';
    local $SIG{ALRM} = sub { exit 0 };
    alarm SAY_WITHIN;
    while (length $said < TOKEN_MAX) {
        sysread $in, my $letter, 1 or return 0;
        last if $letter eq "\n";
        $said .= $letter;
    }
    alarm 0;
    return $said eq $token;
}

# False: nothing was joined.
sub serve {
    my ($in) = @_;
    if ($is_tcp) {
        prepare_tcp($in);
        return 0 unless knows_token($in);
    }
    my $out = connected($connect) or return 0;
    $_->blocking(0) for $in, $out;
    join_both({ from => $in, to => $out, kept => '', last => $once }, { from => $out, to => $in, kept => '' });
    return 1;
}

# Whoever took the connection has ended meanwhile.
sub is_over {
    my $read = '';
    vec($read, fileno $life, 1) = 1;
    return select($read, undef, undef, 0) > 0;
}

# Until both have said all, or one is gone, or the relay itself. Each way waits for its own: nothing more is read of one
# before what was read has been written.
sub join_both {
    my @ways = @_;
    while (grep { !$_->{over} } @ways) {
        my ($read, $write) = ('', '');
        vec($read, fileno $life, 1) = 1;
        for my $way (grep { !$_->{over} } @ways) {
            if (length $way->{kept}) { vec($write, fileno $way->{to}, 1) = 1 }
            else { vec($read, fileno $way->{from}, 1) = 1 }
        }
        if (select($read, $write, undef, undef) < 0) { next if $! == EINTR; return }
        return if vec $read, fileno $life, 1;
        for my $way (grep { !$_->{over} } @ways) {
            my $is_due = length $way->{kept} ? vec $write, fileno $way->{to}, 1 : vec $read, fileno $way->{from}, 1;
            return if $is_due && !passed($way);
        }
    }
}

# False: whom it is for is gone.
sub passed {
    my ($way) = @_;
    if (!length $way->{kept}) {
        my $count = sysread $way->{from}, $way->{kept}, CHUNK;
        return $! == EAGAIN || $! == EINTR unless defined $count;
        if ($count == 0) {
            $way->{over} = 1;
            shutdown $way->{to}, SHUT_WR;
            return !$way->{last};
        }
    }
    my $count = syswrite $way->{to}, $way->{kept};
    return $! == EAGAIN || $! == EINTR unless defined $count;
    substr $way->{kept}, 0, $count, '';
    return 1;
}
