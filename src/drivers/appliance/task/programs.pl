# How a supervisor runs its appliance's command: a part of supervisor.pl.
#
#   start ──▶ fork ──▶ its control group, its user, exec ──▶ running ──▶ ended: all else in the machine ends with it
#                 └──▶ tells why it could not ──▶ failed
#
# Between fork and exec the child may be stopped for long: it waits for its group's time slot, as the command will. So
# nobody waits for it; that it has become the command, or why not, is heard beside everything else.
use strict;
use warnings;
our %call;

# Without a lease it is held: started as soon as there is one.
sub start {
    my ($own) = @_;
    my ($open, $run) = ($own->{open}, $own->{run});
    my $went = eval {
        sysseek $open->{spec}, 0, 0;
        my %spec = read_spec(slurp($open->{spec}),
            env => [], arg => [], file => [], job => [], directory => '/', hostname => 'appliance', leased => 0);
        $own->{leased} = $spec{leased};
        if (!may_run($own)) { $own->{held} = 1; return 1 }
        @$own{qw(fenced stopping problem spec)} = (0, 0, '', \%spec);
        truncate $open->{journal}, 0;
        forget_jobs($own);
        note($open, $run, 'starting', 0, '');
        # A supervisor that died while it was fenced left them down.
        set_links(1);
        sys('sethostname', $spec{hostname}, length $spec{hostname});
        lay_in(@$_) for @{$spec{file}};
        @$own{qw(command said)} = run_in_group($own, 'main', $spec{env}, map { $_->[0] } @{$spec{arg}});
        1;
    };
    return if $went;
    my $problem = $@;
    chomp $problem;
    note($open, $run, 'failed', 126, $problem);
}

# Lines of a key and values: those of a key whose default is a list are collected, of the others the last one counts.
sub read_spec {
    my ($text, %spec) = @_;
    for (split /\n/, $text) {
        my ($key, @values) = fields($_);
        if (ref $spec{$key}) { push @{$spec{$key}}, \@values } else { $spec{$key} = $values[0] }
    }
    return %spec;
}

# Its process, and where that tells why it could not become the program.
sub run_in_group {
    my ($own, $group, $env, @arguments) = @_;
    pipe my $said, my $tell or die "pipe: $!\n";
    my $child = fork // die "fork: $!\n";
    if ($child == 0) { become($own, $group, {%{$own->{spec}}, env => $env, arg => [map { [$_] } @arguments]}, $tell) }
    return ($child, $said);
}

# All from which it is still to be heard whether a child has become its program.
sub open_ears {
    my ($own) = @_;
    return grep { defined } $own->{said}, map { $_->{said} } @{$own->{jobs}};
}

sub hear {
    my ($own, $ready) = @_;
    # Held where it is, it has to be told of as such.
    return if $own->{fenced};
    for my $program ($own, @{$own->{jobs}}) {
        next unless defined $program->{said} && vec $ready, fileno $program->{said}, 1;
        next if listen_to($program);
        # With a problem, it is about to end.
        next if $program->{problem} ne '';
        if ($program == $own) { note($own->{open}, $own->{run}, 'running', 0, ''); begin_jobs($own) }
        else { job_runs($own, $program) }
    }
}

# True: there may be more to come.
sub listen_to {
    my ($program) = @_;
    return 1 if sysread $program->{said}, $program->{problem}, 4096, length $program->{problem};
    undef $program->{said};
    return 0;
}

sub reaped {
    my ($own, $pid, $status) = @_;
    if (defined $own->{command} && $pid == $own->{command}) { return ended($own, $status) }
    my ($job) = grep { defined $_->{pid} && $_->{pid} == $pid } @{$own->{jobs}};
    job_ended($own, $job, $status) if $job;
}

sub exit_code {
    my ($program, $status) = @_;
    if (defined $program->{said}) { 1 while listen_to($program) }
    return 127 if $program->{problem} ne '';
    return $status & 127 ? 128 + ($status & 127) : $status >> 8;
}

sub ended {
    my ($own, $status) = @_;
    $own->{problem} //= '';
    my $code = exit_code($own, $status);
    undef $own->{command};
    # Of the fence only the silence is left.
    undef $own->{before};
    end_all();
    forget_jobs($own);
    note($own->{open}, $own->{run}, $own->{problem} ne '' ? ('failed', $code, $own->{problem}) : ('ended', $code, ''));
    $own->{problem} = '';
}

# The command is the appliance: with it ends whatever it left running.
sub end_all {
    kill SIGKILL, -1;
    1 while waitpid(-1, 0) > 0;
}

sub lay_in {
    my ($path, $mode, $owner, $content) = @_;
    my $parent = '';
    for my $part (grep { length } split m{/}, $path =~ s{/[^/]*$}{}r) {
        $parent .= "/$part";
        next if -d $parent;
        mkdir $parent, 0755 or die "make directory $parent: $!\n";
        chown $owner, $owner, $parent;
    }
    sysopen my $file, $path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600 or die "write $path: $!\n";
    syswrite $file, $content;
    chown $owner, $owner, $file or die "chown $path: $!\n";
    chmod oct $mode, $file or die "chmod $path: $!\n";
}

# In the child: the unprivileged process that becomes the program. Never returns.
sub become {
    my ($own, $group, $spec, $tell) = @_;
    my $open = $own->{open};
    eval {
        enter_group($open->{trees}, $group);
        setpriority 0, 0, 0;
        syscall($call{setsid});
        open STDIN, '<', '/dev/null' or die "open /dev/null: $!\n";
        open STDOUT, '>&', $open->{log} or die "open the log: $!\n";
        open STDERR, '>&', $open->{log} or die "open the log: $!\n";
        # Out of memory takes the command, not the one who tells of it.
        eval { write_file('/proc/self/oom_score_adj', '500') };
        sys('rt_sigprocmask', 1, $own->{mask}, 0, 8);
        give_up_privileges($own->{uid});
        run_program($spec);
    };
    my $problem = $@;
    chomp $problem;
    syswrite $tell, $problem;
    exit 127;
}

sub enter_group {
    my ($trees, $group) = @_;
    for my $tree (@$trees) {
        my $number = sys('openat', $tree, "$group/cgroup.procs", O_WRONLY | 02000000, 0);
        open my $file, '>&=', $number or die "enter its control group: $!\n";
        syswrite $file, '0' or die "enter its control group: $!\n";
    }
}

sub give_up_privileges {
    my ($uid) = @_;
    sys('prlimit64', 0, RLIMIT_CORE, pack('QQ', 0, 0), 0);
    for my $capability (0 .. 63) { last if syscall($call{prctl}, PR_CAPBSET_DROP, $capability, 0, 0, 0) < 0 }
    sys('setgroups', 0, 0);
    sys('setresgid', $uid, $uid, $uid);
    sys('setresuid', $uid, $uid, $uid);
    sys('prctl', PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

sub run_program {
    my ($spec) = @_;
    chdir $spec->{directory} or die "enter $spec->{directory}: $!\n";
    %ENV = map { $_->[0] => $_->[1] } @{$spec->{env}};
    my @arguments = map { $_->[0] } @{$spec->{arg}};
    no warnings 'exec';
    exec { $arguments[0] } @arguments or die "run $arguments[0]: $!\n";
}

1;
