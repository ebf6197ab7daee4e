#!/usr/bin/perl
# Makes the kernel end the turns of deadline threads in time, where it looks at them only every few milliseconds, at its
# ticks: what a thread has too much in one period it would lack in the next. So a thread of the same class, which comes
# before them as its deadlines are nearer, wakes up at the moment at which one of them may have used up its time, and
# changes its runtime by next to nothing, upon which the kernel counts what it has used by then. What it had too much by
# then is added to its next period. In the Perl that every Debian has (perl-base, no modules).
#
# On standard input: "keep THREAD RUNTIME_US PERIOD_US" and "drop THREAD". At the end of that it ends, and nothing has to
# be put back: a thread that is not paced is kept by the ticks alone. It uses no more than 3% of one processor.
use strict;
use warnings;
use constant {NORMAL => 0, DEADLINE => 6, RESET_ON_FORK => 1, ATTRIBUTES => 48, MONOTONIC => 1};
use constant {REFUSED => 3, BUSY => 16, OWN_RUNTIME_NS => 120_000, OWN_PERIOD_NS => 4_000_000};
use constant {NEAR_NS => 50_000, IDLE_NS_MAX => 5_000_000_000, EXTRA_NS_MAX => 12_000_000};

my %call = -e '/lib/ld-linux-aarch64.so.1'
    ? (setattr => 274, getattr => 275, clock_gettime => 113)
    : (setattr => 314, getattr => 315, clock_gettime => 228);
$0 = 'consort-pacer';
set_times(0, undef, OWN_RUNTIME_NS, OWN_PERIOD_NS) or exit($! == BUSY ? BUSY : REFUSED);
open my $own, '<', "/proc/$$/sched" or exit REFUSED;

