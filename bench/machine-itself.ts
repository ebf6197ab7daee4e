import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { startCompetitors } from "./busy-jobs.ts";

const calls =
  process.arch === "arm64"
    ? { clockGettime: 113, setScheduler: 119, setAffinity: 122, clockNanosleep: 115 }
    : { clockGettime: 228, setScheduler: 144, setAffinity: 203, clockNanosleep: 230 };

const prologue = `
sub now {
  my $time = "\\0" x 16;
  syscall ${calls.clockGettime}, $_[0] + 0, $time;
  my ($seconds, $ns) = unpack "qq", $time;
  return $seconds * 1e9 + $ns;
}
sub become_real_time {
  my $priority = pack "l", 99;
  syscall(${calls.setScheduler}, 0, 1, $priority) == 0 or die "real-time priority is refused: $!\\n";
}`;

/**
 * With the highest real-time priority computes for the first part of every period since the machine's start, and tells
 * of each how much CPU time it had in that part, in ns: nothing of ours takes part in it.
 */
const spinner = `${prologue}
become_real_time();
my ($periods, $period, $execution) = @ARGV;
my $next = (int(now(1) / $period) + 2) * $period;
my @got;
for (1 .. $periods) {
  my $left = ($next - now(1)) / 1e9 - 0.0003;
  select undef, undef, undef, $left if $left > 0;
  1 while now(1) < $next;
  my $before = now(3);
  1 while now(1) < $next + $execution;
  push @got, now(3) - $before;
  $next += $period;
}
printf "%.0f\\n", $_ for @got;`;

/**
 * With the highest real-time priority stops the one and continues the other of two processes that compute on its
 * processor, slot after slot, and tells of each how late it woke up for it and how long both calls took, in ns.
 */
const switcher = `${prologue}
my ($slots, $slot) = @ARGV;
my $mask = pack "Q", 1;
syscall(${calls.setAffinity}, 0, 8, $mask);
my ($own, @jobs) = $$;
for (1, 2) {
  my $job = fork // die "fork: $!\\n";
  if (!$job) {
    @jobs = ();
    1 while getppid == $own;
    exit;
  }
  push @jobs, $job;
}
$SIG{TERM} = sub { exit };
END { kill KILL => @jobs }
become_real_time();
kill STOP => @jobs;
my $next = (int(now(1) / $slot) + 2) * $slot;
my @seen;
for (1 .. $slots) {
  my $until = pack "qq", int($next / 1e9), $next % 1e9;
  syscall(${calls.clockNanosleep}, 1, 1, $until, 0);
  my $began = now(1);
  kill STOP => $jobs[0];
  kill CONT => $jobs[1];
  push @seen, [$began - $next, now(1) - $began];
  @jobs = reverse @jobs;
  $next += $slot;
}
printf "%.0f %.0f\\n", @$_ for @seen;`;

/**
 * What this machine gives a real-time program that nothing keeps by reservations, as a share of what it wants, period by
 * period: what is missing here, to its hypervisor, interrupts, or kernel work that nothing may interrupt, no back end
 * can give. Empty where real-time priority is refused.
 */
export async function observeMachine(
  periods: number,
  times: { readonly periodMs: number; readonly executionMs: number; readonly competitors: number },
  signal: AbortSignal,
): Promise<readonly number[]> {
  using _competitors = startCompetitors(times.competitors);
  const { periodMs, executionMs } = times;
  const lines = await linesOf(spinner, [periods, 1e6 * periodMs, 1e6 * executionMs], signal);
  return lines.map((line) => Number(line) / (1e6 * executionMs));
}

/** How late slots begin on this machine for a program that does nothing else, and what it costs to change who runs. */
export type Switches = { readonly lateMs: readonly number[]; readonly costMs: readonly number[] };

/** The same two calls as a dispatch makes, by a bare program: below it no dispatcher can be. As above, maybe empty. */
export async function observeSwitches(slots: number, slotMs: number, signal: AbortSignal): Promise<Switches> {
  const lines = await linesOf(switcher, [slots, 1e6 * slotMs], signal);
  const each = lines.map((line) => line.split(" ").map((ns) => Number(ns) / 1e6));
  return { lateMs: each.map(([late = 0]) => late), costMs: each.map(([, cost = 0]) => cost) };
}

async function linesOf(program: string, args: readonly number[], signal: AbortSignal): Promise<string[]> {
  const child = spawn("perl", ["-e", program, ...args.map(String)], {
    stdio: ["ignore", "pipe", "ignore"],
    signal,
  });
  child.on("error", () => {});
  const exit = once(child, "exit");
  const [printed] = await Promise.all([text(child.stdout), exit]);
  signal.throwIfAborted();
  return printed.split("\n").filter((line) => line !== "");
}
