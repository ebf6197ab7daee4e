import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  rmdirSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { bytes, millis } from "#base/units.ts";
import type { Bytes, Micros, MilliCpu } from "#base/units.ts";
import { acceptableQuota, keyedNumber } from "#drivers/system/cgroups/dialect.ts";
import type { Dialect, FileWrite } from "#drivers/system/cgroups/dialect.ts";
import { cgroupLayout } from "#drivers/system/cgroups/layout.ts";
import type { CgroupLayout, Controller } from "#drivers/system/cgroups/layout.ts";
import type { Cgroup, CgroupUsage, Cgroups, CpuQuota } from "#drivers/system/cgroups/port.ts";
import { lowerShared } from "#drivers/system/cgroups/shared.ts";
import { v1 } from "#drivers/system/cgroups/v1.ts";
import { v2 } from "#drivers/system/cgroups/v2.ts";

const removeRetryMs = millis(1);
const removeTimeoutMs = millis(5_000);
const readBuffer = Buffer.alloc(4096);

/** The control groups of this machine, v1, v2 or both; or, in tests, of a tree that looks like one. */
export function systemCgroups(clock: Clock, layout: CgroupLayout = machineLayout()): Cgroups {
  const { cpu, cpuacct, freezer } = layout.v1;
  const trees = {
    ...(cpu === undefined ? {} : { cpu }),
    ...(cpuacct === undefined ? {} : { cpuacct }),
    ...(freezer === undefined ? {} : { freezer }),
  };
  const v2Controllers = layout.v2Controllers.filter((name) => name === "cpu");
  const forCpu: CgroupLayout = { ...layout, v1: trees, v2Controllers };
  const forThreads: CgroupLayout = { v1: trees, v2Controllers: [] };
  const areThreadsApart = cpu !== undefined && freezer !== undefined;
  return {
    open: (path) => new OpenCgroup(path, layout, clock),
    openForCpu: (path) => new OpenCgroup(path, forCpu, clock),
    openForThreads: (path) => (areThreadsApart ? new OpenCgroup(path, forThreads, clock) : undefined),
  };
}

export function machineLayout(): CgroupLayout {
  return cgroupLayout(readFileSync("/proc/self/mountinfo", "utf8"), (tree) =>
    readFileSync(join(tree, "cgroup.controllers"), "utf8"),
  );
}

class OpenCgroup implements Cgroup {
  readonly path: string;
  readonly #layout: CgroupLayout;
  readonly #clock: Clock;
  /** Mount points of every hierarchy the group has to be in; v2 first, as it is the one that answers for all. */
  readonly #trees: readonly string[];
  readonly #open = new Map<string, Map<string, number>>();
  #periodUs: Micros | undefined;

