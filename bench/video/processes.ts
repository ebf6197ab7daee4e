import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Cgroup } from "#drivers/system/cgroups/port.ts";

/** Where a program runs: whose network it has, and which control group and processor it is bound to. */
export type Where = {
  readonly netns: string;
  readonly env: Readonly<Record<string, string>>;
  readonly group?: Cgroup;
  readonly processor?: number;
};

const lastWordsMax = 2000;

/** Programs of one stage, each with all it starts in a session of its own; all of them end with it. */
export class Processes {
  readonly #running = new Map<ChildProcess, Promise<unknown>>();
  #words = "";

  start(command: readonly string[], where: Where): void {
    const pinned =
      where.processor === undefined ? command : ["taskset", "-c", String(where.processor), ...command];
    // A process enters its control group before it becomes the program, so that all of it is counted there.
    const enter = 'for file in $GROUP_FILES; do echo $$ >"$file"; done; exec "$@"';
    const words = ["nsenter", `--net=${where.netns}`, "sh", "-c", enter, "sh", ...pinned];
    const child = spawn(words[0] ?? "", words.slice(1), {
      stdio: ["ignore", "ignore", "pipe"],
      detached: true,
      env: { ...process.env, ...where.env, GROUP_FILES: (where.group?.procsFiles() ?? []).join(" ") },
    });
    child.stderr.on("data", (data: Buffer) => {
      this.#words = (this.#words + data.toString()).slice(-lastWordsMax);
    });
    this.#running.set(child, once(child, "exit"));
  }

  /** Programs of the load run until they are ended: one that has ended by itself has failed. */
  check(): void {
    const ended = [...this.#running.keys()].filter((child) => child.exitCode !== null);
    if (ended.length === 0) return;
    const commands = ended.map((child) => child.spawnargs.slice(6).join(" "));
    throw new Error(`Cannot run ${commands.join("; ")}: it ended: ${this.#words.trim()}`);
  }

  async stop(): Promise<void> {
    const ends = [...this.#running.values()];
    for (const child of this.#running.keys()) endSession(child);
    this.#running.clear();
    await Promise.all(ends);
  }
}

function endSession(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ESRCH") throw cause;
  }
}
