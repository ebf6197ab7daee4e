#!/usr/bin/perl
# The root side of a task appliance, in the Perl that every Debian has (perl-base, no modules): it makes system
# calls directly, so that a whole machine costs one clone instead of a dozen programs.
#
#   supervisor.pl factory ...   reads "make" and "release" lines, answers one line each; ends with its input.
#   supervisor.pl exec ...      joins a running appliance and runs one more program in it.
#   programs.pl, teams.pl       how a supervisor runs the command and the jobs of its teams.
#   fence.pl                    what it does about its host's lease.
#
#   host manager --pipe--> factory --clone--> supervisor (pid 1 of the appliance) --fork--> the command, jobs of teams
#        |                                        ^   |
#        +------- control FIFO: start N ... ------+   +--> journal, jobs: files; events FIFO (end of file: it died)
#
# The supervisor outlives manager and factory. All it needs of the host it holds open from birth: in its own root
# nothing of the host's /var/lib or /run can be seen. Lines are fields between tabs, each percent-encoded.
use strict;
use warnings;
use constant {
    MS_RDONLY => 1, MS_NOSUID => 2, MS_NODEV => 4, MS_NOEXEC => 8, MS_REMOUNT => 32, MS_BIND => 4096, MS_REC => 16384,
    MS_PRIVATE => 1 << 18, MNT_DETACH => 2, AT_FDCWD => -100, SIGKILL => 9, SIGTERM => 15, SIGCHLD => 17,
    SIGCONT => 18, SIGSTOP => 19,
    CLONE_NEWNS => 0x20000, CLONE_NEWUTS => 0x4000000, CLONE_NEWIPC => 0x8000000, CLONE_NEWPID => 0x20000000,
    CLONE_NEWNET => 0x40000000, O_RDONLY => 0, O_WRONLY => 1, O_RDWR => 2, O_CREAT => 64, O_TRUNC => 512, O_APPEND => 1024,
    O_NONBLOCK => 2048, O_NOFOLLOW => 131072, S_IFIFO => 0010000, S_IFCHR => 0020000, WNOHANG => 1,
    SCHED_FIFO => 1, SCHED_RESET_ON_FORK => 0x40000000, PR_SET_PDEATHSIG => 1, PR_CAPBSET_DROP => 24, PR_SET_NO_NEW_PRIVS => 38, RLIMIT_CORE => 4,
};

my $machine = do { open my $in, '-|', 'uname', '-m' or die "uname: $!"; my $name = <$in>; chomp $name; $name };
our %call = $machine eq 'aarch64'
    ? (clone => 220, setns => 268, mount => 40, umount2 => 39, pivot_root => 41, sethostname => 161, prctl => 167,
       setresuid => 147, setresgid => 149, setgroups => 159, mknodat => 33, fsync => 82, prlimit64 => 261,
       rt_sigprocmask => 135, signalfd4 => 74, pidfd_open => 434, setsid => 157, clock_gettime => 113,
       pread64 => 67, timerfd_create => 85, timerfd_settime => 86, pidfd_getfd => 438, sched_setscheduler => 119,
       close => 57, openat => 56)
    : (clone => 56, setns => 308, mount => 165, umount2 => 166, pivot_root => 155, sethostname => 170, prctl => 157,
       setresuid => 117, setresgid => 119, setgroups => 116, mknodat => 259, fsync => 74, prlimit64 => 302,
       rt_sigprocmask => 14, signalfd4 => 289, pidfd_open => 434, setsid => 112, clock_gettime => 228,
       pread64 => 17, timerfd_create => 283, timerfd_settime => 286, pidfd_getfd => 438, sched_setscheduler => 144,
       close => 3, openat => 257);

require($0 =~ s{[^/]*$}{$_}r) for qw(fence.pl programs.pl teams.pl);
umask 022;
my $mode = shift @ARGV // '';
if ($mode eq 'factory') { factory(@ARGV) }
elsif ($mode eq 'exec') { run_inside(@ARGV) }
else { die "usage: supervisor.pl factory PARENT [PID START FD] | exec FIELDS\n" }
exit 0;

# ---- factory -----------------------------------------------------------------------------------------------

