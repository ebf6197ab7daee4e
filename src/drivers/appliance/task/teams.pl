# How a supervisor runs the jobs of its appliance's teams, beside the command: a part of supervisor.pl.
#
#   the command runs ──▶ each job: starting ──▶ running ──▶ over          (it is done, or its policy does not restart it)
#                                     ▲            └──────▶ waiting ──┐  (again after a pause that doubles)
#                                     └───────────────────────────────┘
#
# They end with the command. What becomes of them is in the file `jobs`, one line each: run, number of the job in its
# spec, state, exit code, starts.
use strict;
use warnings;
use constant {STEADY_MS => 60_000};
our %call;

sub forget_jobs {
    my ($own) = @_;
    $own->{jobs} = [];
    truncate $own->{open}{jobs}, 0;
}

# The command's program has taken over.
sub begin_jobs {
    my ($own) = @_;
    for my $line (@{$own->{spec}{job}}) {
        my ($team, $index, $group, @arguments) = @$line;
        push @{$own->{jobs}}, {
            number => scalar @{$own->{jobs}}, title => "job $index of team $team", group => $group,
            env => [@{$own->{spec}{env}}, ['CONSORT_TEAM', $team], ['CONSORT_JOB', $index]],
            arguments => \@arguments, state => 'starting', code => 0, starts => 0, due => 0, problem => '',
        };
    }
}

# Seconds until the next one is due; undefined where none waits.
sub start_due_jobs {
    my ($own) = @_;
    my $soonest;
    for my $job (@{$own->{jobs}}) {
        next unless defined $job->{due};
        my $left = $job->{due} - clock_ms(1);
        if ($left > 0) { $soonest = $left if !defined $soonest || $left < $soonest }
        else { start_job($own, $job) }
    }
    return defined $soonest ? $soonest / 1000 + 0.001 : undef;
}

sub start_job {
    my ($own, $job) = @_;
    @$job{qw(state problem due began)} = ('starting', '', undef, clock_ms(1));
    $job->{starts}++;
    my $went = eval {
        @$job{qw(pid said)} = run_in_group($own, $job->{group}, $job->{env}, @{$job->{arguments}});
        1;
    };
    if ($went) { return tell_of_jobs($own) }
    $job->{problem} = $@;
    job_ended($own, $job, 0);
}

sub job_runs {
    my ($own, $job) = @_;
    $job->{state} = 'running';
    tell_of_jobs($own);
}

sub job_ended {
    my ($own, $job, $status) = @_;
    $job->{code} = exit_code($job, $status);
    undef $job->{pid};
    my $pause = $own->{stopping} ? undef : pause_before_restart($own, $job);
    $job->{pause} = $pause;
    $job->{due} = clock_ms(1) + $pause if defined $pause;
    $job->{state} = defined $pause ? 'waiting' : 'over';
    chomp(my $how = $job->{problem} ne '' ? "could not begin: $job->{problem}" : "ended with exit code $job->{code}");
    my $then = defined $pause ? ", begins again in $pause ms" : '';
    syswrite $own->{open}{log}, "consort: $job->{title} $how$then\n" unless $own->{stopping};
    tell_of_jobs($own);
}

# As for the command, by the policy that is in the spec by now: milliseconds, undefined: not at all. `next-restart.ts`
# tells why.
sub pause_before_restart {
    my ($own, $job) = @_;
    sysseek $own->{open}{spec}, 0, 0;
    my %spec = read_spec(slurp($own->{open}{spec}), restart => []);
    my ($when, $min, $max) = @{$spec{restart}[-1] // ['never', 0, 0]};
    return undef if $when eq 'never' || ($when eq 'on-failure' && $job->{code} == 0);
    return $min if !defined $job->{pause} || clock_ms(1) - $job->{began} >= STEADY_MS;
    my $double = $job->{pause} * 2 || 1;
    return $double < $max ? $double : $max;
}

sub job_pids {
    my ($own) = @_;
    return grep { defined } map { $_->{pid} } @{$own->{jobs}};
}

sub tell_of_jobs {
    my ($own) = @_;
    my $text = join '', map { join("\t", $own->{run}, @$_{qw(number state code starts)}) . "\n" } @{$own->{jobs}};
    sysseek $own->{open}{jobs}, 0, 0;
    syswrite $own->{open}{jobs}, $text;
    truncate $own->{open}{jobs}, length $text;
    syswrite $own->{open}{events}, "\n";
}

1;
