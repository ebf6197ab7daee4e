import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Cgroup, Cgroups } from "#drivers/system/cgroups/port.ts";
import { milliCpu, millis } from "#base/units.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { commandOf, fifthFilm, firstFilms, pictureText, transcoders } from "./load.ts";
import type { Picture, Stage } from "./load.ts";
import { Processes } from "./processes.ts";

/**
 * The load as it is run today without Consort: on the same two hosts with the same cable, as plain processes bound to
 * one processor, which is all that serves films there. Nothing keeps the cable.
 */
export type Ground = {
  /** Network namespaces of the host that serves and of the one that receives, and the address of that one. */
  readonly servingNetns: string;
  readonly viewingNetns: string;
  readonly viewer: string;
  readonly processor: number;
  readonly picture: Picture;
  /** Whether bulk traffic crosses the films' way. */
  readonly crossed: boolean;
  /** Holds the programs of the example; for scratch files too. */
  readonly directory: string;
  readonly cgroups: Cgroups;
};

/** Above that of any other program of the machine, as reservations have it. */
export const aboveOthers = milliCpu(200_000);
export const cgroupRoot = "consort-bench-video";
/** Longer than packets wait in the queue before the cable. */
const drainMs = millis(500);
const clock = systemClock();

/** Kills and removes whatever is in our control group, also of a run that could not clean up. */
export async function removeGroups(cgroups: Cgroups): Promise<void> {
  const root = cgroups.open(cgroupRoot);
  if (!root.exists()) return;
  root.killAll();
  await root.remove(new AbortController().signal);
}

/** How programs of one kind are started: in a group, behind words as `nice -n 19`. */
type Manner = { readonly group: Cgroup; readonly before: readonly string[] };

/** Films as they are, transcoders with the highest niceness there is. */
export function niceStage(ground: Ground): Stage {
  const group = ground.cgroups.open(`${cgroupRoot}/all`);
  return plainStage("nice -n 19", ground, {
    films: { group, before: [] },
    transcoders: { group, before: ["nice", "-n", "19"] },
  });
}

/** One control group for films, one for transcoders, of the same weight. */
export function equalSharesStage(ground: Ground): Stage {
  const group = (name: string): Cgroup => ground.cgroups.open(`${cgroupRoot}/${name}`);
  return plainStage("equal cgroup shares", ground, {
    films: { group: group("films"), before: [] },
    transcoders: { group: group("transcoders"), before: [] },
  });
}

export function nameOn(name: string, ground: Ground): string {
  return ground.crossed ? name : `${name}, no cross traffic`;
}

function plainStage(
  name: string,
  ground: Ground,
  manners: { readonly films: Manner; readonly transcoders: Manner },
): Stage {
  const outside = new Outside(ground);
  const root = ground.cgroups.open(cgroupRoot);
  const film = (program: string, films: readonly number[]): void =>
    outside.serve(
      [...manners.films.before, "sh", outside.program(program), ...films.map(String)],
      manners.films,
    );
  return {
    name: nameOn(name, ground),
    async start() {
      for (const { group } of [manners.films, manners.transcoders]) group.create();
      root.setWeight(aboveOthers);
      outside.receive();
      film("serve.sh", firstFilms);
      for (const one of transcoders) {
        const words = ["sh", outside.program("transcode.sh"), String(one)];
        outside.serve([...manners.transcoders.before, ...words], manners.transcoders);
      }
      outside.cross();
    },
    async fifth() {
      film("stream.sh", [fifthFilm]);
    },
    arrivals: async (_signal, lastBytes) => outside.arrivals(lastBytes),
    stop: () => outside.stop(),
  };
}

/** What every alternative has alike: the receiver, the cross traffic, and where programs find what they need. */
export class Outside {
  readonly #ground: Ground;
  readonly #isBound: boolean;
  readonly #processes = new Processes();

  /** `isBound`: what serves runs on the one processor alone. */
  constructor(ground: Ground, isBound = true) {
    this.#ground = ground;
    this.#isBound = isBound;
  }

  program(name: string): string {
    return join(this.#ground.directory, name);
  }

  get #arrivalsFile(): string {
    return this.program("arrivals");
  }

  get filmEnv(): Record<string, string> {
    return { SIZE: pictureText(this.#ground.picture), TO: this.#ground.viewer };
  }

  serve(command: readonly string[], { group }: Pick<Manner, "group">): void {
    const env = { ...this.filmEnv, FILMS: this.#ground.directory };
    const { servingNetns: netns, processor } = this.#ground;
    this.#processes.start(command, {
      netns,
      env,
      group,
      ...(this.#isBound ? { processor } : {}),
    });
  }

  receive(): void {
    rmSync(this.#arrivalsFile, { force: true });
    const env = { ARRIVALS: this.#arrivalsFile };
    const command = this.#localized("viewer");
    this.#processes.start(command, { netns: this.#ground.viewingNetns, env });
  }

  cross(): void {
    if (!this.#ground.crossed) return;
    this.#processes.start(this.#localized("backup"), { netns: this.#ground.servingNetns, env: {} });
  }

  /** The example's command of an appliance, with its files and the viewer as they are found here. */
  #localized(appliance: string): string[] {
    return commandOf(appliance).map((word) => {
      if (word === "viewer") return this.#ground.viewer;
      return word.startsWith("/srv/") ? this.program(word.slice("/srv/".length)) : word;
    });
  }

  arrivals(lastBytes?: number): string {
    this.#processes.check();
    const text = readFileSync(this.#arrivalsFile, "utf8");
    return lastBytes === undefined ? text : text.slice(-lastBytes);
  }

  /** Ends all, and waits until nothing of it is under way any more. */
  async stop(): Promise<void> {
    try {
      await this.#processes.stop();
    } finally {
      await removeGroups(this.#ground.cgroups);
    }
    await clock.sleep(drainMs, new AbortController().signal);
  }
}
