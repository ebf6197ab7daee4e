#!/usr/bin/perl
# Outlives the dispatcher of a dispatch table, and continues whatever that had stopped when it died, however it died.
# In the Perl that every Debian has (perl-base, no modules).
#
#   watchdog.pl FILE DIRECTORY PID START HEARTBEAT OWN_BEAT OWNER STOPPED KINDS PIDS STARTS NAMES NAME_BYTES JOBS JOBS_USED
#               HANGS_AFTER_MS
#
# FILE is what the dispatcher shares with its owner; the numbers after START are byte offsets in it. Standard input is a
# pipe that only the dispatcher holds: it ends when the dispatcher does. A dispatcher that lives but whose heartbeat
# stands still (stopped by a signal, hung) is killed, which also ends the pipe. In DIRECTORY, the owner's, stands what
# was changed so that dispatched machines come before all others: it is put back, as nobody stops them any more.
use strict;
use warnings;
use constant {SCHED_OTHER => 0, SCHED_FIFO => 1, SCHED_RR => 2, SCHED_RESET_ON_FORK => 0x40000000, SIGKILL => 9, SIGCONT => 18};

my ($file, $directory, $pid, $start, $heartbeat, $own_beat, $owner, $stopped, $kinds, $pids, $starts, $names, $name_bytes, $jobs, $jobs_used,
    $hangs_after_ms) = @ARGV;
my %call = -e '/lib/ld-linux-aarch64.so.1'
    ? (sched_setscheduler => 119, sched_getscheduler => 120, sched_setaffinity => 122, sched_getaffinity => 123)
    : (sched_setscheduler => 144, sched_getscheduler => 145, sched_setaffinity => 203, sched_getaffinity => 204);
$0 = 'consort-watchdog';
open my $memory, '+<', $file or die "$file: $!\n";
my @found = stat $memory;
die "$file is not ours alone\n" if $found[4] != $> || $found[3] != 1 || $found[2] & 077;
# Nothing else is ever written to, whatever stands in the files.
my %weighs = map { $_ => 1 } qw(cpu.shares cpu.weight cpu.cfs_quota_us cpu.max cpu.rt_runtime_us);
my %lists = map { $_ => 1 } qw(tasks cgroup.threads);
my %freezes = map { $_ => 1 } qw(cgroup.freeze freezer.state);
my @trees = cgroup_trees();
# So that what keeps the processors busy cannot keep it from its one task.
my $priority = pack 'l', 2;
syscall($call{sched_setscheduler}, 0, SCHED_FIFO | SCHED_RESET_ON_FORK, $priority);

my $looks_per_hang = 4;
# One that has not begun to dispatch has stopped nobody, and may take its time on a busy machine.
my ($beat, $still, $begun) = (word($heartbeat), 0, 0);
my $looks = 0;
while (1) {
    my $ready = '';
    vec($ready, 0, 1) = 1;
    if (select $ready, undef, undef, $hangs_after_ms / 1000 / $looks_per_hang) {
        my $length = sysread STDIN, my $ignored, 64;
        last if !$length;
        next;
    }
    put($own_beat, ++$looks);
    my $now = word($heartbeat);
    $begun = 1 if $now != $beat;
    $still = $begun && $now == $beat ? $still + 1 : 0;
    $beat = $now;
    next if $still < $looks_per_hang;
    kill SIGKILL, $pid if start_time($pid) eq $start;
    last;
}
# Twice: a write the dispatcher had begun when it was killed may land after the first look.
continue_all(0);
put_back();
select undef, undef, undef, 0.02;
continue_all(1);
# Nobody will come for it.
my ($owner_pid) = word($owner);
if ($owner_pid != 0 && start_time($owner_pid) ne unpack 'q', bytes_at($owner + 4, 8)) {
    unlink $file, glob("\Q$directory\E/*");
    rmdir $directory;
    rmdir $1 if $directory =~ m{^(.+)/[^/]+$};
}

sub continue_all {
    my ($is_last) = @_;
    my $used = word($jobs_used);
    return if $used <= 0 || $used > $jobs;
    my $marks = bytes_at($stopped, 4 * $used);
    for my $job (0 .. $used - 1) {
        next if unpack('l', substr $marks, 4 * $job, 4) == 0;
        my $kind = word($kinds + 4 * $job);
        if ($kind == 3) {
            my $process = word($pids + 4 * $job);
            my $began = unpack 'q', bytes_at($starts + 8 * $job, 8);
            kill SIGCONT, $process if $process > 0 && start_time($process) eq $began;
        }
        else {
            my $name = bytes_at($names + $name_bytes * $job, $name_bytes) =~ s/\0.*//sr;
            # A group that is gone has nothing to continue.
            if (is_of_group($name, \%freezes) && open my $group, '+<', $name) { syswrite $group, $kind == 2 ? '0' : 'THAWED' }
        }
        put($stopped + 4 * $job, 0) if $is_last;
    }
}

