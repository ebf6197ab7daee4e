import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { startCompetitors } from "./busy-jobs.ts";

const clockGettime = process.arch === "arm64" ? 113 : 228;
const setScheduler = process.arch === "arm64" ? 119 : 144;

/**
 * With the highest real-time priority computes for the first part of every period since the machine's start, and tells
 * of each how much CPU time it had in that part, in ns: nothing of ours takes part in it.
 */
const spinner = `
my ($periods, $period, $execution, $call, $scheduler) = @ARGV;
sub now { my $time = "\\0" x 16; syscall($call + 0, $_[0] + 0, $time); my ($s, $n) = unpack "qq", $time; $s * 1e9 + $n }
my $priority = pack "l", 99;
syscall($scheduler + 0, 0, 1, $priority) == 0 or die "real-time priority is refused: $!\\n";
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
  const args = [periods, 1e6 * times.periodMs, 1e6 * times.executionMs, clockGettime, setScheduler];
  const child = spawn("perl", ["-e", spinner, ...args.map(String)], {
    stdio: ["ignore", "pipe", "ignore"],
    signal,
  });
  child.on("error", () => {});
  const exit = once(child, "exit");
  const [printed] = await Promise.all([text(child.stdout), exit]);
  signal.throwIfAborted();
  return printed
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => Number(line) / (1e6 * times.executionMs));
}
