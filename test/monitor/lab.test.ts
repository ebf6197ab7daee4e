import assert from "node:assert/strict";
import { test } from "node:test";
import { parseEnsemble } from "#formats/ensemble.ts";
import { formatProblem } from "#formats/problem.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { MeasurementStatus } from "#protocol/http/status.ts";
import { plainTopology } from "../lab/machine.ts";
import { machineFacts } from "../rig/machine-facts.ts";
import { eventually, startRig } from "../rig/rig.ts";
import type { Rig } from "../rig/rig.ts";

const lab = "testwatch";
const giveUpMs = 180_000;

/** 25 frames a second, of which every fifth never leaves. What nobody listens to is sent all the same. */
const sender = `use Socket; socket(my $s, PF_INET, SOCK_DGRAM, 17);
my $to = sockaddr_in(5004, inet_aton(q(viewer)));
for (my $i = 0; ; $i++) {
  send($s, pack(q(nnNN), 0x8060, $i % 65536, $i * 3600, 7) . q(x) x 900, 0, $to) if $i % 5 != 4;
  select(undef, undef, undef, 0.04);
}`;

function ensemble(monitors: string): Ensemble {
  const text = `ensemble: watch
networks: {front: {}}
appliances:
  viewer: {command: sleep inf}
  sender: {command: [perl, -e, ${JSON.stringify(sender)}]}
${monitors}`;
  const parsed = parseEnsemble(text, { file: "watch.yaml" });
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.problems.map(formatProblem).join("\n"));
  return parsed.value;
}

const watching = `monitors:
  video: {appliance: viewer, rtp: 5004, every: 200ms}
  words: {appliance: sender, script: echo many, every: 200ms}
`;

/** Who listens to all packets of the viewer, whichever process it is. */
async function tapsOf(rig: Rig, signal: AbortSignal): Promise<number> {
  const { stdout } = await rig.exec("watch", "viewer", ["cat", "/proc/net/packet"], signal);
  const [, ...sockets] = stdout.trim().split("\n");
  return sockets.length;
}

test("a stream between two appliances is measured on its way in, by a monitor that comes and goes", async (t) => {
  const signal = AbortSignal.any([t.signal, AbortSignal.timeout(giveUpMs)]);
  const before = await machineFacts(lab);
  {
    await using stack = new AsyncDisposableStack();
    const rig = await startRig(lab, plainTopology({ sites: 1, hostsPerSite: 1 }), signal);
    stack.defer(() => rig.close());
    const measured = async (): Promise<readonly MeasurementStatus[]> =>
      (await rig.status("watch", signal)).measurements ?? [];
    const told = async (metric: string): Promise<number | undefined> =>
      (await measured()).find((one) => one.metric === metric)?.value;
    await rig.up(ensemble(""), signal);
    const started = (await rig.status("watch", signal)).appliances.map((one) => one.startedAtMs);
    assert.equal(await tapsOf(rig, signal), 0);

    await t.test("it is plugged in while all runs, and sees exactly what is missing", async () => {
      await rig.up(ensemble(watching), signal);
      await eventually("loss of a fifth", signal, async () => {
        const loss = (await told("video.loss")) ?? 0;
        return loss > 0.15 && loss < 0.25;
      });
      await eventually("frames of four fifths", signal, async () => {
        const rate = (await told("video.frame-rate")) ?? 0;
        return rate > 10 && rate < 22;
      });
      assert.equal(await tapsOf(rig, signal), 1);
    });

    await t.test("a monitor that measures nothing is told of, and keeps nothing from being up", async () => {
      const events = await eventsOf(rig, signal, "monitor.failed");
      assert.match(events[0] ?? "", /words.*watch\/sender.*line 1 is "many", a number was wanted/);
      assert.equal((await rig.status("watch", signal)).state, "running");
    });

    await t.test("it is unplugged while all runs, and nothing of it is left", async () => {
      await rig.up(ensemble(""), signal);
      await eventually("its socket is closed", signal, async () => (await tapsOf(rig, signal)) === 0);
      assert.deepEqual(await measured(), []);
      const now = (await rig.status("watch", signal)).appliances.map((one) => one.startedAtMs);
      assert.deepEqual(now, started);
      await rig.down("watch", signal);
    });
  }
  assert.deepEqual(await machineFacts(lab), before);
});

async function eventsOf(rig: Rig, signal: AbortSignal, kind: string): Promise<string[]> {
  const read = new AbortController();
  const lines = rig.client().lines("GET", "/v1/events?after=0", AbortSignal.any([signal, read.signal]));
  for await (const line of lines) {
    if (!line.startsWith("data: ")) continue;
    const event = JSON.parse(line.slice(6)) as { kind: string; subject: string; message: string };
    if (event.kind === kind) return [`${event.subject} ${event.message}`];
  }
  return [];
}
