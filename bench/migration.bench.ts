import { begun, prepared } from "../test/vm/begun-move.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";
import { migrationByLibvirt } from "./peer-migration.ts";

const rounds = 5;
const cases = ["consort", "libvirt"];
const aims = { totalMs: 500, downtimeMs: 50 };
const machine = "128 MiB guest serving HTTP, disk on NBD, two namespaces, TCG";

type Round = {
  readonly totalMs: number;
  readonly downtimeMs: number;
  readonly longestMs: number;
  readonly lost: number;
  readonly homeMs: number;
};

/** From the moment the leaving side is told to send until the machine runs on the other side. */
async function move(): Promise<Round> {
  await using rig = await begun();
  const { leaving, arriving } = await prepared(rig, "bench");
  rig.moves.a.onSent((id, name) => void rig.moves.b.giveWord(id, name));
  const answers = rig.requests();
  // So that requests are under way.
  await rig.ask("/");
  const began = performance.now();
  const there = rig.until("b", arriving, ["running-remote-disks", "local", "failed"]);
  const sent = await rig.until("a", leaving, ["sent", "failed"]);
  await there;
  const totalMs = performance.now() - began;
  if (sent.phase !== "sent") throw new Error(`the move failed: ${sent.message}`);
  await rig.until("b", arriving, ["local"]);
  const homeMs = performance.now() - began;
  const { lost, longestMs } = await answers();
  return { totalMs, homeMs, downtimeMs: sent.downtimeMs ?? Number.NaN, longestMs, lost };
}

export const benchmark: Benchmark = {
  name: "migration",
  about:
    "a running machine moves to another QEMU while clients ask its web server one request after the other; beside it libvirt",
  cases,
  async run({ signal, progress, cases: asked }) {
    const ours = asked?.has("consort") === false ? [] : await measure({ signal, progress });
    const theirs = asked?.has("libvirt") === false ? [] : await migrationByLibvirt({ signal, progress });
    return [...ours, ...theirs];
  },
};

async function measure({ signal, progress }: BenchOptions): Promise<BenchRow[]> {
  const seen: Round[] = [];
  for (let round = 0; round < rounds; round += 1) {
    signal.throwIfAborted();
    seen.push(await move());
    progress(`migration: ${round + 1} of ${rounds}`);
  }
  const row = (metric: string, unit: string, of: (round: Round) => number, most?: number): BenchRow => {
    const figures = range(seen.map(of));
    const aim = most === undefined ? "-" : `<= ${most}`;
    return {
      case: machine,
      metric,
      unit,
      reference: "-",
      aim,
      ...figures,
      ok: figures.value <= (most ?? Infinity),
    };
  };
  return [
    row("total until it runs there", "ms", ({ totalMs }) => totalMs, aims.totalMs),
    row("downtime as QEMU tells it", "ms", ({ downtimeMs }) => downtimeMs, aims.downtimeMs),
    row("longest request", "ms", ({ longestMs }) => longestMs),
    row("requests lost", "requests", ({ lost }) => lost, 0),
    row("until its disk is there too", "ms", ({ homeMs }) => homeMs),
  ];
}
