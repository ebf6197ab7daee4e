import assert from "node:assert/strict";
import { after, before } from "node:test";
import { join } from "node:path";
import { defaultLabTopology } from "#formats/topology.ts";
import type { Ensemble } from "#model/ensemble.ts";
import { machineFacts } from "../rig/machine-facts.ts";
import { readEnsembleFile, startRig } from "../rig/rig.ts";
import type { Rig } from "../rig/rig.ts";

/** The lab of `npm start` for the tests of one file, prepared for them; afterwards the machine is as it was. */
export function labForTests(name: string, prepare: (rig: Rig) => Promise<void> = async () => {}): () => Rig {
  let rig: Rig | undefined;
  let facts: string[] = [];
  before(async () => {
    facts = await machineFacts(name);
    rig = await startRig(name, defaultLabTopology(2, 2), new AbortController().signal);
    await prepare(rig);
  });
  after(async () => {
    await rig?.close();
    assert.deepEqual(await machineFacts(name), facts, "the machine is as it was");
  });
  return () => {
    if (rig === undefined) throw new Error("the lab is not up");
    return rig;
  };
}

export function example(file: string): Ensemble {
  return readEnsembleFile(join(import.meta.dirname, "..", "..", "examples", file));
}
