import { chmodSync, chownSync, closeSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { mebibytes, micros, millis } from "#base/units.ts";
import type { Cgroup } from "#drivers/system/cgroups/port.ts";
import { startTimeOf } from "../tunnels/daemons.ts";
import type { ProcessMark } from "../tunnels/decide.ts";
import { lastComplaint, startDnsmasq } from "./daemon.ts";
import type { NamingFiles } from "./files.ts";

/** More than a flood of questions is worth: the rest of it is lost. */
const cpuQuota = { periodUs: micros(100_000), quotaUs: micros(10_000) };
const memoryBytesMax = mebibytes(32);
const pidsMax = 8;
const killWaitMsMax = millis(2000);
const pollMs = millis(1);
/** One that ran for so long had nothing against being started. */
const steadyMs = millis(5000);
const endsBeforeProblem = 3;

export type ServerParts = {
  /** Its files are in here, and nothing else is. */
  readonly directory: string;
  readonly group: Cgroup;
  readonly uid: number;
  readonly clock: Clock;
  readonly log: Log;
  /** It has ended by itself after it had run well. */
  readonly onBroken: () => void;
};

/** One dnsmasq, whoever of us started it, with its files and its control group. */
export class NamingServer {
  readonly #parts: ServerParts;
  /** As they are on disk, once looked at. */
  #files: Partial<NamingFiles> | undefined;
  #process: ProcessMark | undefined;
  /** This process has told it of all there was to tell. */
  #isTold = false;
  #ends = { count: 0, said: "" };
  /** Aborted when it is ended on purpose. */
  #purpose = new AbortController();

  constructor(parts: ServerParts) {
    this.#parts = parts;
  }

  runs(): boolean {
    if (this.#process !== undefined && startTimeOf(this.#process.pid) === this.#process.startTime)
      return true;
    const { group } = this.#parts;
    const [pid] = group.exists() ? group.pids() : [];
    const startTime = pid === undefined ? undefined : startTimeOf(pid);
    this.#process = pid === undefined || startTime === undefined ? undefined : { pid, startTime };
    return this.#process !== undefined;
  }

  /** Whether what runs has read this configuration. */
  hasRead(files: NamingFiles): boolean {
    this.#files ??= readFiles(this.#parts.directory);
    return this.runs() && this.#files.config === files.config;
  }

  /** Names and cards, to what has read the configuration. */
  tell(files: NamingFiles): void {
    const isNews = this.#write(files);
    // Whoever wrote them before may have been killed before it could tell.
    if (isNews || !this.#isTold) signalAll(this.#parts.group, "SIGHUP");
    this.#isTold = true;
  }

  /**
   * Anew, after what ran has ended. `enter` makes the namespace it is to run in, and is called once nothing else runs;
   * absent: the caller's own. Rejects when it ends again and again.
   */
  async start(files: NamingFiles, enter?: () => Promise<number>): Promise<void> {
    const { group, directory, uid } = this.#parts;
    this.#makeDirectory();
    const turn = nextTurn();
    // First: whatever joins the group from now on, and is not meant, ends by itself.
    writeFileSync(join(directory, "turn"), `${turn}\n`, { mode: 0o600 });
    await this.end();
    this.#write(files);
    group.create();
    group.setCpu(cpuQuota);
    group.setMemory(memoryBytesMax);
    group.setPids(pidsMax);
    const namespaceFd = await enter?.();
    this.#purpose = new AbortController();
    try {
      const within = namespaceFd === undefined ? {} : { namespaceFd };
      await startDnsmasq({
        directory,
        turn,
        uid,
        group,
        ...within,
        onEnd: this.#ending(this.#purpose.signal),
      });
    } finally {
      if (namespaceFd !== undefined) closeSync(namespaceFd);
      group.close();
    }
    this.#isTold = true;
    if (this.#ends.count < endsBeforeProblem) return;
    const said = this.#ends.said === "" ? "without a word" : this.#ends.said;
    throw new ConsortError("driver_failed", `Cannot serve names: dnsmasq ends again and again: ${said}`);
  }

  #ending(onPurpose: AbortSignal): () => void {
    const { clock, log, directory, onBroken } = this.#parts;
    const began = clock.monotonic();
    return () => {
      if (onPurpose.aborted) return;
      const said = lastComplaint(directory);
      log.warn("dnsmasq has ended, and is started again", { directory, said });
      const lived = clock.monotonic() - began;
      this.#ends = { count: lived > steadyMs ? 1 : this.#ends.count + 1, said };
      if (lived > steadyMs) onBroken();
    };
  }

  /** At once: it keeps nothing that it would have to put away. */
  async end(): Promise<void> {
    this.#purpose.abort();
    const { group, clock } = this.#parts;
    if (!group.exists()) return;
    const began = clock.monotonic();
    while (group.pids().length > 0) {
      signalAll(group, "SIGKILL");
      if (clock.monotonic() - began > killWaitMsMax)
        throw new ConsortError("timeout", `Cannot end dnsmasq in ${group.path}: it does not end`);
      await clock.sleep(pollMs, AbortSignal.timeout(killWaitMsMax));
    }
  }

  /** Nothing of it runs any more. */
  async remove(): Promise<void> {
    await this.#parts.group.remove(AbortSignal.timeout(killWaitMsMax));
    rmSync(this.#parts.directory, { recursive: true, force: true });
  }

  #makeDirectory(): void {
    const { directory, uid } = this.#parts;
    mkdirSync(directory, { recursive: true });
    for (const path of [dirname(directory), directory]) {
      chownSync(path, 0, uid);
      chmodSync(path, 0o750);
    }
  }

  /** Whether anything is another now. The configuration goes first: it tells who may have read it. */
  #write(files: NamingFiles): boolean {
    const { directory, uid } = this.#parts;
    const present = (this.#files ??= readFiles(directory));
    const changed = (["config", "names", "cards"] as const).filter((name) => files[name] !== present[name]);
    if (changed.length === 0) return false;
    // Until they are written nobody knows what is there.
    this.#files = undefined;
    for (const name of changed) {
      const file = join(directory, name);
      writeFileSync(file, files[name], { mode: 0o640 });
      chownSync(file, 0, uid);
    }
    this.#files = files;
    return true;
  }
}

let turns = 0;

/** No process of ours ever says the same twice. */
function nextTurn(): string {
  turns += 1;
  return `${process.pid}.${startTimeOf(process.pid) ?? ""}.${turns}`;
}

function readFiles(directory: string): Partial<NamingFiles> {
  const read = <Name extends string>(name: Name): { [Key in Name]?: string } => {
    try {
      return { [name]: readFileSync(join(directory, name), "utf8") } as { [Key in Name]: string };
    } catch {
      return {};
    }
  };
  return { ...read("config"), ...read("names"), ...read("cards") };
}

function signalAll(group: Cgroup, name: "SIGHUP" | "SIGKILL"): void {
  for (const pid of group.pids()) {
    try {
      process.kill(pid, name);
    } catch (cause) {
      if (!/ESRCH/.test(messageOf(cause))) throw cause;
    }
  }
}
