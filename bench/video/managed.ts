import { bitsPerSecond, micros } from "#base/units.ts";
import type { ApplianceSpec, Ensemble } from "#model/ensemble.ts";
import type { Rig } from "../../test/rig/rig.ts";
import { example, fifthFilm, pictureText } from "./load.ts";
import type { Picture, Stage } from "./load.ts";

/**
 * The example on its lab. Who asks for the fifth film has room made for it first: CPU time from the transcoders,
 * bandwidth from the backup, both or nothing.
 */
export type Moves = { readonly cpu: boolean; readonly bandwidth: boolean };

const arrivalsFile = "/tmp/arrivals";
const movedUs = 8_000;
const movedBps = 1_000_000;

export function managedStage(name: string, rig: Rig, picture: Picture, moves: Moves): Stage {
  const { strategies: _, ...declared } = prepared(picture);
  return {
    ...stageOf(name, rig, declared),
    async fifth(signal) {
      if (moves.cpu || moves.bandwidth) await rig.up(moved(declared, moves), signal);
      askForFifth(rig, declared, signal);
    },
  };
}

/** The file as it is: the fifth film is started, and the strategies do the rest when they see what it does. */
export function declaredStage(name: string, rig: Rig, picture: Picture): Stage {
  const declared = prepared(picture);
  return {
    ...stageOf(name, rig, declared),
    async fifth(signal) {
      askForFifth(rig, declared, signal);
    },
  };
}

function stageOf(name: string, rig: Rig, ensemble: Ensemble): Omit<Stage, "fifth"> {
  return {
    name,
    async start(signal) {
      await rig.up(ensemble, signal);
    },
    async arrivals(signal) {
      const { stdout } = await rig.exec(ensemble.name, "viewer", ["cat", arrivalsFile], signal);
      return stdout;
    },
    async stop() {
      await rig.down(ensemble.name, new AbortController().signal);
    },
  };
}

/** It plays until its machine is taken down, which ends the request too. */
function askForFifth(rig: Rig, { name }: Ensemble, signal: AbortSignal): void {
  const played = rig.exec(name, "streaming", ["sh", "/srv/stream.sh", String(fifthFilm)], signal);
  void played.catch(() => {});
}

function prepared(picture: Picture): Ensemble {
  const withEnv =
    (env: Readonly<Record<string, string>>) =>
    (spec: ApplianceSpec): ApplianceSpec => ({ ...spec, env: { ...spec.env, ...env } });
  return changed(example(), {
    streaming: withEnv({ SIZE: pictureText(picture) }),
    viewer: withEnv({ ARRIVALS: arrivalsFile }),
  });
}

function moved(ensemble: Ensemble, moves: Moves): Ensemble {
  const cpu = moves.cpu ? movedUs : 0;
  const bandwidth = moves.bandwidth ? movedBps : 0;
  return changed(ensemble, {
    streaming: (spec) => more(spec, cpu, bandwidth),
    transcoding: (spec) => more(spec, -cpu, 0),
    backup: (spec) => more(spec, 0, -bandwidth),
  });
}

function more(spec: ApplianceSpec, executionUs: number, outBps: number): ApplianceSpec {
  const { cpu, traffic } = spec;
  return {
    ...spec,
    ...(cpu?.kind === "reservation"
      ? { cpu: { ...cpu, executionUs: micros(cpu.executionUs + executionUs) } }
      : {}),
    ...(traffic?.outBps === undefined
      ? {}
      : { traffic: { ...traffic, outBps: bitsPerSecond(traffic.outBps + outBps) } }),
  };
}

function changed(
  ensemble: Ensemble,
  changes: Readonly<Record<string, (spec: ApplianceSpec) => ApplianceSpec>>,
): Ensemble {
  const appliances = ensemble.appliances.map((spec) => changes[spec.name]?.(spec) ?? spec);
  return { ...ensemble, appliances };
}
