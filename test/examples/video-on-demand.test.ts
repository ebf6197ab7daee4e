import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { parseTopology } from "#formats/topology.ts";
import type { Ensemble } from "#model/ensemble.ts";
import { machineFacts } from "../rig/machine-facts.ts";
import { eventually, startRig } from "../rig/rig.ts";
import type { Rig } from "../rig/rig.ts";
import { example } from "./lab.ts";

/**
 * The example on the lab it is made for. How good films arrive is measured by the bench of the same name; here they are
 * so small, or so large, that any machine is fast enough, or too slow.
 */
const lab = "videoexample";
const name = "video-on-demand";
const labFile = join(import.meta.dirname, "..", "..", "examples", name, "lab.yaml");
const patience = { timeout: 180_000 };
const small = "160x96";
const large = "3840x2160";

let rig: Rig;
let facts: string[];
before(async () => {
  facts = await machineFacts(lab);
  const topology = parseTopology(readFileSync(labFile, "utf8"), { file: labFile });
  assert.ok(topology.ok);
  rig = await startRig(lab, topology.value, new AbortController().signal);
});
after(async () => {
  await rig?.close();
  assert.deepEqual(await machineFacts(lab), facts, "the machine is as it was");
});

function withPicture(size: string): Ensemble {
  const ensemble = example(`${name}.yaml`);
  const appliances = ensemble.appliances.map((one) =>
    one.name === "streaming" ? { ...one, env: { ...one.env, SIZE: size } } : one,
  );
  return { ...ensemble, appliances };
}

const viewed = (signal: AbortSignal): Promise<string> =>
  rig.client().text(`/v1/ensembles/${name}/appliances/viewer/log`, signal);

async function acted(strategy: string, signal: AbortSignal): Promise<void> {
  await eventually(`${strategy} has acted`, signal, async () => {
    const { strategies = [] } = await rig.status(name, signal);
    return strategies.some((one) => one.name === strategy && one.acted > 0);
  });
}

test("four films arrive whole, and a fifth takes bandwidth from the backup", patience, async ({ signal }) => {
  await rig.up(withPicture(small), signal);
  await eventually("four films at 25 frames a second without loss", signal, async () => {
    const log = await viewed(signal);
    return [1, 2, 3, 4].every((film) =>
      new RegExp(`film ${film}: 2[4-6] frames, \\d+ packets, 0 lost`).test(log),
    );
  });
  const fifth = rig.exec(name, "streaming", ["sh", "/srv/stream.sh", "5"], signal).catch(() => {});
  await acted("more-bandwidth", signal);
  await rig.down(name, signal);
  await fifth;
});

test("films that come too slowly take CPU time from the transcoders", patience, async ({ signal }) => {
  await rig.up(withPicture(large), signal);
  await acted("more-cpu", signal);
  await rig.down(name, signal);
});
