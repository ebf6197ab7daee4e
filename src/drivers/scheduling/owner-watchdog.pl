#!/usr/bin/perl
# Outlives a program that has machines suspended or given deadlines, and lets go of them when it ends, however it ends. In
# the Perl that every Debian has (perl-base, no modules).
#
# On standard input, which only that program holds, one line each, its fields apart by tabs:
#   hold KEY write FILE VALUE        when it ends this is written, as to thaw a group
#   hold KEY continue PID START      this process is continued, if it still began at START
#   hold KEY ordinary TID START      this thread has no deadlines any more
#   release KEY                      it has been done
use strict;
use warnings;
use constant {SCHED_OTHER => 0, SCHED_DEADLINE => 6, RESET_ON_FORK => 0x40000000, SIGCONT => 18};

my %call = -e '/lib/ld-linux-aarch64.so.1'
    ? (sched_setscheduler => 119, sched_getscheduler => 120)
    : (sched_setscheduler => 144, sched_getscheduler => 145);
# Not as watchdogs of dispatchers are called, which are ended by their names.
$0 = 'consort-let-go';
my ($said_so_far, %held) = ('');
while (sysread STDIN, my $said, 65536) {
    $said_so_far .= $said;
    while ($said_so_far =~ s/^(.*)\n//) {
        my ($what, $key, @how) = split /\t/, $1;
        if ($what eq 'hold') { $held{$key} = \@how }
        else { delete $held{$key} }
    }
}
# Twice: a pacer that was about to change a thread may do so after the first time.
for (1 .. 2) {
    let_go(@$_) for values %held;
    select undef, undef, undef, 0.02 if %held;
}

sub let_go {
    my ($how, $what, $more) = @_;
    if ($how eq 'write') {
        # A group that is gone has nothing to continue.
        if (open my $file, '+<', $what) { syswrite $file, $more }
        return;
    }
    return if start_time($what) ne $more;
    if ($how eq 'continue') { kill SIGCONT, $what }
    else {
        my $class = syscall $call{sched_getscheduler}, $what + 0;
        my $none = pack 'l', 0;
        syscall $call{sched_setscheduler}, $what + 0, SCHED_OTHER, $none if ($class & ~RESET_ON_FORK) == SCHED_DEADLINE;
    }
}

sub start_time {
    my ($process) = @_;
    open my $stat, '<', "/proc/$process/stat" or return '';
    my $line = <$stat> // return '';
    return (split ' ', $line =~ s/.*\) //r)[19] // '';
}
