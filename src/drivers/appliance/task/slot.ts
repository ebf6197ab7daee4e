import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { Socket } from "node:net";
import { dirname, join } from "node:path";
import { bytes } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import type { SlotExtras } from "#drivers/appliance/task/extras.ts";
import type { Factory, TimerHolder } from "#drivers/appliance/task/factory.ts";
import { mainGroup, supervisorGroup } from "#drivers/appliance/task/job-groups.ts";
import { parseJobStates } from "#drivers/appliance/task/job-states.ts";
import type { JobState } from "#drivers/appliance/task/job-states.ts";
import { parseJournal } from "#drivers/appliance/task/journal.ts";
import type { JournalEntry } from "#drivers/appliance/task/journal.ts";
import { slotGroup, slotNetns } from "#drivers/appliance/task/names.ts";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import type { Cgroup, Cgroups } from "#drivers/system/cgroups/port.ts";

export type SlotPlace = {
  readonly slotsDirectory: string;
  readonly cgroupParent: string;
  readonly netnsPrefix: string;
  readonly firstUid: number;
  /** Until when leased appliances of this host may run. */
  readonly leaseFile: string;
};

/** Seconds apart: what was killed is gone by the last one. */
const looksMax = 5;

export type SlotListener = {
  /** The supervisor wrote something into its journal. */
  readonly onEvent: () => void;
  /** The supervisor is gone, and with it all that ran in the slot. */
  readonly onDeath: () => void;
};

/**
 * The host's side of one machine: its directory, control group, network namespace and user, all by its number,
 * and the line to its supervisor. What it is used for is no matter of the slot's.
 */
export class Slot {
  readonly index: number;
  readonly directory: string;
  readonly netns: string;
  readonly uid: number;
  readonly cgroup: Cgroup;
  readonly #cgroups: Cgroups;
  readonly #supervisor: Cgroup;
  readonly #main: Cgroup;
  /** Its supervisor knows of leases; one that an older program made does not. */
  obeysLease = false;
  #timerFd: number | undefined;
  readonly #leaseFile: string;
  /** Undefined before it is made and after its supervisor died. */
  pid: number | undefined;
  #startTime = "";
  #looksLeft = 0;
  #control: number | undefined;
  #events: Socket | undefined;
  #log: number | undefined;

  constructor(index: number, place: SlotPlace, cgroups: Cgroups) {
    this.index = index;
    this.directory = join(place.slotsDirectory, String(index));
    this.netns = slotNetns(place.netnsPrefix, index);
    this.uid = place.firstUid + index;
    this.#leaseFile = place.leaseFile;
    this.cgroup = cgroups.open(slotGroup(place.cgroupParent, index));
    this.#cgroups = cgroups;
    this.#supervisor = this.#below(supervisorGroup);
    this.#main = this.#below(mainGroup);
  }

  /** Its directory is the record that the rest of it may exist. */
  reserve(): void {
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
  }

  /** Makes what is missing: at first all of it, after its supervisor's death only that and a fresh root. */
  async make(
    factory: Factory,
    root: { image: string; masks: readonly string[]; extras: SlotExtras },
    listener: SlotListener,
  ): Promise<void> {
    this.createGroups([]);
    const { index, directory, netns, uid } = this;
    const { procsFiles } = this.entrances;
    const leaseFile = this.#leaseFile;
    const groupDirectories = this.#main.procsFiles().map((file) => dirname(dirname(file)));
    const request = { index, directory, netns, uid, procsFiles, leaseFile, groupDirectories };
    const pid = await factory.make({ ...request, ...root });
    this.#listen(pid, listener);
    this.#readWords();
  }

  /** Its control groups, with those of the jobs that go into it (paths below its own). */
  createGroups(jobs: readonly string[]): void {
    this.cgroup.create();
    this.#supervisor.create();
    this.#main.create();
    for (const path of jobs) this.#below(path).create();
  }

