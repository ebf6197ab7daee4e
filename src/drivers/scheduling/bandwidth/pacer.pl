#!/usr/bin/perl
# Makes the kernel keep its CPU quotas to a fraction of a millisecond, where it looks at them only every few: at its
# ticks, and whenever a processor goes from one thread to another. So on each processor a thread of real-time priority
# wakes up at the moment at which a group may have used up its quota, looks, and sleeps again. In the Perl that every
# Debian has (perl-base, no modules).
#
#   pacer.pl CPU_ROOT_PROCS PROCESSOR ...
#
# On standard input: "keep STAT PERIOD_US QUOTA_US USAGE RENEWAL" for a group, by the files that tell of it (USAGE is "-"
# where STAT tells its usage, too), and "drop STAT". At the end of that it ends, and nothing has to be put back: a group
# whose quota is not paced is kept by the ticks alone. It uses no more than two hundredths of each processor.
#
# What a group has left at least: its quota, less what it used since it was filled up, and less its debt: what it had too
# much before. The kernel tells that a group had to wait until it was filled up, and so whether it is in debt. It is filled
# up at the same time of every period, which one of the threads finds by looking, nearer and nearer, whether it has been.
# That one forgives a debt that matters just after: writing to RENEWAL what is there already, no burst, makes the kernel
# begin the period anew, whatever the quota is by then.
use strict;
use warnings;
use constant {SCHED_FIFO => 1, SCHED_RESET_ON_FORK => 0x40000000, MONOTONIC => 1, OWN_CPU_TIME => 3};
use constant {REFUSED => 3, NEAR_S => 0.0002, STILL_S => 0.0005, IDLE_S_MAX => 5, SOON_S => 0.1, SHARE_MAX => 0.02, AHEAD_S => 0.01};
use constant {FOUND_S => 0.0003, IN_TIME_S => 0.001, DEBT_MAX => 0.02};

my ($root, @processors) = @ARGV;
my %call = -e '/lib/ld-linux-aarch64.so.1'
    ? (sched_setscheduler => 119, sched_setaffinity => 122, clock_gettime => 113)
    : (sched_setscheduler => 144, sched_setaffinity => 203, clock_gettime => 228);
$0 = 'consort-pacer';
$SIG{PIPE} = 'IGNORE';
my @pipes;
for my $number (0 .. $#processors) {
    pipe my $from, my $to or die "pipe: $!\n";
    my $child = fork;
    die "fork: $!\n" if !defined $child;
    if (!$child) {
        close $_ for $to, @pipes;
        exit pace($number, $from);
    }
    close $from;
    push @pipes, $to;
}
while (sysread STDIN, my $said, 65536) { syswrite $_, $said for @pipes }
close $_ for @pipes;
my $refused = 0;
while (wait != -1) { $refused = 1 if $? >> 8 == REFUSED }
exit($refused ? REFUSED : 0);

