import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ApplianceId, HostId, Ipv4Address } from "#base/ids.ts";
import { milliCpu } from "#base/units.ts";
import { TaskDriver } from "#drivers/appliance/task/driver.ts";
import { mainGroup } from "#drivers/appliance/task/job-groups.ts";
import { slotGroup, slotOfNetns } from "#drivers/appliance/task/names.ts";
import type { HostPlan } from "#protocol/host-plan.ts";
import { cgroups, signal, traces } from "../task/host.ts";
import { movesIn, slotOptions } from "./attacked-place.ts";
import type { AttackedPlace, FromHost, ToHost } from "./attacked-place.ts";

const unfinished = ".making";
const program = fileURLToPath(new URL("attacked-host.child.ts", import.meta.url));

/** Of all that a host runs, against each other program. */
const weight = milliCpu(8_000);

type Heard = {
  readonly saw: () => void;
  readonly sent: (id: ApplianceId, move: string) => void;
};

type Waiting = { readonly done: (said: string) => void; readonly refused: (why: Error) => void };

/** One host whose manager, QEMUs and lines can be killed; its manager always comes again. */
export class AttackedHost {
  readonly place: AttackedPlace;
  readonly #heard: Heard;
  readonly #wires: { readonly netns: string; readonly cacheDir: string };
  #child: ChildProcess | undefined;
  #killed: ChildProcess | undefined;
  #plan: HostPlan | undefined;
  #closing = false;
  #runs = 0;
  readonly #waiting = new Map<number, Waiting>();
  saw: Extract<FromHost, { kind: "saw" }> = {
    kind: "saw",
    revision: 0,
    observed: [],
    problems: [],
    blobPort: 0,
    checkpoints: [],
    requests: [],
    onRecord: [],
    network: { links: [], classes: [], pairs: [] },
  };
  /** Managers that ended without being killed. */
  readonly fallen: string[] = [];

  /** In a network namespace; `cacheDir` is where programs are kept once they have been read. */
  constructor(name: HostId, wires: { netns: string; address: Ipv4Address; cacheDir: string }, heard: Heard) {
    const mark = `consort-test-attack-${process.pid}-${name}`;
    const stateDir = mkdtempSync(`/var/lib/${mark}-`);
    this.place = {
      host: name,
      stateDir,
      cgroupParent: mark,
      netnsPrefix: `${mark}.`,
      address: wires.address,
    };
    this.#wires = wires;
    this.#heard = heard;
    // All its machines together count for as many other programs, whatever else this machine does.
    const group = cgroups.open(mark);
    group.create();
    group.setWeight(weight);
    this.#begin();
  }

  follow(plan: HostPlan): void {
    this.#plan = plan;
    this.#tell({ kind: "plan", plan });
  }

  giveWord(id: ApplianceId, move: string): void {
    this.#tell({ kind: "word", id, move });
  }

  /** What a program in a machine says. Rejects when its manager refuses, or dies meanwhile. */
  run(id: ApplianceId, script: string): Promise<string> {
    this.#runs += 1;
    const number = this.#runs;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#waiting.set(number, { done: resolve, refused: reject });
    this.#tell({ kind: "run", number, id, script });
    return promise;
  }

  /** What it has still said does not count: only the next one knows how things are. */
  killManager(): void {
    this.#killed = this.#child;
    this.#child?.kill("SIGKILL");
    this.saw = { ...this.saw, revision: 0 };
  }

  /** As if they had crashed; the number of those that were hit. */
  killQemus(id: ApplianceId): number {
    const pids = this.qemusOf(id);
    for (const pid of pids) kill(pid);
    return pids.length;
  }

  /** What carries moves to and from other hosts, all of it. */
  killRelays(): void {
    for (const pid of relaysIn(movesIn(this.place))) kill(-pid);
  }

  /** Who serves names to the machines here. */
  killNaming(): void {
    const { cgroupParent } = this.place;
    const pids = cgroups
      .open(cgroupParent)
      .children()
      .filter((name) => name.startsWith("naming-"))
      .flatMap((name) => cgroups.open(`${cgroupParent}/${name}`).pids());
    for (const pid of pids) kill(pid);
  }

  qemusOf(id: ApplianceId): readonly number[] {
    const netns =
      this.saw.observed
        .find((one) => one.id === id)
        ?.netns.split("/")
        .at(-1) ?? "";
    const slot = slotOfNetns(this.place.netnsPrefix, netns);
    return slot === undefined ? [] : this.#qemusIn(slotGroup(this.place.cgroupParent, slot));
  }

