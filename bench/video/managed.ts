import { millis } from "#base/units.ts";
import { untilEnded } from "#cli/change.ts";
import { route } from "#cli/client.ts";
import { systemClock } from "#drivers/system/clock.ts";
import type { ApplianceSpec, Ensemble } from "#model/ensemble.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { Rig } from "../../test/rig/rig.ts";
import { example, fifthFilm, pictureText } from "./load.ts";
import type { Picture, Stage } from "./load.ts";

/**
 * The example on its lab. Who asks for the fifth film has room made for it first: CPU time from the transcoders,
 * bandwidth from the backup, both or nothing.
 */
export type Moves = { readonly cpu: boolean; readonly bandwidth: boolean };

const arrivalsFile = "/tmp/arrivals";
/** Films are late for two seconds, then lost for two, and each time a strategy acts. */
const strategiesSettleMs = 7_000;
/** Nothing of the load has anything to finish. */
const stopGraceMs = millis(500);
const clock = systemClock();

export function managedStage(name: string, rig: Rig, picture: Picture, moves: Moves): Stage {
  const { strategies: _, ...declared } = prepared(picture);
  return {
    ...stageOf(name, rig, declared),
    async fifth(signal) {
      await makeRoom(rig, declared, moves, signal);
      askForFifth(rig, declared, signal);
    },
  };
}

/** The file as it is: the fifth film is started, and the strategies do the rest when they see what it does. */
export function declaredStage(name: string, rig: Rig, picture: Picture): Stage {
  const declared = prepared(picture);
  let askedAtMs = 0;
  return {
    ...stageOf(name, rig, declared),
    settleMs: strategiesSettleMs,
    async fifth(signal) {
      askedAtMs = clock.now();
      askForFifth(rig, declared, signal);
    },
    async remarks(signal) {
      const { strategies = [] } = await rig.status(declared.name, signal);
      return strategies.map(({ name: strategy, acted, refused, lastAtMs }) => {
        const last =
          lastAtMs === undefined
            ? ""
            : `, last ${lastAtMs - askedAtMs} ms after the fifth film was asked for`;
        return `${strategy}: acted ${acted} times, could not ${refused} times${last}`;
      });
    },
  };
}

function stageOf(name: string, rig: Rig, ensemble: Ensemble): Omit<Stage, "fifth"> {
  return {
    name,
    async start(signal) {
      await rig.up(ensemble, signal);
    },
    async arrivals(signal, lastBytes) {
      const read = lastBytes === undefined ? ["cat"] : ["tail", "-c", String(lastBytes)];
      const { stdout } = await rig.exec(ensemble.name, "viewer", [...read, arrivalsFile], signal);
      return stdout;
    },
    async stop() {
      await rig.down(ensemble.name, new AbortController().signal);
    },
  };
}

/** Both in one change: all of it or nothing. Resolves when the host keeps it. */
async function makeRoom(
  rig: Rig,
  { name }: Ensemble,
  { cpu, bandwidth }: Moves,
  signal: AbortSignal,
): Promise<void> {
  const moves = [
    ...(cpu ? ["move 8ms from transcoding to streaming"] : []),
    ...(bandwidth ? ["move 1Mbit/s from backup to streaming"] : []),
  ];
  if (moves.length === 0) return;
  const client = rig.client();
  const accepted = await client.request<Operation>("POST", route`/v1/ensembles/${name}/resize`, signal, {
    moves,
  });
  const ended = await untilEnded(client, clock, accepted, () => {}, signal);
  if (ended.state !== "done") throw new Error(`${moves.join(", ")}: ${ended.message}`);
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

function changed(
  ensemble: Ensemble,
  changes: Readonly<Record<string, (spec: ApplianceSpec) => ApplianceSpec>>,
): Ensemble {
  const appliances = ensemble.appliances.map((spec) => ({
    ...(changes[spec.name]?.(spec) ?? spec),
    stopGraceMs,
  }));
  return { ...ensemble, appliances };
}