sub pace {
    my ($number, $from) = @_;
    if (open my $procs, '+<', $root) { syswrite $procs, $$ }
    my $priority = pack 'l', 2;
    my $mask = "\0" x 128;
    vec($mask, $processors[$number], 1) = 1;
    return REFUSED if syscall($call{sched_setaffinity}, 0, length $mask, $mask) < 0;
    return REFUSED if syscall($call{sched_setscheduler}, 0, SCHED_FIFO | SCHED_RESET_ON_FORK, $priority) != 0;
    my (%groups, @soon, $said);
    # Of each group one of them looks when it is filled up.
    my $mine = sub { unpack('%32C*', $_[0]) % @processors == $number };
    my ($begun, $said_so_far, $later) = (clock(MONOTONIC), '', 0);
    while (1) {
        my $now = clock(MONOTONIC);
        # Of many, those that are looked at soon are few.
        if ($later <= $now) {
            $later = $now + IDLE_S_MAX;
            @soon = ();
            for my $group (values %groups) {
                if ($group->{next} < $now + SOON_S) { push @soon, $group }
                elsif ($group->{next} < $later) { $later = $group->{next} }
            }
        }
        my $next = $later;
        for my $group (@soon) {
            look($group, $now) if $group->{next} <= $now;
            $next = $group->{next} if $group->{next} < $next;
        }
        # Its own part of the processor is limited: what it then does not see in time the next tick does.
        my $frugal = $begun + (clock(OWN_CPU_TIME) - AHEAD_S) / SHARE_MAX;
        $next = $frugal if $frugal > $next;
        my $ready = '';
        vec($ready, fileno $from, 1) = 1;
        my $wait = $next - clock(MONOTONIC);
        next if !select $ready, undef, undef, $wait > 0 ? $wait : 0;
        sysread $from, $said, 65536 or return 0;
        $said_so_far .= $said;
        while ($said_so_far =~ s/^(.*)\n//) { told(\%groups, $mine, split / /, $1) }
        $later = 0;
    }
}

sub told {
    my ($groups, $mine, $what, @fields) = @_;
    if ($what eq 'drop') { delete $groups->{$fields[0]}; return }
    my ($stat, $period_us, $quota_us, $usage, $renewal) = @fields;
    my $before = $groups->{$stat};
    my $group = {period => $period_us / 1e6, quota => $quota_us / 1e6, next => 0, left => 0, at => 0, files => [$stat, $usage, $mine->($stat) ? $renewal : '-']};
    @{$group}{qw(low high)} = @{$before}{qw(low high)} if $before && $before->{period} == $group->{period};
    if ($before) { @{$group}{qw(stat usage renewal)} = @{$before}{qw(stat usage renewal)} }
    elsif (!opened($group)) { return }
    $groups->{$stat} = $group;
}

sub opened {
    my ($group) = @_;
    my ($stat, $usage, $renewal) = @{$group->{files}};
    open $group->{stat}, '<', $stat or return 0;
    # Kernels before 5.14 have none: debts are paid then.
    open $group->{renewal}, '>', $renewal or delete $group->{renewal} if $renewal ne '-';
    return $usage eq '-' || open $group->{usage}, '<', $usage;
}

sub look {
    my ($group, $now) = @_;
    my ($period, $quota, $left) = @{$group}{qw(period quota left)};
    my ($used, $periods, $throttled) = numbers($group);
    # It is gone, and whoever told of it will say so; or another one has its name by now.
    if (!defined $used) {
        opened($group);
        $group->{next} = $now + IDLE_S_MAX;
        return;
    }
    my $gone_by = $now - $group->{at};
    my $ran = $used - ($group->{used} // $used);
    if (defined $group->{periods} && $periods != $group->{periods}) {
        my $since = $gone_by < $period ? $gone_by : $period;
        filled($group, $now - $since, $now);
        my $newly = $periods - $group->{periods} == 1 || $ran < $since ? $ran : $since;
        # It is in debt only if it had to wait for this.
        my $debt = $throttled != $group->{throttled} && $left < 0 && $left > -$quota ? -$left : 0;
        $left = $quota - $newly - $debt;
        if ($group->{renewal} && $debt > DEBT_MAX * $quota && $now - $group->{low} < IN_TIME_S) {
            syswrite $group->{renewal}, '0';
            $left = $quota;
        }
    }
    else {
        $left -= $ran;
        not_filled($group, $now);
    }
    @{$group}{qw(used periods throttled left at)} = ($used, $periods, $throttled, $left, $now);
    # Several processors together use it up sooner.
    my $speed = $gone_by > 0 && $ran > 1.2 * $gone_by ? $ran / $gone_by : 1;
    my $wait = $left > 0 ? $left / $speed : until_filled($group, $now, $speed);
    $group->{ran_at} = $now if $ran > 0 || !defined $group->{ran_at};
    if ($ran == 0 && $left > 0) {
        # It waits for a processor, or does not want one: the longer it has not, the more rarely that is asked.
        my $idle = $now - $group->{ran_at};
        my $pause = $idle < 2 * $period ? STILL_S : $idle < 2 * IDLE_S_MAX ? $idle / 2 : IDLE_S_MAX;
        $wait = $pause if $wait < $pause;
    }
    $group->{next} = $now + ($wait > NEAR_S ? $wait : NEAR_S);
}

# Of a group that has used up its quota, until it is to be looked at.
sub until_filled {
    my ($group, $now, $speed) = @_;
    my ($low, $high) = window($group, $now);
    return $group->{period} / 8 if !defined $low;
    if ($group->{renewal}) {
        return ($low + $high) / 2 - $now if $high - $low > FOUND_S;
        # In time to forgive.
        return $high - $now if -$group->{left} > DEBT_MAX * $group->{quota};
    }
    return $low - $now + ($group->{quota} + $group->{left}) / $speed;
}

# It was filled up after the one and not after the other moment.
sub filled {
    my ($group, $after, $until) = @_;
    if (my ($low, $high) = window($group, $after)) {
        $after = $low if $low > $after && $low < $until;
        $until = $high if $high < $until && $high > $after;
    }
    @{$group}{qw(low high)} = ($after, $until);
}

# It has not been filled up by now.
sub not_filled {
    my ($group, $now) = @_;
    my ($low, $high) = window($group, $now) or return;
    @{$group}{qw(low high)} = ($now, $high) if $low < $now;
}

# Between which moments it is filled up the next time after one.
sub window {
    my ($group, $after) = @_;
    my ($low, $high) = @{$group}{qw(low high)};
    return if !defined $low;
    my $turns = $high > $after ? 0 : int(($after - $high) / $group->{period}) + 1;
    return ($low + $turns * $group->{period}, $high + $turns * $group->{period});
}

# Seconds of CPU time it has used, its periods so far, and in how many it had to wait for the next one.
sub numbers {
    my ($group) = @_;
    my $stat = contents($group->{stat}) // return;
    my ($periods, $throttled) = $stat =~ /^nr_periods (\d+)\nnr_throttled (\d+)/m;
    if (defined $group->{usage}) {
        my $usage = contents($group->{usage}) // return;
        return ($usage / 1e9, $periods // 0, $throttled // 0);
    }
    my ($usage) = $stat =~ /^usage_usec (\d+)/m;
    return (($usage // 0) / 1e6, $periods // 0, $throttled // 0);
}

sub contents {
    my ($file) = @_;
    sysseek $file, 0, 0;
    sysread $file, my $text, 4096 or return;
    return $text;
}

sub clock {
    my $time = "\0" x 16;
    syscall $call{clock_gettime}, $_[0] + 0, $time;
    my ($seconds, $nanoseconds) = unpack 'qq', $time;
    return $seconds + $nanoseconds / 1e9;
}