sub factory {
    my ($parent, @living) = @_;
    local $SIG{CHLD} = 'IGNORE';
    $| = 1;
    # Never alive beside the next manager's: what it leaves half made, that one clears away.
    sys('prctl', PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    # It died before that.
    exit 0 if getppid() != $parent;
    my $timer = lease_timer(@living);
    while (my $line = <STDIN>) {
        chomp $line;
        my ($verb, $slot, @rest) = fields($line);
        my $answer = eval {
            if ($verb eq 'make') { make($timer, @rest) }
            elsif ($verb eq 'lease') { set_lease_timer($timer, $slot, @rest); 'set' }
            else { release(@rest) }
        };
        my $problem = $@;
        chomp $problem;
        print join("\t", $verb, $slot, defined $answer ? ('ok', $answer) : ('failed', encode($problem))), "\n";
    }
}

# Its network namespace is there, and its pid recorded, when this returns; the rest it sets up on its own.
sub make {
    my ($timer, $directory, $netns, $uid, $image, $procs, $masks, $lease, $trees, $binds, $devices) = @_;
    # Left by a supervisor that died: an overlay mounted "volatile" may not be mounted again.
    remove_tree("$directory/work");
    for my $name ('', qw(/root /upper /work)) {
        -d "$directory$name" or mkdir "$directory$name", 0755 or die "mkdir $directory$name: $!\n";
    }
    for my $name (qw(control events)) {
        -p "$directory/$name" or sys('mknodat', AT_FDCWD, "$directory/$name", S_IFIFO | 0600, 0);
    }
    # What it starts goes into groups below, which it finds from here: there is no /sys/fs/cgroup in its root.
    my %open = (timer => $timer, trees => [map { open_directory($_) } split /,/, $trees]);
    sysopen $open{control}, "$directory/control", O_RDWR or die "control: $!\n";
    sysopen $open{events}, "$directory/events", O_RDWR | O_NONBLOCK or die "events: $!\n";
    sysopen $open{jobs}, "$directory/jobs", O_RDWR | O_CREAT | O_TRUNC, 0600 or die "jobs: $!\n";
    sysopen $open{journal}, "$directory/journal", O_RDWR | O_CREAT | O_APPEND, 0600 or die "journal: $!\n";
    sysopen $open{log}, "$directory/log", O_WRONLY | O_CREAT | O_APPEND, 0600 or die "log: $!\n";
    sysopen $open{spec}, "$directory/spec", O_RDWR | O_CREAT, 0600 or die "spec: $!\n";
    sysopen $open{lease}, $lease, O_RDONLY or die "lease: $!\n";
    sysopen my $hosts, "$directory/hosts", O_RDWR | O_CREAT, 0644 or die "hosts: $!\n";
    close $hosts;
    pipe my $gate, my $key or die "pipe: $!\n";

    # Remade after its supervisor died: the namespace is still there, with its interfaces in it.
    my $kept = mounted_netns($netns);
    my $flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | ($kept ? 0 : CLONE_NEWNET) | SIGCHLD;
    my $pid = sys('clone', $flags, 0, 0, 0, 0);
    if ($pid == 0) {
        close $key;
        my %more = (masks => [split /,/, $masks], binds => [split /\n/, $binds], devices => [split /\n/, $devices]);
        supervise(\%open, $gate, $directory, $kept, $uid, $image, \%more);
    }
    close $gate;
    my $made = eval {
        bind_netns($pid, $netns) unless $kept;
        write_file($_, $pid) for split /,/, $procs;
        # Where the CPU has a hierarchy of its own, only what the supervisor starts is limited, not the supervisor: it
        # must not wait for the CPU time of those whom it is to stop.
        write_file(root_group($_), $pid) for grep { own_cpu_tree($_) } split /,/, $procs;
        # The last words: it is one of those that obey a lease, and has the timer open by that number.
        write_file("$directory/pid", "$pid " . start_time($pid) . ' lease' . (defined $timer ? " $timer" : '') . "\n");
        syswrite $key, "go";
        1;
    };
    # Without the key's two letters it ends by itself.
    die $@ unless $made;
    return $pid;
}

sub own_cpu_tree { return $_[0] =~ m{^/sys/fs/cgroup/cpu(?:,cpuacct)?/} }
sub root_group { return $_[0] =~ s{^(/sys/fs/cgroup/[^/]+)/.*}{$1/cgroup.procs}r }

sub release {
    my ($netns) = @_;
    syscall($call{umount2}, $netns, MNT_DETACH);
    unlink $netns;
    return -e $netns ? die "unlink $netns: $!\n" : 'gone';
}

sub mounted_netns {
    my ($netns) = @_;
    open my $file, '<', $netns or return undef;
    my ($parent) = $netns =~ m{^(.*)/};
    # Cut off between the two steps of bind_netns: a name with nothing mounted on it.
    return (stat $file)[0] == (stat $parent)[0] ? undef : $file;
}

sub bind_netns {
    my ($pid, $netns) = @_;
    my ($parent) = $netns =~ m{^(.*)/};
    -d $parent or mkdir $parent, 0755 or die "mkdir $parent: $!\n";
    sysopen my $file, $netns, O_CREAT | O_WRONLY, 0444 or die "$netns: $!\n";
    close $file;
    mount("/proc/$pid/ns/net", $netns, '', MS_BIND, '');
}

# ---- supervisor: pid 1 of an appliance ---------------------------------------------------------------------

sub supervise {
    my ($open, $gate, $directory, $netns, $uid, $image, $more) = @_;
    my $went = eval {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        $SIG{CHLD} = 'DEFAULT';
        $0 = 'consort-supervisor';
        syscall($call{setsid});
        sysread($gate, my $go, 2) == 2 or return 1;
        close $gate;
        if ($netns) { sys('setns', fileno $netns, CLONE_NEWNET); close $netns }
        set_up_root($directory, $uid, $image, $more);
        set_up_network();
        serve($open, $uid);
        1;
    };
    if (!$went) {
        my $problem = $@;
        chomp $problem;
        note($open, 0, 'broken', 255, $problem);
    }
    exit 0;
}

sub set_up_root {
    my ($directory, $uid, $image, $more) = @_;
    mount('none', '/', '', MS_REC | MS_PRIVATE, '');
    my $root = "$directory/root";
    mount('overlay', $root, 'overlay', MS_NODEV | MS_NOSUID,
        "lowerdir=$image,upperdir=$directory/upper,workdir=$directory/work,volatile");
    chdir $root or die "chdir $root: $!\n";
    for my $name (qw(dev proc sys tmp run etc)) { -d $name or mkdir $name, 0755 }
    # Opened here, as the kernel mounts only what is of the same mount namespace.
    open my $hosts, '<', "$directory/hosts" or die "hosts: $!\n";
    my @binds = map { my ($source, $target) = split /\t/; [open_directory($source), $target] } @{$more->{binds}};
    # New root on top of itself: afterwards "/" is the new one and "." still the old one, until it is let go.
    sys('pivot_root', '.', '.');
    mount('proc', '/proc', 'proc', MS_NOSUID | MS_NODEV | MS_NOEXEC, '');
    write_file('/etc/hosts', '') unless -e '/etc/hosts';
    mount('/proc/self/fd/' . fileno($hosts), '/etc/hosts', '', MS_BIND, '');
    bind_directory(@$_) for @binds;
    sys('umount2', '.', MNT_DETACH);
    chdir '/' or die "chdir /: $!\n";

    mount('sysfs', '/sys', 'sysfs', MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, '');
    mount('tmpfs', '/tmp', 'tmpfs', MS_NOSUID | MS_NODEV, 'mode=1777');
    mount('tmpfs', '/run', 'tmpfs', MS_NOSUID | MS_NODEV, "mode=0755,uid=$uid,gid=$uid");
    set_up_devices($uid, @{$more->{devices}});
    for my $path (@{$more->{masks}}) {
        next unless -d $path;
        mount('tmpfs', $path, 'tmpfs', MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, 'mode=0755,nr_inodes=2');
    }
    # Its networks have their names in /etc/hosts; the host's name servers are not reachable from them.
    if (-e '/etc/resolv.conf' || -l '/etc/resolv.conf') { unlink '/etc/resolv.conf'; write_file('/etc/resolv.conf', '') }
}

sub bind_directory {
    my ($source, $target) = @_;
    -d $target or mkdir $target, 0755 or die "mkdir $target: $!\n";
    mount("/proc/self/fd/$source", $target, '', MS_BIND, '');
    mount('none', $target, '', MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC, '');
    syscall($call{close}, $source);
}

# More than every machine has: names below /dev with their numbers, the machine's own user's.
sub set_up_devices {
    my ($uid, @more) = @_;
    mount('tmpfs', '/dev', 'tmpfs', MS_NOSUID | MS_NOEXEC, 'mode=0755,size=64k');
    my %device = (null => 3, zero => 5, full => 7, random => 8, urandom => 9);
    my $old = umask 0;
    sys('mknodat', AT_FDCWD, "/dev/$_", S_IFCHR | 0666, 1 << 8 | $device{$_}) for keys %device;
    sys('mknodat', AT_FDCWD, '/dev/tty', S_IFCHR | 0666, 5 << 8);
    for (@more) {
        my ($name, $major, $minor) = split /\t/;
        mkdir "/dev/$1", 0755 if $name =~ m{^(.*)/};
        sys('mknodat', AT_FDCWD, "/dev/$name", S_IFCHR | 0600, $major << 8 | $minor);
        chown $uid, $uid, "/dev/$name" or die "chown /dev/$name: $!\n";
    }
    umask $old;
    symlink '/proc/self/fd', '/dev/fd';
    symlink "/proc/self/fd/$_->[0]", "/dev/$_->[1]" for [0, 'stdin'], [1, 'stdout'], [2, 'stderr'];
    symlink 'pts/ptmx', '/dev/ptmx';
    mkdir '/dev/shm';
    mkdir '/dev/pts';
    mount('tmpfs', '/dev/shm', 'tmpfs', MS_NOSUID | MS_NODEV, 'mode=1777');
    mount('devpts', '/dev/pts', 'devpts', MS_NOSUID | MS_NOEXEC, 'newinstance,ptmxmode=0666,mode=620');
}

sub set_up_network {
    # An unprivileged user may then serve port 80 and ping, in this namespace only.
    eval { write_file('/proc/sys/net/ipv4/ip_unprivileged_port_start', '0') };
    eval { write_file('/proc/sys/net/ipv4/ping_group_range', '0 2147483647') };
    socket my $socket, 2, 2, 0 or die "socket: $!\n";
    my $request = pack 'a16 s x22', 'lo', 1;
    ioctl $socket, 0x8914, $request or die "bring lo up: $!\n";
}

# Of its machine: run, the number of the newest; command, its process while it is there; said, where that tells why it
# could not become the command; jobs, those of its teams; held, a run that waits for the lease; leased, whether it needs
# one; fenced, how often it has looked for a later one while all was held; stopped, what had stopped by itself before
# that; before, the journal's length without the word of it.
sub serve {
    my ($open, $uid) = @_;
    my $child_mask = pack 'Q', 1 << (SIGCHLD - 1);
    sys('rt_sigprocmask', 0, $child_mask, 0, 8);
    my $signals = sys('signalfd4', -1, $child_mask, 8, O_NONBLOCK | 02000000);
    open my $ends, '+<&=', $signals or die "signalfd: $!\n";
    # So that a busy appliance cannot keep it from stopping it; what it starts begins at normal priority again.
    eval { setpriority 0, 0, -20 };
    my $priority = pack 'l', 1;
    syscall($call{sched_setscheduler}, 0, SCHED_FIFO | SCHED_RESET_ON_FORK, $priority);
    note($open, 0, 'ready', 0, '');
    my $own = {open => $open, uid => $uid, mask => $child_mask, run => 0, leased => 0, fenced => 0, jobs => []};
    my $pending = '';
    while (1) {
        my $ready = '';
        vec($ready, fileno $open->{control}, 1) = 1;
        vec($ready, $signals, 1) = 1;
        my $wait = obey_lease($own);
        my $timer = defined $wait && !$own->{fenced} && !$own->{rang} ? $open->{timer} : undef;
        if (defined $timer) {
            vec($ready, $timer, 1) = 1;
            # It rings when the lease ends as it is now, or sooner. Not for want of trust in that, but in all there is:
            # once in a while it looks by itself.
            $wait += 45 + rand 30;
        }
        if (!$own->{fenced}) {
            my $due = start_due_jobs($own);
            $wait = $due if defined $due && !(defined $wait && $wait < $due);
            vec($ready, fileno $_, 1) = 1 for open_ears($own);
        }
        select $ready, undef, undef, $wait;
        # One that rang too early, as nobody sets it any more, rings on: for once without it.
        $own->{rang} = defined $timer && vec $ready, $timer, 1;
        hear($own, $ready);
        if (vec $ready, $signals, 1) {
            sysread $ends, my $ignored, 4096;
            while ((my $pid = waitpid -1, WNOHANG) > 0) { reaped($own, $pid, $?) }
        }
        next unless vec $ready, fileno $open->{control}, 1;
        sysread $open->{control}, $pending, 4096, length $pending;
        while ($pending =~ s/^(\w+) (\d+)\n//) { do_as_told($own, $1, $2) }
    }
}

sub do_as_told {
    my ($own, $verb, $number) = @_;
    if ($verb eq 'start' && $number > $own->{run} && !defined $own->{command}) {
        $own->{run} = $number;
        start($own);
    }
    elsif ($verb eq 'leased') { $own->{leased} = $number }
    # Thawed with every process stopped: whether they go on is for the lease to say.
    elsif ($verb eq 'go' && !$own->{fenced}) { go_on() if may_run($own) }
    elsif ($verb eq 'signal' || $verb eq 'kill') {
        $own->{stopping} = 1;
        if (defined $own->{held}) { undef $own->{held}; ended($own, SIGKILL) }
        # A fenced command must not run again only to end politely.
        elsif ($verb eq 'kill' || $own->{fenced}) { kill SIGKILL, -1 }
        elsif (defined $own->{command}) { kill $number, $own->{command}, job_pids($own) }
    }
    # "lease 0" only wakes.
}

# ---- exec: one more program in a running appliance ---------------------------------------------------------

sub run_inside {
    my ($pid, $uid, $procs, $groups, $text, $lease) = @_;
    my %open;
    if ($lease ne '') { sysopen $open{lease}, $lease, O_RDONLY or die "lease: $!\n" }
    my $handle = sys('pidfd_open', $pid + 0, 0);
    write_file($_, $$) for split /,/, decode($procs);
    # The program alone is dispatched, not who waits for it.
    my @groups = map { sysopen my $group, $_, O_WRONLY or die "$_: $!\n"; $group } split /,/, decode($groups);
    my %spec = read_spec($text, env => [], arg => [], directory => '/');
    sys('setns', $handle, CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET);
    my $child;
    local $SIG{TERM} = sub { kill SIGKILL, -$child, $child if $child; exit 143 };
    sys('prctl', PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    $child = fork // die "fork: $!\n";
    if ($child == 0) {
        $SIG{TERM} = 'DEFAULT';
        eval {
            syscall($call{setsid});
            for (@groups) { syswrite $_, '0' or die "enter its control group: $!\n" }
            eval { write_file('/proc/self/oom_score_adj', '500') };
            give_up_privileges($uid + 0);
            # After the change of user, which clears it.
            sys('prctl', PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            die "run $spec{arg}[0][0]: its host's lease is over\n" if %open && lease_left(\%open) <= 0;
            run_program(\%spec);
        };
        print STDERR "Cannot $@";
        exit 127;
    }
    waitpid $child, 0;
    exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
}

# ---- small things ------------------------------------------------------------------------------------------

# One journal line, then a nudge to whoever listens; only then to the disk, which takes milliseconds.
sub note {
    my ($open, $run, $what, $code, $message) = @_;
    syswrite $open->{journal}, join("\t", $run, $what, $code, int clock_ms(0), encode($message)) . "\n";
    syswrite $open->{events}, "\n";
    syscall($call{fsync}, fileno $open->{journal}) if $what eq 'ended' || $what eq 'failed';
}

# 0: since the epoch; 1: monotonic.
sub clock_ms {
    my ($clock) = @_;
    my $now = "\0" x 16;
    syscall($call{clock_gettime}, $clock, $now);
    my ($seconds, $nanoseconds) = unpack 'qq', $now;
    return $seconds * 1000 + $nanoseconds / 1e6;
}

sub sys {
    my ($name, @arguments) = @_;
    my $result = syscall($call{$name}, map { /^-?\d+$/ && $name ne 'sethostname' ? $_ + 0 : $_ } @arguments);
    die "$name: $!\n" if $result < 0;
    return $result;
}

sub mount {
    my ($source, $target, $type, $flags, $data) = @_;
    my $result = syscall($call{mount}, "$source", "$target", "$type", $flags, "$data");
    die "mount $target: $!\n" if $result < 0;
}

sub write_file {
    my ($path, $text) = @_;
    sysopen my $file, $path, O_WRONLY | O_CREAT | O_TRUNC, 0644 or die "$path: $!\n";
    defined syswrite $file, $text or die "$path: $!\n";
}

sub open_directory {
    my ($path) = @_;
    # O_DIRECTORY, O_CLOEXEC
    return sys('openat', AT_FDCWD, $path, O_RDONLY | 0200000 | 02000000, 0);
}

sub slurp {
    my ($file) = @_;
    my $text = '';
    1 while sysread $file, $text, 65536, length $text;
    return $text;
}

sub start_time {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/stat" or die "/proc/$pid/stat: $!\n";
    my $line = <$file>;
    return (split ' ', $line =~ s/.*\) //r)[19];
}

sub remove_tree {
    my ($path) = @_;
    return unlink $path if -l $path || (-e _ && !-d _);
    opendir my $directory, $path or return;
    for my $name (readdir $directory) { remove_tree("$path/$name") unless $name eq '.' || $name eq '..' }
    rmdir $path;
}

sub fields { return map { decode($_) } split /\t/, $_[0], -1 }
sub decode { return $_[0] =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger }
sub encode { return $_[0] =~ s/([^\w .,:;\/-])/sprintf '%%%02X', ord $1/ger }