# How far the scheduler's clock is ahead of ours; it is not the same one. What a thread of this class that has slept is
# given as deadline tells it: one period from when it wakes up.
my $ahead;
my ($slept_ns, %threads) = (0);
my $said_so_far = '';
while (1) {
    my $now = clock();
    if (!defined $ahead || $slept_ns > 2 * OWN_PERIOD_NS) {
        my ($deadline) = state($own);
        $ahead = $deadline - OWN_PERIOD_NS - $now if defined $deadline;
    }
    my $next = $now + IDLE_NS_MAX;
    for my $thread (values %threads) {
        look($thread) if $thread->{next} <= $now;
        $next = $thread->{next} if $thread->{next} < $next;
    }
    my $ready = '';
    vec($ready, fileno STDIN, 1) = 1;
    $slept_ns = $next - clock();
    $slept_ns = 0 if $slept_ns < 0;
    next if !select $ready, undef, undef, $slept_ns / 1e9;
    $slept_ns = 0;
    sysread STDIN, my $said, 65536 or exit 0;
    $said_so_far .= $said;
    while ($said_so_far =~ s/^(.*)\n//) { told(split / /, $1) }
}

# Whoever tells has changed the thread itself, perhaps while this did: what is told counts.
sub told {
    my ($what, $id, $runtime_us, $period_us) = @_;
    my $before = delete $threads{$id};
    my ($policy, $runtime, $period) = times_of($id);
    return if !defined $policy || $policy != DEADLINE;
    my $is_ours = $before && $runtime == $before->{set} && $period == $before->{period};
    if ($what eq 'drop') {
        set_normal($id) if $is_ours;
        return;
    }
    open my $file, '<', "/proc/$id/sched" or return;
    open my $memory, '<', "/proc/$id/statm" or return;
    my %times = (runtime => 1000 * $runtime_us, set => 1000 * $runtime_us, period => 1000 * $period_us);
    set_times($id, $memory, $times{runtime}, $times{period}) if $is_ours;
    $threads{$id} = {id => $id, %times, file => $file, memory => $memory, next => 0, busy_at => clock()};
}

sub look {
    my ($thread) = @_;
    my ($id, $memory, $runtime, $period, $set) = @{$thread}{qw(id memory runtime period set)};
    my ($policy, $runtime_now, $period_now) = times_of($id);
    my ($deadline, $left, $used) = state($thread->{file});
    # It is gone, or no deadline thread any more, or has just been changed: that will be told.
    if (!defined $left || $policy != DEADLINE || $runtime_now != $set || $period_now != $period) {
        $thread->{next} = clock() + IDLE_NS_MAX;
        return;
    }
    my $extra = $left < -EXTRA_NS_MAX ? EXTRA_NS_MAX : $left < 0 ? -$left : 0;
    my $wanted = $runtime + $extra < $period ? $runtime + $extra : $runtime;
    # Another value than it has, or nothing happens; and no more than it has where the kernel has no more to give.
    for my $next ($wanted == $set ? () : $wanted, $set == $runtime ? $runtime - 1 : $runtime) {
        next if !set_times($id, $memory, $next, $period);
        $thread->{set} = $set = $next;
        last;
    }
    ($deadline, $left) = state($thread->{file}) or return;
    my $now = clock();
    my $wait = $left > 0 ? $left : defined $ahead ? $deadline - $ahead - $now + $set + $left : $period;
    if ($left > 0 && defined $thread->{used} && $used == $thread->{used}) {
        # It does not want its time: the longer it has not, the more rarely that is asked.
        my $idle = ($now - $thread->{busy_at}) / 2;
        $wait = $idle if $idle > $wait;
        $wait = IDLE_NS_MAX if $wait > IDLE_NS_MAX;
    }
    else { $thread->{busy_at} = $now }
    $thread->{used} = $used;
    $thread->{next} = $now + ($wait > NEAR_NS ? $wait : NEAR_NS);
}

# Deadline, what is left until then, and CPU time used so far, all in nanoseconds.
sub state {
    my ($file) = @_;
    sysseek $file, 0, 0;
    sysread $file, my $text, 16384 or return;
    my ($used) = $text =~ /^se\.sum_exec_runtime\s*:\s*([\d.]+)/m;
    my ($left) = $text =~ /^dl\.runtime\s*:\s*(-?\d+)/m;
    my ($deadline) = $text =~ /^dl\.deadline\s*:\s*(\d+)/m;
    return defined $deadline && defined $left ? ($deadline, $left, $used) : ();
}

# struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period. Linux (6.18) also gives deadlines to
# what has ended and is still to be waited for, and takes nothing of that back until it counts all deadlines anew.
sub set_times {
    my ($id, $memory, $runtime, $period) = @_;
    return 0 if $memory && is_ending($memory);
    my $attributes = pack 'LLQlLQQQ', ATTRIBUTES, DEADLINE, RESET_ON_FORK, 0, 0, $runtime, $period, $period;
    return syscall($call{setattr}, $id + 0, $attributes, 0) == 0;
}

# It has given its memory back, which is about the first that one that ends does.
sub is_ending {
    my ($memory) = @_;
    sysseek $memory, 0, 0;
    sysread $memory, my $pages, 64 or return 1;
    return $pages =~ /^0 /;
}

sub set_normal {
    my ($id) = @_;
    my $attributes = pack 'LLQlLQQQ', ATTRIBUTES, NORMAL, 0, 0, 0, 0, 0, 0;
    syscall($call{setattr}, $id + 0, $attributes, 0);
}

sub times_of {
    my ($id) = @_;
    my $attributes = "\0" x ATTRIBUTES;
    return if syscall($call{getattr}, $id + 0, $attributes, ATTRIBUTES, 0) != 0;
    my (undef, $policy, undef, undef, undef, $runtime, undef, $period) = unpack 'LLQlLQQQ', $attributes;
    return ($policy, $runtime, $period);
}

sub clock {
    my $time = "\0" x 16;
    syscall $call{clock_gettime}, MONOTONIC, $time;
    my ($seconds, $nanoseconds) = unpack 'qq', $time;
    return $seconds * 1_000_000_000 + $nanoseconds;
}
