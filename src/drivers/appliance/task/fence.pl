# How an appliance obeys its host's lease, without anybody's help: a part of supervisor.pl.
#
#            lease.ts writes ──▶ the lease file (the end, in ms of CLOCK_MONOTONIC) ◀── read by every supervisor
#                                the lease timer (runs out with it)                ──▶ wakes them all
#
#   running ── the end has passed: all processes stopped, interfaces down, "fenced" ──▶ fenced
#      ▲                                                                                  │
#      └────────────── a later end is in the file: interfaces up, processes go on ◀───────┘
use strict;
use warnings;
our %call;

# Nothing here needs a manager: the lease is read, and once it is over all but this process are stopped, again and
# again, as long as no later end is found. Returns the seconds until it is to look again.
sub obey_lease {
    my ($own) = @_;
    my $left = $own->{leased} && $own->{run} ? lease_left($own->{open}) : undef;
    if (defined $left && $left <= 0) {
        fence($own);
        # Woken by a manager that renews it; for one that could not tell, ever more rarely: a thousand of them must not
        # keep that manager from its work.
        my $again = 0.05 * 2 ** $own->{fenced}++;
        return $again < 4 ? $again : 4 + rand 2;
    }
    unfence($own) if $own->{fenced};
    # A moment more, or it would wake just before.
    return defined $left ? $left / 1000 + 0.001 : undef;
}

sub fence {
    my ($own) = @_;
    # What was stopped by its own doing stays stopped afterwards.
    $own->{stopped} = {map { $_ => 1 } stopped_pids()} if !$own->{fenced} && defined $own->{command};
    kill SIGSTOP, -1;
    # The kernel would go on answering in its name, while others may have its addresses.
    set_links(0);
    return if defined $own->{before} || !(defined $own->{command} || defined $own->{held});
    truncate $own->{open}{journal}, 0 if defined $own->{held};
    $own->{before} = -s $own->{open}{journal};
    note($own->{open}, $own->{run}, 'fenced', 0, '');
}

sub unfence {
    my ($own) = @_;
    $own->{fenced} = 0;
    set_links(1);
    if (defined $own->{held}) { delete @$own{qw(held before)}; return start($own) }
    my $before = delete $own->{before};
    return unless defined $before;
    # Back to what it was: else the journal would grow with every lease that ends.
    truncate $own->{open}{journal}, $before;
    go_on($own->{stopped});
    syswrite $own->{open}{events}, "\n";
}

# All its interfaces but loopback, up or down; addresses stay. Bridges join others of them and are left: with them would
# go the routes by which a host manager reaches a machine.
sub set_links {
    my ($up) = @_;
    eval {
        open my $list, '<', '/proc/net/dev' or die;
        socket my $socket, 2, 2, 0 or die;
        for my $name (map { /^\s*([^\s:]+):/ ? $1 : () } <$list>) {
            next if $name eq 'lo' || -d "/sys/class/net/$name/bridge";
            my $request = pack 'a16 s x22', $name, 0;
            ioctl $socket, 0x8913, $request or next;
            my $flags = unpack 'x16 s', $request;
            ioctl $socket, 0x8914, pack 'a16 s x22', $name, $up ? $flags | 1 : $flags & ~1;
        }
    };
}

sub go_on {
    my ($stopped) = @_;
    return kill SIGCONT, -1 unless $stopped && %$stopped;
    kill SIGCONT, grep { !$stopped->{$_} } pids();
}

sub pids {
    opendir my $proc, '/proc' or return;
    return grep { /^\d+$/ && $_ > 1 } readdir $proc;
}

sub stopped_pids {
    return grep {
        open my $file, '<', "/proc/$_/stat";
        my $line = defined $file ? readline $file : undef;
        defined $line && $line =~ /\) T /;
    } pids();
}

sub may_run {
    my ($own) = @_;
    return !$own->{leased} || lease_left($own->{open}) > 0;
}

# Milliseconds; 0 or less: it is over.
sub lease_left {
    my ($open) = @_;
    return lease_end($open) - clock_ms(1);
}

# Milliseconds of CLOCK_MONOTONIC; 0: cannot be read.
sub lease_end {
    my ($open) = @_;
    for (1 .. 100) {
        my $text = "\0" x 33;
        syscall($call{pread64}, fileno $open->{lease}, $text, 33, 0);
        my ($end, $again) = split ' ', $text;
        return $end if defined $again && $end eq $again;
    }
    return 0;
}

# One timer for all supervisors of a host, which share it as an open file: it runs out with the lease, so that none of
# them has to wake for it. Only their alarm clock: the lease is what the file says, and no timer is ever set to later
# than that, so that it never rings too late; one that rings too early costs no more than a look. That of one that lives
# already, or a new one, which has run out; undefined where there is none to be had.
sub lease_timer {
    my ($living, $start, $fd) = @_;
    my $shared = defined $living ? timer_of($living, $start, $fd) : undef;
    return $shared if defined $shared;
    my $number = syscall($call{timerfd_create}, 1, 02000000);
    return undef if $number < 0;
    return $number if eval { set_timer($number, 0); 1 };
    syscall($call{close}, $number);
    return undef;
}

# Undefined, if it died meanwhile and another process has its number, or if the file is not a timer: whoever shared
# a stranger's file would set, and wait for, what never rings.
sub timer_of {
    my ($living, $start, $fd) = @_;
    my $process = syscall($call{pidfd_open}, $living + 0, 0);
    return undef if $process < 0;
    my $lives = eval { start_time($living) eq $start };
    my $number = $lives ? syscall($call{pidfd_getfd}, $process, $fd + 0, 0) : -1;
    syscall($call{close}, $process);
    return undef if $number < 0;
    return $number if is_timer($number);
    syscall($call{close}, $number);
    return undef;
}

# Of CLOCK_MONOTONIC.
sub is_timer {
    my ($number) = @_;
    open my $info, '<', "/proc/self/fdinfo/$number" or return 0;
    return scalar grep { /^clockid: 1$/ } <$info>;
}

# As asked, but not to later than what is in the file, whoever asked.
sub set_lease_timer {
    my ($number, $end, $lease) = @_;
    sysopen my $file, $lease, O_RDONLY or die "lease: $!\n";
    my $granted = lease_end({lease => $file});
    set_timer($number, $end < $granted ? $end : $granted);
}

# Milliseconds of CLOCK_MONOTONIC. Never 0 to the kernel: a timer that is off would never wake anybody.
sub set_timer {
    my ($number, $end) = @_;
    return unless defined $number;
    my $at = pack 'qqqq', 0, 0, int($end / 1000), $end % 1000 * 1_000_000 + 1;
    sys('timerfd_settime', $number, 1, $at, 0);
}

1;
