import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { ConsortError } from "#base/errors.ts";
import type { Millis } from "#base/units.ts";
import type { SlotExtras } from "#drivers/appliance/task/extras.ts";
import { line } from "#drivers/appliance/task/spec.ts";

export const supervisorProgram = fileURLToPath(new URL("supervisor.pl", import.meta.url));
export const perl = "perl";

/** What each request is for, in the words of an error. */
const purposes: Readonly<Record<string, string>> = {
  make: "make task slot",
  release: "release task slot",
  lease: "set the lease timer to",
};

type Child = ChildProcessByStdio<Writable, Readable, null>;
/** A supervisor that lives, and by which number it has the host's lease timer open. */
export type TimerHolder = { readonly pid: number; readonly startTime: string; readonly timerFd: number };
type Pending = { resolve: (answer: string) => void; reject: (error: unknown) => void };

/** The process that makes and releases the kernel's side of slots: one line in, one line out, in order. */
export class Factory {
  readonly #leaseFile: string;
  readonly #living: () => TimerHolder | undefined;
  #child: Child | undefined;
  readonly #pending: Pending[] = [];

  /** `living` tells of a supervisor whose timer those to come are to share. */
  constructor(leaseFile: string, living: () => TimerHolder | undefined) {
    this.#leaseFile = leaseFile;
    this.#living = living;
  }

  /** Resolves with the supervisor's pid; its network namespace is there then, its root may not be yet. */
  async make(slot: {
    index: number;
    directory: string;
    netns: string;
    uid: number;
    image: string;
    procsFiles: readonly string[];
    masks: readonly string[];
    leaseFile: string;
    /** Its group, in each hierarchy in which what it starts has groups of its own below it. */
    groupDirectories: readonly string[];
    extras: SlotExtras;
  }): Promise<number> {
    const { index, directory, netns, uid, image, leaseFile, extras } = slot;
    const [procs = "", masks = "", trees = ""] = [slot.procsFiles, slot.masks, slot.groupDirectories].map(
      (paths) => paths.join(","),
    );
    const binds = extras.binds.map(({ source, target }) => `${source}\t${target}`).join("\n");
    const devices = extras.devices.map(({ name, major, minor }) => `${name}\t${major}\t${minor}`).join("\n");
    return Number(
      await this.#ask(
        line("make", index, directory, netns, uid, image, procs, masks, leaseFile, trees, binds, devices),
      ),
    );
  }

  async release(index: number, netns: string): Promise<void> {
    await this.#ask(line("release", index, netns));
  }

  /**
   * Lets supervisors sleep until `endMs` of CLOCK_MONOTONIC, but no longer than the lease file says. It may come late,
   * but where it rejects, they have no alarm clock any more.
   */
  async setTimer(endMs: Millis): Promise<void> {
    await this.#ask(line("lease", endMs, this.#leaseFile));
  }

  /** What it made lives on. */
  close(): void {
    this.#child?.stdin.end();
    this.#child?.unref();
    this.#child = undefined;
  }

  #ask(request: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = this.#running();
      this.#pending.push({ resolve, reject });
      child.stdin.write(request);
    });
  }

  #running(): Child {
    if (this.#child !== undefined) return this.#child;
    const living = this.#living();
    const shared = living === undefined ? [] : [String(living.pid), living.startTime, String(living.timerFd)];
    const child = spawn(perl, [supervisorProgram, "factory", String(process.pid), ...shared], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" },
      cwd: "/",
    });
    this.#child = child;
    const failed = (why: string): void => {
      if (this.#child === child) this.#child = undefined;
      for (const waiting of this.#pending.splice(0)) {
        waiting.reject(new ConsortError("driver_failed", `Cannot prepare a task appliance: ${why}`));
      }
    };
    child.once("error", (cause) => failed(`${perl} does not start: ${cause.message}`));
    child.once("close", () => failed("its helper process ended"));
    child.stdin.on("error", () => {
      // Its end is told by "close".
    });
    createInterface({ input: child.stdout }).on("line", (answer) => this.#answered(answer));
    return child;
  }

  #answered(answer: string): void {
    const [verb, index, outcome, value] = answer.split("\t");
    const waiting = this.#pending.shift();
    if (outcome === "ok") return waiting?.resolve(value ?? "");
    const why = decodeURIComponent(value ?? "");
    waiting?.reject(
      new ConsortError("driver_failed", `Cannot ${purposes[verb ?? ""] ?? verb} ${index}: ${why}`),
    );
  }
}
