import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { ApplianceId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { Machine } from "./machine.ts";
import type { MachineParts } from "./machine.ts";
import { MachinePlace } from "./place.ts";
import { readMachineRecord } from "./record.ts";
import type { MachineRecord } from "./record.ts";

const id = "shop/db" as ApplianceId;
const record = {
  plan: {
    id,
    generation: "1",
    interfaces: [],
    restart: { when: "always" },
    vm: { base: { features: ["agent"] } },
  },
  stages: [],
  identity: {},
} as unknown as MachineRecord;

/** As it would be found on disk. */
const complete = {
  plan: { ...record.plan, vm: { hostname: "db", vcpus: 1, base: { features: [] } } },
  machine: "q35",
  accel: "tcg",
  identity: { instance: "i", machineId: "m" },
  start: "cold",
} as unknown as Partial<MachineRecord>;

type Asked = {
  readonly execute: string;
  readonly id?: number;
  readonly arguments?: { readonly id?: number };
};

describe("Machine", () => {
  let directory: string;
  let place: MachinePlace;
  let machine: Machine | undefined;
  const servers: Server[] = [];
  const sockets: Socket[] = [];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "m-"));
    place = new MachinePlace(directory, id);
    place.make();
  });
  afterEach(async () => {
    machine?.close();
    for (const socket of sockets.splice(0)) socket.destroy();
    for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  });

  /** Serves a socket in its directory; each line asked is handed on with a way to answer. */
  async function serve(
    name: string,
    greeting: string,
    hear: (asked: Asked, tell: (answer: object) => void) => void,
  ): Promise<void> {
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => {});
      socket.write(greeting);
      createInterface({ input: socket }).on("line", (line) => {
        const asked = JSON.parse(line.replace(/^\ufffd+/, "")) as Asked;
        hear(asked, (answer) => socket.write(`${JSON.stringify(answer)}\n`));
      });
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(join(place.directory, name), resolve));
  }

  const greeting = `${JSON.stringify({ QMP: {} })}\n`;

  /** A QEMU that waits to be continued; `swallows`: it is not to answer that. */
  async function serveWaiting(
    swallows: (asked: Asked, tell: (answer: object) => void) => boolean,
  ): Promise<void> {
    let status = "prelaunch";
    await serve("qmp", greeting, (asked, tell) => {
      if (swallows(asked, tell)) return;
      if (asked.execute === "cont") status = "running";
      tell({ return: asked.execute === "query-status" ? { status } : {}, id: asked.id });
    });
  }

  const slotOf = (slot: { run: number; state: string }): ReturnType<MachineParts["slot"]> =>
    ({ uid: 1, netns: "n", cgroup: {}, ...slot }) as unknown as ReturnType<MachineParts["slot"]>;

  function made(parts: Partial<MachineParts>, change: Partial<MachineRecord> = {}): Machine {
    machine = new Machine(
      place,
      { ...record, ...change },
      {
        clock: systemClock(),
        log: silentLog,
        slot: () => undefined,
        readOutput: () => Promise.resolve(""),
        run: () => Promise.reject(new Error("not asked for")),
        isElsewhere: () => false,
        standsStill: () => false,
        giveUp() {},
        onUp() {},
        onAgent() {},
        onChange() {},
        ...parts,
      },
    );
    return machine;
  }

  it("says that it was made for a move before anything was done of that, as it cannot begin by itself", () => {
    const move = { move: "m1", side: "arriving" };
    const plan = { ...record.plan, vm: { ...record.plan.vm, move } } as unknown as MachineRecord["plan"];
    const seen = (one: Machine): unknown =>
      one.describe({ id, state: "created" } as unknown as ApplianceObservation, undefined, false).vm?.move;
    assert.deepEqual(seen(made({}, { plan })), { ...move, phase: "listening" });
    assert.equal(seen(made({})), undefined);
  });

  it("asks a silent agent once, however often it is looked at: programs do not wait behind that", async () => {
    const silent = Promise.withResolvers<() => void>();
    let pings = 0;
    await serve("agent", "", (asked, tell) => {
      if (asked.execute === "guest-sync") return tell({ return: asked.arguments?.id });
      pings += 1;
      silent.resolve(() => tell({ return: {} }));
    });
    const one = made({});
    const looks = Array.from({ length: 50 }, () => one.lookAtAgent());
    (await silent.promise)();
    await Promise.all(looks);
    assert.equal(pings, 1);
    assert.ok(one.agent.answers());
  });

  it("tells that its agent answers, whoever was the first to hear it, once until it was silent", async () => {
    let [isSilent, greetings] = [true, 0];
    await serve("agent", "", (asked, tell) => tell({ return: asked.arguments?.id ?? {} }));
    const one = made({ onAgent: () => (greetings += 1) });
    const { agent } = one;
    const ask = agent.execute.bind(agent);
    agent.execute = (...args) => (isSilent ? Promise.reject(new Error("it is silent")) : ask(...args));
    await one.lookAtAgent();
    assert.equal(greetings, 0);
    isSilent = false;
    // Somebody else asks it something first.
    await agent.execute("guest-info", {}, one.closing);
    assert.ok(agent.answers());
    await one.lookAtAgent();
    await one.lookAtAgent();
    assert.equal(greetings, 1);
    isSilent = true;
    await one.lookAtAgent();
    isSilent = false;
    await one.lookAtAgent();
    assert.equal(greetings, 2);
  });

  it("gives up a QEMU that waits for a state which nobody is left to give it", async () => {
    const answers: Readonly<Record<string, unknown>> = { "query-status": { status: "inmigrate" } };
    await serve("qmp", `${JSON.stringify({ QMP: {} })}\n`, (asked, tell) =>
      tell({ return: answers[asked.execute] ?? {}, id: asked.id }),
    );
    const ended = Promise.withResolvers<void>();
    const slot = { uid: 1, netns: "n", cgroup: {}, run: 1, state: "running" };
    const one = made({
      slot: () => slot as unknown as ReturnType<MachineParts["slot"]>,
      giveUp: () => ended.resolve(),
    });
    one.look();
    await ended.promise;
    assert.equal(one.record.run, undefined, "it was told to be up");
  });

  it("knows what another manager has left half done of a guest that runs: only one from a snapshot is given up", async () => {
    await serve("qmp", greeting, ({ execute, id: number }, tell) =>
      tell({ return: execute === "query-status" ? { status: "running" } : {}, id: number }),
    );
    const seen = async (vm: object): Promise<unknown> => {
      const plan = { ...record.plan, vm: { ...record.plan.vm, ...vm } } as unknown as MachineRecord["plan"];
      let isGivenUp = false;
      const one = made(
        { slot: () => slotOf({ run: 1, state: "running" }), giveUp: () => (isGivenUp = true) },
        { plan, start: "cold", run: { number: 1, way: "other", up: false } },
      );
      await one.up(one.closing);
      one.close();
      return { isGivenUp, isUp: one.record.run?.up, start: one.record.start };
    };
    assert.deepEqual(await seen({}), { isGivenUp: true, isUp: false, start: "cold" });
    assert.deepEqual(await seen({ restore: { checkpoints: [] } }), {
      isGivenUp: false,
      isUp: true,
      start: "restored",
    });
    const move = { move: "m1", side: "arriving" };
    assert.deepEqual(await seen({ restore: { checkpoints: [] }, move }), {
      isGivenUp: false,
      isUp: true,
      start: "cold",
    });
  });

  it("does not go on by itself when its QEMU has begun again while it is suspended to disk", async () => {
    const answers: Readonly<Record<string, unknown>> = { "query-status": { status: "prelaunch" } };
    const asked: string[] = [];
    await serve("qmp", `${JSON.stringify({ QMP: {} })}\n`, ({ execute, id: number }, tell) => {
      asked.push(execute);
      tell({ return: answers[execute] ?? {}, id: number });
    });
    const slot = { uid: 1, netns: "n", cgroup: {}, run: 2, state: "running" };
    const one = made({
      slot: () => slot as unknown as ReturnType<MachineParts["slot"]>,
      standsStill: () => true,
    });
    await one.up(new AbortController().signal);
    assert.equal(one.guest.status, "prelaunch");
    assert.ok(!asked.includes("cont"), asked.join());
  });

  it("is brought up in its next run also when nobody has seen by then that the one before has ended", async () => {
    const [isWaited, goesOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const clock = {
      ...systemClock(),
      sleep: (): Promise<void> => {
        isWaited.resolve();
        return goesOn.promise;
      },
    };
    let slot = { run: 1, state: "running" };
    const one = made({ clock, slot: () => slotOf(slot) });
    one.look();
    await isWaited.promise;
    for (const next of ["1 backoff", "2 starting", "2 running"]) {
      const [run, state = ""] = next.split(" ");
      slot = { run: Number(run), state };
      one.look();
    }
    await serveWaiting(() => false);
    goesOn.resolve();
    await one.up(new AbortController().signal);
    assert.deepEqual(one.record.run, { number: 2, way: "boot", up: true });
  });

  it("is reached anew when the line to its QEMU is lost while it is brought up", async () => {
    let lines = 0;
    await serveWaiting(({ execute }) => {
      if (execute === "qmp_capabilities") lines += 1;
      if (lines > 1 || execute !== "cont") return false;
      sockets.at(-1)?.destroy();
      return true;
    });
    const one = made({ slot: () => slotOf({ run: 1, state: "running" }) });
    await one.up(new AbortController().signal);
    assert.equal(lines, 2);
    assert.deepEqual(one.record.run, { number: 1, way: "boot", up: true });
  });

  it("is reached anew when its QEMU was held, and said nothing, while it was brought up", async () => {
    let [lines, isHeld] = [0, false];
    await serveWaiting(({ execute, id: number }, tell) => {
      if (execute === "qmp_capabilities") lines += 1;
      if (isHeld && lines === 1) return true;
      isHeld ||= execute === "cont";
      if (isHeld && lines === 1) tell({ return: {}, id: number });
      return isHeld && lines === 1;
    });
    const ended: string[] = [];
    const one = made({
      slot: () => slotOf({ run: 1, state: "running" }),
      answerMsMax: millis(200),
      giveUp: ({ id: which }) => ended.push(which),
    });
    await one.up(new AbortController().signal);
    assert.deepEqual(ended, []);
    assert.deepEqual(one.record.run, { number: 1, way: "boot", up: true });
  });

  it("is up when its mover lets it go on while it is asked how it stands", async () => {
    let status = "inmigrate";
    await serve("qmp", greeting, (asked, tell) => {
      tell({ return: asked.execute === "query-status" ? { status } : {}, id: asked.id });
      if (asked.execute !== "query-status" || status === "running") return;
      status = "running";
      tell({ event: "RESUME" });
    });
    const plan = { ...record.plan, vm: { ...record.plan.vm, move: { move: "m1", side: "arriving" } } };
    const one = made(
      { slot: () => slotOf({ run: 1, state: "running" }) },
      { plan: plan as unknown as MachineRecord["plan"], run: { number: 1, way: "other", up: false } },
    );
    await one.up(new AbortController().signal);
    assert.equal(one.record.run?.up, true);
  });

  it("is up also when its next run cannot be made ready", async () => {
    const answers: Readonly<Record<string, unknown>> = { "query-status": { status: "running" } };
    await serve("qmp", `${JSON.stringify({ QMP: {} })}\n`, (asked, tell) =>
      tell({ return: answers[asked.execute] ?? {}, id: asked.id }),
    );
    const slot = { uid: 1, netns: "n", cgroup: {}, run: 1, state: "running" };
    const one = made({
      slot: () => slot as unknown as ReturnType<MachineParts["slot"]>,
      onUp: () => {
        throw new Error("something is in the way");
      },
    });
    await one.up(new AbortController().signal);
    assert.deepEqual(one.record.run, { number: 1, way: "boot", up: true });
    assert.equal(one.problem, undefined);
  });

  it("loses nothing that happens while its record cannot be written, as on a full disk, and writes it later", async () => {
    let status = "prelaunch";
    const tell: ((answer: object) => void)[] = [];
    await serve("qmp", greeting, ({ execute, id: number }, answer) => {
      if (tell.length === 0) tell.push(answer);
      answer({ return: execute === "query-status" ? { status } : {}, id: number });
    });
    // Nothing can be written where a directory is in the way.
    const inTheWay = join(place.outer, "machine.json.new");
    mkdirSync(inTheWay);
    const up = Promise.withResolvers<void>();
    const one = made(
      {
        slot: () => slotOf({ run: 2, state: "running" }),
        standsStill: () => true,
        onUp: () => up.resolve(),
      },
      complete,
    );
    await one.up(one.closing);
    assert.equal(one.record.run?.up, undefined);
    status = "running";
    // This is heard with nobody to catch what is thrown.
    tell[0]?.({ event: "RESUME" });
    await up.promise;
    assert.equal(one.record.run?.up, true);
    assert.throws(() => one.save({ start: "warm" }), { code: "unavailable" });
    assert.equal(one.record.start, "cold");
    await one.watch();
    assert.equal(readMachineRecord(place.outer), undefined);
    rmSync(inTheWay, { recursive: true });
    await one.watch();
    assert.deepEqual(readMachineRecord(place.outer)?.run, { number: 2, way: "boot", up: true });
  });
});
