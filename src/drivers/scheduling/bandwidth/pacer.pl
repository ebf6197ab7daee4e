#!/usr/bin/perl
# Makes the kernel keep its CPU quotas to a fraction of a millisecond, where it looks at them only every few: at its
# ticks, and whenever a processor goes from one thread to another. So on each processor a thread of real-time priority
# wakes up at the moment at which a group may have used up its quota, looks, and sleeps again. In the Perl that every
# Debian has (perl-base, no modules).
#
#   pacer.pl CPU_ROOT_PROCS PROCESSOR ...
#
# On standard input: "keep STAT PERIOD_US QUOTA_US USAGE" for a group, by the files that tell of it (USAGE is "-" where
# STAT tells its usage, too), and "drop STAT". At the end of that it ends, and nothing has to be put back: a group whose
# quota is not paced is kept by the ticks alone. It uses no more than a hundredth of each processor.
#
# What a group has left at least: its quota, less what it used since it was filled up; it was filled up some time after
# the last look where the count of its periods has risen since. A group that has used all of it is looked at again when
# it may have done so the next time.
use strict;
use warnings;
use constant {SCHED_FIFO => 1, SCHED_RESET_ON_FORK => 0x40000000, MONOTONIC => 1, OWN_CPU_TIME => 3};
use constant {REFUSED => 3, NEAR_S => 0.0002, STILL_S => 0.0005, IDLE_S_MAX => 5, SOON_S => 0.1, SHARE_MAX => 0.01, AHEAD_S => 0.005};

my ($root, @processors) = @ARGV;
my %call = -e '/lib/ld-linux-aarch64.so.1'
    ? (sched_setscheduler => 119, sched_setaffinity => 122, clock_gettime => 113)
    : (sched_setscheduler => 144, sched_setaffinity => 203, clock_gettime => 228);
$0 = 'consort-pacer';
$SIG{PIPE} = 'IGNORE';
my @pipes;
for my $processor (@processors) {
    pipe my $from, my $to or die "pipe: $!\n";
    my $child = fork;
    die "fork: $!\n" if !defined $child;
    if (!$child) {
        close $_ for $to, @pipes;
        exit pace($processor, $from);
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
    my ($processor, $from) = @_;
    if (open my $procs, '+<', $root) { syswrite $procs, $$ }
    my $priority = pack 'l', 2;
    my $mask = "\0" x 128;
    vec($mask, $processor, 1) = 1;
    return REFUSED if syscall($call{sched_setaffinity}, 0, length $mask, $mask) < 0;
    return REFUSED if syscall($call{sched_setscheduler}, 0, SCHED_FIFO | SCHED_RESET_ON_FORK, $priority) != 0;
    my (%groups, @soon, $said);
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
        while ($said_so_far =~ s/^(.*)\n//) { told(\%groups, split / /, $1) }
        $later = 0;
    }
}

sub told {
    my ($groups, $what, @fields) = @_;
    if ($what eq 'drop') { delete $groups->{$fields[0]}; return }
    my ($stat, $period_us, $quota_us, $usage) = @fields;
    my $before = $groups->{$stat};
    my $group = {period => $period_us / 1e6, quota => $quota_us / 1e6, next => 0, left => 0, at => 0, files => [$stat, $usage]};
    @{$group}{qw(low high)} = @{$before}{qw(low high)} if $before && $before->{period} == $group->{period};
    if ($before) { @{$group}{qw(stat usage)} = @{$before}{qw(stat usage)} }
    elsif (!opened($group)) { return }
    $groups->{$stat} = $group;
}

sub opened {
    my ($group) = @_;
    my ($stat, $usage) = @{$group->{files}};
    open $group->{stat}, '<', $stat or return 0;
    return $usage eq '-' || open $group->{usage}, '<', $usage;
}

sub look {
    my ($group, $now) = @_;
    my ($period, $quota, $left) = @{$group}{qw(period quota left)};
    my ($used, $periods) = numbers($group);
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
        $left = $quota - $newly + ($left < 0 && $left > -$quota ? $left : 0);
    }
    else { $left -= $ran }
    @{$group}{qw(used periods left at)} = ($used, $periods, $left, $now);
    # Several processors together use it up sooner.
    my $speed = $gone_by > 0 && $ran > 1.2 * $gone_by ? $ran / $gone_by : 1;
    my $wait = $left > 0 ? $left / $speed : next_fill($group, $now) - $now + ($quota + $left) / $speed;
    $group->{ran_at} = $now if $ran > 0 || !defined $group->{ran_at};
    if ($ran == 0) {
        # It waits for a processor, or does not want one: the longer it has not, the more rarely that is asked.
        my $idle = $now - $group->{ran_at};
        my $pause = $idle < 2 * $period ? STILL_S : $idle < 2 * IDLE_S_MAX ? $idle / 2 : IDLE_S_MAX;
        $wait = $pause if $wait < $pause;
    }
    $group->{next} = $now + ($wait > NEAR_S ? $wait : NEAR_S);
}

# It was filled up after the one and not after the other moment; it is so in every period, at the same time.
sub filled {
    my ($group, $after, $until) = @_;
    my ($low, $high) = @{$group}{qw(low high)};
    if (defined $low) {
        my $turns = int(($after - $high) / $group->{period}) + 1;
        $turns = 0 if $high > $after;
        $low += $turns * $group->{period};
        $high += $turns * $group->{period};
        $after = $low if $low > $after && $low < $until;
        $until = $high if $high < $until && $high > $after;
    }
    @{$group}{qw(low high)} = ($after, $until);
}

# The earliest moment at which it may be filled up again.
sub next_fill {
    my ($group, $now) = @_;
    return $now if !defined $group->{low};
    my $turns = int(($now - $group->{high}) / $group->{period}) + 1;
    $turns = 0 if $group->{high} > $now;
    my $next = $group->{low} + $turns * $group->{period};
    return $next > $now ? $next : $now;
}

# Seconds of CPU time it has used, and its periods so far.
sub numbers {
    my ($group) = @_;
    my $stat = contents($group->{stat}) // return;
    my ($periods) = $stat =~ /^nr_periods (\d+)/m;
    if (defined $group->{usage}) {
        my $usage = contents($group->{usage}) // return;
        return ($usage / 1e9, $periods // 0);
    }
    my ($usage) = $stat =~ /^usage_usec (\d+)/m;
    return (($usage // 0) / 1e6, $periods // 0);
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