  constructor(path: string, layout: CgroupLayout, clock: Clock) {
    this.path = path;
    this.#layout = layout;
    this.#clock = clock;
    this.#trees = [
      ...new Set([...(layout.v2 === undefined ? [] : [layout.v2]), ...Object.values(layout.v1)]),
    ];
  }

  create(): void {
    for (const tree of this.#trees) attempt("make", join(tree, this.path), () => this.#createIn(tree));
  }

  #createIn(tree: string): void {
    mkdirSync(join(tree, this.path), { recursive: true });
    if (tree !== this.#layout.v2 || this.#layout.v2Controllers.length === 0) return;
    // v2 hands a controller down one level at a time, and each ancestor has to agree.
    const enabled = this.#layout.v2Controllers.map((name) => `+${name}`);
    const names = this.path.split("/");
    for (let depth = 0; depth < names.length; depth += 1) {
      const file = join(tree, ...names.slice(0, depth), "cgroup.subtree_control");
      const present = readFileSync(file, "utf8").trim().split(" ");
      const missing = enabled.filter((name) => !present.includes(name.slice(1)));
      if (missing.length > 0) writeOnce(file, missing.join(" "));
    }
  }

  exists(): boolean {
    return this.#trees.some((tree) => existsSync(join(tree, this.path)));
  }

  attach(pid: number): void {
    for (const file of this.procsFiles()) {
      attempt(`move process ${pid} to`, file, () => writeOnce(file, String(pid)));
    }
  }

  procsFiles(): readonly string[] {
    return this.#trees.map((tree) => join(tree, this.path, "cgroup.procs"));
  }

  threadFiles(): readonly string[] {
    return this.#trees.map((tree) => join(tree, this.path, this.#threadList(tree)));
  }

  setCpu(limit: CpuQuota | "max"): void {
    const { dialect, tree } = this.#carrierOf("cpu");
    const writes = dialect.cpuQuota(limit, this.#periodUs);
    this.#periodUs = undefined;
    try {
      for (const write of writes) this.#write(tree, write);
    } catch (error) {
      // v1 refuses more than the parent has, where v2 lets the parent's limit rule: do the same.
      if (limit === "max" || dialect !== v1 || !isErrno(error, "EINVAL")) throw error;
      for (const write of dialect.cpuQuota("max", undefined)) this.#write(tree, write);
      return;
    }
    if (limit !== "max") this.#periodUs = acceptableQuota(limit).periodUs;
  }

  setWeight(share: MilliCpu): void {
    const { dialect, tree } = this.#carrierOf("cpu");
    this.#write(tree, dialect.cpuWeight(share));
  }

  setMemory(limit: Bytes | "max"): void {
    const { dialect, tree } = this.#carrierOf("memory");
    try {
      for (const write of dialect.memory(limit)) {
        // Absent where swap is not accounted for.
        if (write.file === "memory.swap.max" && !existsSync(join(tree, this.path, write.file))) continue;
        this.#write(tree, write);
      }
    } catch (cause) {
      if (!isErrno(cause, "EBUSY")) throw cause;
      const used = this.usage().memoryBytes;
      throw new ConsortError(
        "conflict",
        `Cannot lower the memory limit of ${this.path}: ${used} bytes are used, ${limit} wanted`,
        { cause },
      );
    }
  }

  setPids(limit: number | "max"): void {
    const { dialect, tree } = this.#carrierOf("pids");
    this.#write(tree, dialect.pids(limit));
  }

  usage(): CgroupUsage {
    return { cpuUs: this.cpuUsedUs(), memoryBytes: this.memoryUsed() };
  }

  cpuUsedUs(): Micros {
    const { dialect, tree } = this.#usageCarrier();
    return dialect.cpuUsageUs(this.#read(tree, dialect.cpuUsageFile));
  }

  memoryUsed(): Bytes {
    const { dialect, tree } = this.#carrierOf("memory");
    return bytes(Number(this.#read(tree, dialect.memoryUsageFile)));
  }

  oomKills(): number {
    const { dialect, tree } = this.#carrierOf("memory");
    return keyedNumber(this.#read(tree, dialect.oomFile), "oom_kill");
  }

  freeze(): void {
    const { dialect, tree } = this.#freezerCarrier();
    this.#write(tree, dialect.frozen);
  }

  thaw(): void {
    const { dialect, tree } = this.#freezerCarrier();
    this.#write(tree, dialect.thawed);
  }

  isFrozen(): boolean {
    const { v2: root, v1: trees } = this.#layout;
    if (root !== undefined && keyedNumber(this.#read(root, "cgroup.events"), "frozen") === 1) return true;
    // Dispatchers freeze by version 1 where there is one.
    return (
      trees.freezer !== undefined && this.#read(trees.freezer, v1.frozen.file).trim() === v1.frozen.value
    );
  }

  killAll(): void {
    const root = this.#layout.v2;
    if (root !== undefined && existsSync(join(root, this.path, "cgroup.kill"))) {
      this.#write(root, { file: "cgroup.kill", value: "1" });
      // What a dispatcher has frozen in a tree of version 1 dies when it is thawed.
      if (this.#layout.v1.freezer !== undefined) thawBelow(join(this.#layout.v1.freezer, this.path));
      return;
    }
    for (const child of this.children()) this.#below(child).killAll();
    for (const pid of this.pids()) {
      try {
        process.kill(pid, "SIGKILL");
      } catch (error) {
        if (!isErrno(error, "ESRCH")) throw error;
      }
    }
    const { dialect, tree } = this.#freezerCarrier();
    // A group being removed may be gone from some hierarchies already.
    if (existsSync(join(tree, this.path, dialect.thawed.file))) this.thaw();
  }

  pids(): number[] {
    return this.#numbersIn(() => "cgroup.procs");
  }

  threads(): number[] {
    return this.#numbersIn((tree) => this.#threadList(tree));
  }

  children(): string[] {
    const names = this.#trees.flatMap((tree) => subdirectories(join(tree, this.path)));
    return [...new Set(names)];
  }

  async remove(signal: AbortSignal): Promise<void> {
    this.close();
    for (const child of this.children()) await this.#below(child).remove(signal);
    const deadline = this.#clock.monotonic() + removeTimeoutMs;
    for (const tree of this.#trees) {
      while (!tryRemove(join(tree, this.path))) {
        if (this.#clock.monotonic() > deadline) {
          const alive = this.pids().join(", ");
          throw new ConsortError("timeout", `Cannot remove control group ${this.path}: ${alive} still in it`);
        }
        await this.#clock.sleep(removeRetryMs, signal);
      }
    }
  }

  removeOrLower(): void {
    this.close();
    for (const tree of this.#trees) {
      const directory = join(tree, this.path);
      try {
        rmdirSync(directory);
      } catch {
        // Others are in it, or it is gone: both are fine.
        lowerShared(directory);
      }
    }
  }

  close(): void {
    for (const inTree of this.#open.values()) for (const fd of inTree.values()) closeSync(fd);
    this.#open.clear();
    this.#periodUs = undefined;
  }

  #threadList(tree: string): string {
    return tree === this.#layout.v2 ? "cgroup.threads" : "tasks";
  }

  #numbersIn(listIn: (tree: string) => string): number[] {
    for (const tree of this.#trees) {
      const listed = readUnlessGone(join(tree, this.path, listIn(tree)));
      if (listed !== undefined) return listed.split("\n").filter(Boolean).map(Number);
    }
    return [];
  }

  #below(name: string): OpenCgroup {
    return new OpenCgroup(`${this.path}/${name}`, this.#layout, this.#clock);
  }

  #carrierOf(controller: Controller): { dialect: Dialect; tree: string } {
    const tree = this.#layout.v1[controller];
    if (tree !== undefined) return { dialect: v1, tree };
    if (this.#layout.v2 !== undefined && this.#layout.v2Controllers.includes(controller)) {
      return { dialect: v2, tree: this.#layout.v2 };
    }
    throw new ConsortError(
      "unsupported",
      `Cannot control ${controller}: no cgroup hierarchy here carries it`,
    );
  }

  /** The core of v2 counts CPU time and freezes without any controller. */
  #usageCarrier(): { dialect: Dialect; tree: string } {
    if (this.#layout.v1.cpuacct !== undefined || this.#layout.v2 === undefined)
      return this.#carrierOf("cpuacct");
    return { dialect: v2, tree: this.#layout.v2 };
  }

  /** v2 where there is one, whose frozen processes can still be killed. */
  #freezerCarrier(): { dialect: Dialect; tree: string } {
    if (this.#layout.v2 === undefined) return this.#carrierOf("freezer");
    return { dialect: v2, tree: this.#layout.v2 };
  }

  #write(tree: string, write: FileWrite): void {
    try {
      writeSync(this.#fd(tree, write.file, "r+", "w"), `${write.value}\n`, 0);
    } catch (cause) {
      throw failed(`write "${write.value}" to`, join(tree, this.path, write.file), cause);
    }
  }

  #read(tree: string, name: string): string {
    try {
      const length = readSync(this.#fd(tree, name, "r+", "r"), readBuffer, 0, readBuffer.length, 0);
      return readBuffer.toString("latin1", 0, length);
    } catch (cause) {
      throw failed("read", join(tree, this.path, name), cause);
    }
  }

  /** By tree and name, not by path: a host of a thousand groups looks at each every second. */
  #fd(tree: string, name: string, mode: string, fallback: string): number {
    const open = this.#open.get(tree)?.get(name);
    if (open !== undefined) return open;
    const file = join(tree, this.path, name);
    let fd: number;
    try {
      fd = openSync(file, mode);
    } catch (error) {
      // Some of these files may only be read, or only be written.
      if (!isErrno(error, "EACCES") && !isErrno(error, "EPERM")) throw error;
      fd = openSync(file, fallback);
    }
    const inTree = this.#open.get(tree) ?? new Map<string, number>();
    this.#open.set(tree, inTree.set(name, fd));
    return fd;
  }
}

function writeOnce(file: string, value: string): void {
  const fd = openSync(file, "w");
  try {
    writeSync(fd, value);
  } finally {
    closeSync(fd);
  }
}

/** Of a group that somebody else may remove at this moment. */
function readUnlessGone(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

function subdirectories(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

function thawBelow(directory: string): void {
  const { file, value } = v1.thawed;
  try {
    writeOnce(join(directory, file), value);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
  for (const name of subdirectories(directory)) thawBelow(join(directory, name));
}

function tryRemove(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return true;
    if (isErrno(error, "EBUSY")) return false;
    throw new ConsortError("driver_failed", `Cannot remove ${directory}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function attempt<Result>(action: string, file: string, act: () => Result): Result {
  try {
    return act();
  } catch (cause) {
    throw failed(action, file, cause);
  }
}

const failed = (action: string, file: string, cause: unknown): ConsortError =>
  new ConsortError("driver_failed", `Cannot ${action} ${file}: ${messageOf(cause)}`, { cause });

const isGone = (error: unknown): boolean => isErrno(error, "ENOENT") || isErrno(error, "ENODEV");

/** Also looks at the cause, as `attempt` wraps it. */
function isErrno(error: unknown, code: string): boolean {
  if (!(error instanceof Error)) return false;
  if ("code" in error && error.code === code) return true;
  return error.cause !== undefined && isErrno(error.cause, code);
}
