import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import koffi from "koffi";
import { ConsortError } from "#base/errors.ts";
import type { ProcessIdentity, Processes } from "#drivers/process/port.ts";
import { makeOwnDirectory } from "#drivers/scheduling/own-files.ts";
import { judge } from "./judge.ts";
import type { OthersPromise } from "./judge.ts";
import type { Promised, PromiseLedger } from "./port.ts";

export type FileLedgerOptions = {
  /** Of programs of one user, made where it is missing; removed by the last of them. */
  readonly directory: string;
  readonly processes: Processes;
  /** The program that promises; the caller, but in tests. */
  readonly self: ProcessIdentity;
  /** What this machine has. */
  readonly has: Promised;
};

const nothing: Promised = { cpuMilli: 0, memoryBytes: 0 };
const exclusive = 2;
const lockName = "lock";
const attemptsMax = 1000;
const flock = koffi.load("libc.so.6").func("int flock(int fd, int operation)");

/**
 * A file for each program in a directory that they share, "<pid>-<start time>", written under a lock of the kernel's,
 * which goes with its holder. Files of programs that have ended are taken away by whoever looks next.
 */
export class FileLedger implements PromiseLedger {
  readonly #options: FileLedgerOptions;
  #own: Promised = nothing;

  constructor(options: FileLedgerOptions) {
    this.#options = options;
  }

  admit(action: string, change: Partial<Promised>): void {
    this.#locked(() => this.#judge(action, { ...this.#own, ...change }));
  }

  promise(action: string, change: Partial<Promised>): void {
    const wanted = { ...this.#own, ...change };
    if (wanted.cpuMilli === this.#own.cpuMilli && wanted.memoryBytes === this.#own.memoryBytes) return;
    this.#locked(() => {
      this.#judge(action, wanted);
      writeFileSync(this.#file, JSON.stringify(wanted), { mode: 0o600 });
    });
    this.#own = wanted;
  }

  close(): void {
    this.#own = nothing;
    this.#locked(() => {
      const { directory } = this.#options;
      rmSync(this.#file, { force: true });
      if (this.#others().length > 0 || readdirSync(directory).some((name) => name !== lockName)) return;
      rmSync(join(directory, lockName), { force: true });
      rmdirSync(directory);
    });
  }

  get #file(): string {
    const { directory, self } = this.#options;
    return join(directory, `${self.pid}-${self.startTime}`);
  }

  #judge(action: string, wanted: Promised): void {
    judge(action, { before: this.#own, wanted }, this.#others(), this.#options.has);
  }

  #others(): readonly OthersPromise[] {
    const { directory, processes } = this.#options;
    return readdirSync(directory).flatMap((name) => {
      const [, pid, startTime] = /^(\d+)-(\d+)$/.exec(name) ?? [];
      if (pid === undefined || startTime === undefined || name === basename(this.#file)) return [];
      if (processes.isRunning({ pid: Number(pid), startTime }))
        return [{ ...promisedIn(join(directory, name)), program: `process ${pid}` }];
      rmSync(join(directory, name), { force: true });
      return [];
    });
  }

  #locked(work: () => void): void {
    const fd = this.#lock();
    try {
      work();
    } finally {
      closeSync(fd);
    }
  }

  /** Whoever ends as the last one takes lock and directory away: then it is tried again with others. */
  #lock(): number {
    const { directory } = this.#options;
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      makeOwnDirectory(directory);
      const fd = openedIn(directory);
      if (fd === undefined) continue;
      if (flock(fd, exclusive) === 0 && fstatSync(fd).nlink > 0) return fd;
      closeSync(fd);
    }
    throw new ConsortError("driver_failed", `Cannot reserve: ${directory} cannot be locked`);
  }
}

function openedIn(directory: string): number | undefined {
  try {
    return openSync(
      join(directory, lockName),
      constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW,
      0o600,
    );
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw cause;
  }
}

/** Nothing where a program was killed while it wrote, which then promises nothing either. */
function promisedIn(file: string): Promised {
  try {
    const read: unknown = JSON.parse(readFileSync(file, "utf8"));
    return { cpuMilli: numberIn(read, "cpuMilli"), memoryBytes: numberIn(read, "memoryBytes") };
  } catch {
    return nothing;
  }
}

function numberIn(value: unknown, name: keyof Promised): number {
  const found: unknown = typeof value === "object" && value !== null ? Reflect.get(value, name) : 0;
  return typeof found === "number" && found > 0 ? found : 0;
}
