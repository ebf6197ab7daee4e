import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

/** What such a program ends with where the kernel refuses it what it needs. */
const refused = 3;
/** What changes again and again is told of that often: the program goes before whoever changes it. */
const tellEveryMs = 50;

type Running = { readonly child: ChildProcess; readonly said: Map<string, string> };

/**
 * A program of Perl that makes the kernel look in time at what is named to it, by lines "keep NAME …" and "drop NAME". It
 * runs while there is any, and ends with its owner, however that ends. Where it cannot run, all is as exact as the
 * kernel's ticks.
 */
export class PacerProcess {
  readonly #args: readonly string[];
  #running: Running | undefined;
  #isRefused = false;
  #wanted: () => ReadonlyMap<string, string> = () => new Map();
  #telling: NodeJS.Timeout | undefined;

  constructor(program: string, args: readonly string[] = []) {
    this.#args = [program, ...args];
  }

  /** `isAny`: there is something; `wanted`: what follows each name, asked for in a moment, in place of what it was before. */
  keep(isAny: boolean, wanted: () => ReadonlyMap<string, string>): void {
    if (this.#isRefused || (!isAny && this.#running === undefined)) return;
    this.#running ??= this.#start();
    this.#wanted = wanted;
    this.#telling ??= setTimeout(() => this.#tell(), tellEveryMs).unref();
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

  #tell(): void {
    this.#telling = undefined;
    if (this.#running === undefined) return;
    const { child, said } = this.#running;
    const wanted = this.#wanted();
    const lines: string[] = [];
    for (const name of said.keys()) {
      if (wanted.has(name)) continue;
      lines.push(`drop ${name}\n`);
      said.delete(name);
    }
    for (const [name, what] of wanted) {
      if (said.get(name) !== what) lines.push(`keep ${name} ${what}\n`);
      said.set(name, what);
    }
    if (lines.length > 0) child.stdin?.write(lines.join(""));
  }

  #start(): Running {
    const child = spawn("perl", [...this.#args], { stdio: ["pipe", "ignore", "ignore"], cwd: "/" });
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
}
