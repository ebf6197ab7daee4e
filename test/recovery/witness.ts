import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Life } from "./intervals.ts";

/** The witness process of one lab; see witness.child.ts. */
export type Witness = AsyncDisposable & {
  /** All it has seen until now. */
  lives(): Promise<readonly Life[]>;
};

export function startWitness(labStateDir: string): Witness {
  const args = [`${import.meta.dirname}/witness.child.ts`, `${labStateDir}/hosts`];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  return {
    async lives() {
      const answer = once(lines, "line");
      child.stdin.write("tell\n");
      const [line] = (await answer) as [string];
      const lives = JSON.parse(line) as (Life & { firstNs: string; lastNs: string })[];
      return lives.map((life) => ({
        ...life,
        firstNs: BigInt(life.firstNs),
        lastNs: BigInt(life.lastNs),
      }));
    },
    async [Symbol.asyncDispose]() {
      const ended = once(child, "exit");
      child.stdin.end();
      await ended;
    },
  };
}

const clockGettime = process.arch === "arm64" ? 113 : 228;

/**
 * A command that stamps its output every 2 ms for as long as it runs: "<appliance> <instance> <ns of CLOCK_MONOTONIC>".
 */
export const stampingCommand: readonly string[] = [
  "perl",
  "-e",
  [
    "$| = 1;",
    "my $me = $ENV{HOSTNAME} . ' ' . int rand 1e12;",
    "my $now = ' ' x 16;",
    "while (1) {",
    `  syscall ${clockGettime}, 1, $now;`,
    "  my ($seconds, $ns) = unpack 'qq', $now;",
    "  print $me, ' ', $seconds * 1_000_000_000 + $ns, chr 10;",
    "  select undef, undef, undef, 0.002;",
    "}",
  ].join(" "),
];