  #below(path: string): Cgroup {
    return this.#cgroups.openForCpu(`${this.cgroup.path}/${path}`);
  }

  /**
   * The files a process's number is written to for it to belong here: beside the supervisor, which is never stopped by
   * time slots, and, of what is to be dispatched, in `main` afterwards.
   */
  get entrances(): { readonly procsFiles: readonly string[]; readonly mainFiles: readonly string[] } {
    const inner = this.#supervisor.procsFiles();
    const covered = new Set(inner.map((file) => dirname(dirname(file))));
    const outer = this.cgroup.procsFiles().filter((file) => !covered.has(dirname(file)));
    return { procsFiles: [...inner, ...outer], mainFiles: this.#main.procsFiles() };
  }

  /** All processes in it. */
  pids(): number[] {
    return pidsBelow(this.cgroup, this.#cgroups);
  }

  /** Takes over a supervisor that an earlier manager made. False: it does not live. */
  adopt(listener: SlotListener): boolean {
    let text: string;
    try {
      text = readFileSync(join(this.directory, "pid"), "utf8");
    } catch {
      return false;
    }
    const [pid, startTime] = text.trim().split(" ");
    // The start time tells it from a stranger that got its number since.
    if (pid === undefined || startTime === undefined || readStartTime(Number(pid)) !== startTime)
      return false;
    this.#listen(Number(pid), listener);
    this.#readWords();
    return true;
  }

  /** What its supervisor can do, from the file that names it. */
  #readWords(): void {
    const [, , word, timerFd] = readFileSync(join(this.directory, "pid"), "utf8").trim().split(" ");
    this.obeysLease = word === "lease";
    this.#timerFd = timerFd === undefined ? undefined : Number(timerFd);
  }

  /** Undefined: it does not live, or has no lease timer. */
  get timerHolder(): TimerHolder | undefined {
    if (this.pid === undefined || this.#timerFd === undefined) return undefined;
    return { pid: this.pid, startTime: this.#startTime, timerFd: this.#timerFd };
  }

  #listen(pid: number, listener: SlotListener): void {
    this.hangUp();
    this.pid = pid;
    this.#looksLeft = looksMax;
    this.#startTime = readStartTime(pid) ?? "gone";
    const { O_RDWR, O_RDONLY, O_NONBLOCK } = constants;
    this.#control = openSync(join(this.directory, "control"), O_RDWR | O_NONBLOCK);
    const fd = openSync(join(this.directory, "events"), O_RDONLY | O_NONBLOCK);
    const events = new Socket({ fd, readable: true, writable: false });
    this.#events = events;
    events.on("data", listener.onEvent);
    events.on("error", () => events.destroy());
    events.once("close", () => {
      if (this.#events !== events) return;
      this.hangUp();
      listener.onDeath();
    });
  }

  /**
   * A supervisor that died in the moment before it was listened to leaves no word: its death has to be looked for. Not
   * for ever, as any later one is heard; but more than once, as what is being killed hangs up before it is gone.
   */
  lookAlive(): void {
    if (this.#looksLeft === 0) return;
    this.#looksLeft -= 1;
    if (this.pid !== undefined && readStartTime(this.pid) !== this.#startTime) this.#events?.destroy();
  }

  /** "start" and "signal" take a number, "leased" 0 or 1, the others 0. Without a supervisor there is nobody to tell. */
  send(verb: "start" | "signal" | "kill" | "leased" | "lease" | "go", number: number): void {
    if (this.#control !== undefined) writeSync(this.#control, `${verb} ${number}\n`);
  }

  journal(): JournalEntry[] {
    return parseJournal(this.#read("journal"));
  }

  /** Of the jobs of its teams, by their numbers in the spec. */
  jobs(): ReadonlyMap<number, JobState> {
    return parseJobStates(this.#read("jobs"));
  }

  #read(name: "journal" | "jobs"): string {
    try {
      return readFileSync(join(this.directory, name), "utf8");
    } catch {
      return "";
    }
  }

  /** Rewrites a small file in place: the supervisor holds it open or has it mounted. */
  write(name: "spec" | "hosts", text: string): void {
    const mode = name === "hosts" ? 0o644 : 0o600;
    const fd = openSync(join(this.directory, name), constants.O_WRONLY | constants.O_CREAT, mode);
    try {
      const content = Buffer.from(text);
      // On a full disk a call may write less than it is given; the next one then tells why.
      for (let done = 0; done < content.length;)
        done += writeSync(fd, content, done, content.length - done, done);
      ftruncateSync(fd, content.length);
    } finally {
      closeSync(fd);
    }
  }

  logFile(): string {
    return join(this.directory, "log");
  }

  /** Through a kept open file. */
  logBytes(): Bytes {
    try {
      this.#log ??= openSync(this.logFile(), "r");
      return bytes(fstatSync(this.#log).size);
    } catch {
      return bytes(0);
    }
  }

  hangUp(): void {
    const events = this.#events;
    this.#events = undefined;
    this.pid = undefined;
    events?.destroy();
    if (this.#control !== undefined) closeSync(this.#control);
    if (this.#log !== undefined) closeSync(this.#log);
    this.#control = undefined;
    this.#log = undefined;
    this.cgroup.close();
  }

  /** Everything of it, whatever state it is in; the directory last, as it is the record of the rest. */
  async remove(factory: Factory, signal: AbortSignal): Promise<void> {
    this.hangUp();
    if (this.cgroup.exists()) {
      this.cgroup.killAll();
      await this.cgroup.remove(signal);
    }
    await factory.release(this.index, this.netns);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function pidsBelow(group: Cgroup, cgroups: Cgroups): number[] {
  const below = group
    .children()
    .flatMap((name) => pidsBelow(cgroups.openForCpu(`${group.path}/${name}`), cgroups));
  return [...group.pids(), ...below];
}
