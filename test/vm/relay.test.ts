import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, connect } from "node:net";
import type { Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { buffer } from "node:stream/consumers";
import { seededRandom } from "#base/seeded-random.ts";
import { millis } from "#base/units.ts";
import { startRelay } from "#drivers/appliance/qemu/move/relays.ts";
import type { Relay } from "#drivers/appliance/qemu/move/relays.ts";
import { systemProcesses } from "#drivers/process/system-processes.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { machineLayout } from "#drivers/system/cgroups/group.ts";

const { signal } = new AbortController();
const clock = systemClock();
const processes = systemProcesses(machineLayout());
const seed = Number(process.env["CONSORT_SEED"] ?? 1);
const rounds = Number(process.env["CONSORT_KILL_ROUNDS"] ?? 12);
/** Without a limit they are what the kernel lets sockets grow to. */
const inFlightBytesMax = 6 << 20;

/** Both relays of one way, between a socket in one directory and one in another. */
class Way implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "consort-relay-"));
  readonly relays: Relay[] = [];
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  in!: Relay;
  out!: Relay;

  constructor(serve: (socket: Socket) => void) {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#keep(socket);
      serve(socket);
    });
  }

  async open(isForOne = false): Promise<this> {
    this.#server.listen(join(this.directory, "served"));
    await once(this.#server, "listening");
    const ends = { directory: this.directory, cgroup: { procsFiles: () => [] }, token: "secret" };
    const far = { ...ends, listen: "tcp:127.0.0.1:0", connect: "unix:served", peer: "127.0.0.1" };
    this.in = await startRelay({ ...far, ...(isForOne ? ({ once: true } as const) : {}) }, processes, signal);
    const near = { ...ends, listen: "unix:door", connect: `tcp:127.0.0.1:${this.in.port}` };
    this.out = await startRelay(near, processes, signal);
    return this;
  }

  async connect(): Promise<Socket> {
    const socket = connect({ path: join(this.directory, "door"), allowHalfOpen: true });
    this.#keep(socket);
    await once(socket, "connect");
    return socket;
  }

  #keep(socket: Socket): void {
    this.#open.add(socket);
    // What is cut off is reset.
    socket.on("error", () => {});
    socket.on("close", () => this.#open.delete(socket));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const relay of [this.in, this.out]) processes.signal(relay, "SIGTERM");
    for (const relay of [this.in, this.out]) await untilNoneOf(relay);
    for (const socket of this.#open) socket.destroy();
    this.#server.close();
    rmSync(this.directory, { recursive: true });
  }
}

/** Processes of a relay, itself among them: all are in its group. */
function processesOf({ pid }: Relay): number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const [state, , group] = readFileSync(`/proc/${name}/stat`, "utf8").split(") ").at(-1)!.split(" ");
      return Number(group) === pid && state !== "Z" ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

async function untilNoneOf(relay: Relay): Promise<void> {
  while (processesOf(relay).length > 0) await clock.sleep(millis(5), signal);
}

describe("a relay", () => {
  it("passes on all of both ways at once, each way ending by itself", async () => {
    await using way = await new Way((socket) => socket.pipe(socket)).open();
    const socket = await way.connect();
    const sent = Buffer.from(Array.from({ length: 1 << 20 }, (_, at) => (at * 31) % 251));
    const heard = buffer(socket);
    for (let time = 0; time < 8; time += 1) socket.write(sent);
    socket.end();
    const all = await heard;
    assert.equal(all.length, 8 * sent.length);
    for (let time = 0; time < 8; time += 1)
      assert.ok(all.subarray(time * sent.length, (time + 1) * sent.length).equals(sent));
    while (processesOf(way.in).length + processesOf(way.out).length > 2) await clock.sleep(millis(5), signal);
  });

  it("that is for one ends with whom it was for, and not with those who do not know the token", async () => {
    await using way = await new Way((socket) => socket.on("data", () => {})).open(true);
    const stranger = connect(way.in.port, "127.0.0.1");
    stranger.write("something else\n");
    await once(stranger.resume(), "close");
    assert.ok(processes.isRunning(way.in));
    const socket = await way.connect();
    // Whom it is connected to has not said its last yet, and never does.
    socket.end("all");
    await untilNoneOf(way.in);
  });

  it("leaves what the other side does not take yet with whom it is from: what a machine says last would wait behind it", async () => {
    const accepted: Socket[] = [];
    await using way = await new Way((socket) => accepted.push(socket.pause())).open();
    const socket = await way.connect();
    let taken = 0;
    const more = (first?: () => void): void =>
      void socket.write(Buffer.alloc(65_536), (cause) => {
        if (cause) return;
        taken += 65_536;
        first?.();
        more();
      });
    await new Promise<void>((resolve) => more(resolve));
    // Whoever is slow takes less.
    for (let before = 0; before < taken; await clock.sleep(millis(500), signal)) before = taken;
    assert.ok(taken < inFlightBytesMax, `${taken} bytes`);
  });

  it("asks for a sign of life from another host that says nothing", async () => {
    await using way = await new Way((socket) => socket.pipe(socket)).open();
    const socket = await way.connect();
    socket.write("here");
    await once(socket, "data");
    const among = `( sport = :${way.in.port} or dport = :${way.in.port} )`;
    const look = (): string =>
      execFileSync("ss", ["-tnoH", "state", "established", among], { encoding: "utf8" });
    let lines = look();
    // What was said last is being acknowledged.
    for (; lines.includes("timer:(on,"); lines = look()) await clock.sleep(millis(5), signal);
    assert.equal(lines.match(/timer:\(keepalive,/g)?.length, 2, lines);
  });

  it("leaves no process behind that still passes anything on, at whichever moment it is ended or killed", async () => {
    const random = seededRandom(seed);
    for (let round = 0; round < rounds; round += 1) {
      let heard = 0;
      await using way = await new Way((socket) => {
        socket.on("data", (chunk) => (heard += chunk.length));
        socket.on("end", () => socket.end());
      }).open();
      const sockets = await Promise.all(Array.from({ length: 3 }, () => way.connect()));
      for (const socket of sockets) {
        const more = (): boolean => socket.writable && socket.write(Buffer.alloc(65_536));
        socket.on("drain", more);
        socket.on("end", () => socket.end()).resume();
        more();
      }
      await clock.sleep(millis(random.integer(40)), signal);
      const victim = random.integer(2) === 0 ? way.in : way.out;
      const how = random.integer(2) === 0 ? "SIGKILL" : "SIGTERM";
      process.kill(victim.pid, how);
      await untilNoneOf(victim);
      // The other one's connections end with those of the victim.
      const other = victim === way.in ? way.out : way.in;
      while (processesOf(other).length > 1) await clock.sleep(millis(5), signal);
      assert.deepEqual(processesOf(other), [other.pid], `${how} in round ${round}, ${heard} bytes heard`);
    }
  });
});