# See raised.ts.
sub put_back {
    open my $record, '<', "$directory/raised" or return;
    while (my $line = <$record>) {
        chomp $line;
        my ($what, @fields) = split /\t/, $line;
        if ($what eq 'write' || $what eq 'weigh') {
            next if !is_of_group($fields[0], \%weighs) || $fields[1] !~ /^(?:-?\d+|max)$/;
            my $value = $what eq 'write' ? $fields[1] : heaviest_in(@fields);
            if (open my $group, '+<', $fields[0]) { syswrite $group, $value }
        }
        elsif ($what eq 'room') {
            next if !is_of_group($fields[0], \%weighs);
            my $room = 0;
            $room += $_ for values_in($fields[0]);
            if (open my $group, '+<', $fields[0]) { syswrite $group, $room }
        }
        elsif ($what eq 'frozen') {
            rmdir $1 if is_of_group($fields[0], \%freezes) && $fields[0] =~ m{^(.*)/};
        }
        elsif ($what eq 'turns') {
            end_turns(@fields) if is_of_group($fields[0], \%lists) && $fields[1] =~ /^\d+$/;
        }
        elsif ($what eq 'nice' && start_time($fields[0]) eq $fields[1]) {
            opendir my $threads, "/proc/$fields[0]/task" or next;
            for my $thread (grep { /^\d/ } readdir $threads) { eval { setpriority 0, $thread, $fields[2] } }
        }
    }
}

sub heaviest_in {
    my ($file, $heaviest) = @_;
    for my $weight (values_in($file)) { $heaviest = $weight if $weight > $heaviest }
    return $heaviest;
}

# Of the groups directly in the one whose file this is.
sub values_in {
    my ($file) = @_;
    my ($group, $name) = $file =~ m{^(.*)/([^/]+)$};
    my @values;
    for my $inner (glob "\Q$group\E/*/$name") {
        open my $value, '<', $inner or next;
        my $told = <$value> // next;
        push @values, $told + 0;
    }
    return @values;
}

# Threads that take turns by real-time priority because they were dispatched; see slot-threads.ts.
sub end_turns {
    my ($file, $processor) = @_;
    my ($group, $name) = $file =~ m{^(.*)/([^/]+)$};
    my ($none, $any) = (pack('l', 0), "\xff" x 128);
    if (open my $threads, '<', $file) {
        while (my $thread = <$threads>) {
            $thread += 0;
            my $class = syscall $call{sched_getscheduler}, $thread;
            syscall($call{sched_setscheduler}, $thread, SCHED_OTHER, $none) if $class == (SCHED_RR | SCHED_RESET_ON_FORK);
            my $mask = "\0" x 128;
            next if syscall($call{sched_getaffinity}, $thread, 128, $mask) < 0;
            my $only = '';
            vec($only, $processor, 1) = 1;
            $only .= "\0" x (128 - length $only);
            syscall($call{sched_setaffinity}, $thread, 128, $any) if $mask eq $only;
        }
    }
    end_turns($_, $processor) for glob "\Q$group\E/*/$name";
}

sub is_of_group {
    my ($file, $names) = @_;
    return 0 if $file =~ m{/\.\.?/|//};
    my ($group, $name) = $file =~ m{^(.*)/([^/]+)$} or return 0;
    return $names->{$name} && grep { index("$group/", "$_/") == 0 && $group ne $_ } @trees;
}

sub cgroup_trees {
    open my $mounts, '<', '/proc/self/mountinfo' or return ();
    return map { (split)[4] } grep { / - cgroup2? / } <$mounts>;
}

sub word { return unpack 'l', bytes_at($_[0], 4) }

sub put {
    my ($at, $value) = @_;
    sysseek $memory, $at, 0;
    syswrite $memory, pack 'l', $value;
}

sub bytes_at {
    my ($at, $length) = @_;
    sysseek $memory, $at, 0;
    my $text = '';
    while (length $text < $length) { sysread($memory, $text, $length - length $text, length $text) or last }
    return $text . "\0" x ($length - length $text);
}

sub start_time {
    my ($process) = @_;
    open my $stat, '<', "/proc/$process/stat" or return '';
    my $line = <$stat> // return '';
    return (split ' ', $line =~ s/.*\) //r)[19] // '';
}