  /** All that run here. */
  qemus(): readonly number[] {
    const { cgroupParent } = this.place;
    return cgroups
      .open(cgroupParent)
      .children()
      .filter((name) => !name.startsWith("naming-"))
      .flatMap((name) => this.#qemusIn(`${cgroupParent}/${name}`));
  }

  #qemusIn(slotGroupPath: string): readonly number[] {
    const pids = cgroups.openForCpu(`${slotGroupPath}/${mainGroup}`).pids();
    return pids.filter((pid) => commandOf(pid).startsWith("qemu-system"));
  }

  slots(): readonly string[] {
    return listed(join(this.place.stateDir, "slots"));
  }

  files(): readonly string[] {
    return listed(join(this.place.stateDir, "vms"));
  }

  /** It can make machines from a guest that was booted once. */
  hasSnapshot(): boolean {
    return this.#snapshots().some((name) => !name.endsWith(unfinished));
  }

  #snapshots(): readonly string[] {
    return listed(join(this.place.stateDir, "warm"));
  }

  /** Its manager ends; what is left of the host, which should be nothing. */
  async end(): Promise<readonly string[]> {
    this.#closing = true;
    const child = this.#child;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const gone = once(child, "close");
      child.kill("SIGKILL");
      await gone;
    }
    const { stateDir, cgroupParent } = this.place;
    const options = slotOptions(this.place);
    const sweeper = new TaskDriver(options);
    await sweeper.recover(signal);
    const kept = sweeper.observe().map(({ id }) => `machine ${id}`);
    const left = [
      ...kept,
      ...traces(options),
      ...this.files().map((name) => `files of ${name}`),
      ...listed(movesIn(this.place)).map((name) => `move ${name}`),
      ...this.#snapshots()
        .filter((name) => name.endsWith(unfinished))
        .map((name) => `half a snapshot ${name}`),
      ...processesOf(this.place).map((words) => `process ${words}`),
    ];
    for (const { id } of sweeper.observe()) await sweeper.destroy(id, signal);
    await sweeper.close();
    // One that a manager was starting as it was killed may only now have come to its group.
    cgroups.open(cgroupParent).killAll();
    await cgroups.open(cgroupParent).remove(signal);
    rmSync(stateDir, { recursive: true, force: true });
    return left;
  }

  #begin(): void {
    const { netns, cacheDir } = this.#wires;
    // Not by ip, which would hide the control groups.
    const child = spawn(
      "nsenter",
      [`--net=/run/netns/${netns}`, process.execPath, program, JSON.stringify(this.place)],
      {
        stdio: ["ignore", "inherit", "inherit", "ipc"],
        serialization: "advanced",
        env: { ...process.env, NODE_COMPILE_CACHE: cacheDir },
      },
    );
    this.#child = child;
    child.on("message", (message: FromHost) => {
      if (child !== this.#killed) this.#hear(message);
    });
    child.on("error", () => {});
    child.once("exit", (code, by) => {
      for (const one of this.#waiting.values()) one.refused(new Error("its manager has died"));
      this.#waiting.clear();
      if (this.#closing) return;
      if (by !== "SIGKILL") this.fallen.push(`exit code ${String(code)}, signal ${String(by)}`);
      this.#begin();
    });
    if (this.#plan !== undefined) this.#tell({ kind: "plan", plan: this.#plan });
  }

  #tell(message: ToHost): void {
    if (this.#child?.connected === true) this.#child.send(message, () => {});
  }

  #hear(message: FromHost): void {
    if (message.kind === "sent") return this.#heard.sent(message.id, message.move);
    if (message.kind === "saw") {
      this.saw = message;
      return this.#heard.saw();
    }
    const asked = this.#waiting.get(message.number);
    this.#waiting.delete(message.number);
    if (message.kind === "ran") asked?.done(message.said);
    else asked?.refused(new Error(message.why));
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

const listed = (directory: string): readonly string[] =>
  existsSync(directory) ? readdirSync(directory) : [];

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

const commandOf = (pid: number): string => read(`/proc/${pid}/cmdline`).replaceAll("\0", " ");

/** Those in the records of moves that still are what they were. */
function relaysIn(directory: string): readonly number[] {
  return listed(directory)
    .filter((name) => name.endsWith(".json"))
    .flatMap((name) =>
      [...read(join(directory, name)).matchAll(/"pid":(\d+)/g)].map(([, pid]) => Number(pid)),
    )
    .filter((pid) => commandOf(pid).includes("relay.pl"));
}

const processesOf = ({ stateDir, netnsPrefix }: AttackedPlace): readonly string[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((name) => `${name} ${commandOf(Number(name))}`)
    .filter((words) => words.includes(stateDir) || words.includes(netnsPrefix));
