import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("owner-watchdog.pl", import.meta.url));

/** What is done to let go: written to a file, a process continued, a thread made ordinary. */
export type LettingGo =
  | { readonly kind: "write"; readonly file: string; readonly value: string }
  | { readonly kind: "continue"; readonly pid: number; readonly startTime: string }
  | { readonly kind: "ordinary"; readonly tid: number; readonly startTime: string };

/**
 * Lets go what this process holds by the kernel itself when it ends, however it does: owner-watchdog.pl. It runs while
 * anything is held.
 */
export class OwnerWatchdog {
  /** The lines that tell of what is held, by their keys. */
  readonly #held = new Map<string, string>();
  #child: ChildProcess | undefined;

  /** Before it is held. */
  hold(key: string, how: LettingGo): void {
    const line = `hold\t${key}\t${fieldsOf(how).join("\t")}\n`;
    if (this.#held.get(key) === line) return;
    this.#held.set(key, line);
    if (this.#child === undefined) this.#start();
    else this.#child.stdin?.write(line);
  }

  /** After it was let go. */
  release(key: string): void {
    if (!this.#held.delete(key)) return;
    this.#child?.stdin?.write(`release\t${key}\n`);
  }

  async close(): Promise<void> {
    const child = this.#child;
    this.#held.clear();
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.ref();
    child.stdin?.end();
    await exit;
  }

  /** In a session of its own, so that what a terminal tells its programs does not end it with them. */
  #start(): void {
    const child = spawn("perl", [program], { stdio: ["pipe", "ignore", "ignore"], cwd: "/", detached: true });
    this.#child = child;
    child.stdin.on("error", () => {});
    child.once("error", () => (this.#child = undefined));
    child.once("exit", () => {
      if (this.#child !== child) return;
      this.#child = undefined;
      // Somebody has ended it.
      if (child.signalCode !== null && this.#held.size > 0) this.#start();
    });
    child.unref();
    if ("unref" in child.stdin && typeof child.stdin.unref === "function") child.stdin.unref();
    child.stdin.write([...this.#held.values()].join(""));
  }
}

function fieldsOf(how: LettingGo): readonly (string | number)[] {
  if (how.kind === "write") return [how.kind, how.file, how.value];
  return [how.kind, how.kind === "continue" ? how.pid : how.tid, how.startTime];
}
