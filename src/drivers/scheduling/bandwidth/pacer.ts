import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Reservation } from "#control/scheduling/reservation.ts";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";

const program = fileURLToPath(new URL("pacer.pl", import.meta.url));
/** What the program ends with where real-time priority is refused. */
const refused = 3;
/** What changes again and again is told of that often: its threads go before whoever changes it. */
const tellEveryMs = 50;

export type PacerOptions = {
  readonly layout: CgroupLayout;
  /** On each of these it has a thread. */
  readonly processors: readonly number[];
};

type Running = { readonly child: ChildProcess; readonly said: Map<string, string> };

/**
 * Tells the program that makes the kernel look at quotas in time (pacer.pl) which groups have one. It runs while there
 * are any, and ends with its owner, however that ends. Where it cannot run, quotas are as exact as the kernel's ticks.
 */
export class Pacer {
  readonly #options: PacerOptions;
  #running: Running | undefined;
  #isRefused = false;
  #quotas: ReadonlyMap<string, Reservation> = new Map();
  #telling: NodeJS.Timeout | undefined;

  constructor(options: PacerOptions) {
    this.#options = options;
  }

  /** All groups with a quota, by their paths, in place of those named before; the program is told in a moment. */
  keep(quotas: ReadonlyMap<string, Reservation>): void {
    if (this.#isRefused || (quotas.size === 0 && this.#running === undefined)) return;
    this.#running ??= this.#start();
    this.#quotas = quotas;
    this.#telling ??= setTimeout(() => this.#tell(), tellEveryMs).unref();
  }

  #tell(): void {
    this.#telling = undefined;
    if (this.#running === undefined) return;
    const { child, said } = this.#running;
    const lines: string[] = [];
    const wanted = new Map<string, string>();
    for (const [path, reservation] of this.#quotas) {
      const files = this.#filesOf(path);
      if (files === undefined) continue;
      const line = `keep ${reservation.periodUs} ${reservation.executionUs} ${files.stat} ${files.usage}\n`;
      wanted.set(files.stat, line);
      if (said.get(files.stat) !== line) lines.push(line);
      said.set(files.stat, line);
    }
    for (const stat of said.keys()) {
      if (wanted.has(stat)) continue;
      lines.push(`drop ${stat}\n`);
      said.delete(stat);
    }
    if (lines.length > 0) child.stdin?.write(lines.join(""));
  }

  async close(): Promise<void> {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    const child = this.#running?.child;
    this.#running = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.ref();
    child.stdin?.end();
    await exit;
  }

  #start(): Running {
    const { layout, processors } = this.#options;
    // Real-time priority is not to be had in a group of its own, where the kernel rations it by group.
    const root = layout.v1.cpu === undefined ? "-" : join(layout.v1.cpu, "cgroup.procs");
    const child = spawn("perl", [program, root, ...processors.map(String)], {
      stdio: ["pipe", "ignore", "ignore"],
      cwd: "/",
    });
    const running = { child, said: new Map<string, string>() };
    child.stdin.on("error", () => {});
    child.once("error", () => (this.#isRefused = true));
    child.once("exit", (code) => {
      this.#isRefused ||= code === refused;
      // Begun again with the next change.
      if (this.#running === running) this.#running = undefined;
    });
    // A program that has nothing else to do may end.
    child.unref();
    if ("unref" in child.stdin && typeof child.stdin.unref === "function") child.stdin.unref();
    return running;
  }

  /** Undefined: nothing tells how much it has used. */
  #filesOf(path: string): { readonly stat: string; readonly usage: string } | undefined {
    const { v1, v2 } = this.#options.layout;
    if (/\s/.test(path)) return undefined;
    if (v1.cpu !== undefined && v1.cpuacct !== undefined)
      return { stat: join(v1.cpu, path, "cpu.stat"), usage: join(v1.cpuacct, path, "cpuacct.usage") };
    return v1.cpu === undefined && v2 !== undefined
      ? { stat: join(v2, path, "cpu.stat"), usage: "-" }
      : undefined;
  }
}
