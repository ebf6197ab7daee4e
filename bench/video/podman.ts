import { existsSync, mkdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { aboveOthers, cgroupRoot, nameOn, Outside } from "./alternatives.ts";
import type { Ground } from "./alternatives.ts";
import { fifthFilm, firstFilms, transcoders } from "./load.ts";
import type { Stage } from "./load.ts";

/**
 * Films in one container and transcoders in another, each with a part of the processor; when the fifth film comes, the
 * parts are changed by `podman update`. Containers have the host's programs and network.
 */
const subprocess = systemSubprocess();
const films = "consort-bench-films";
const transcoding = "consort-bench-transcoding";
/** Podman puts the processes that watch containers into it. */
const monitorGroup = "libpod_parent";
/** Of the processor, as the example has it before and after. */
const parts = { before: { films: 0.6, transcoding: 0.4 }, after: { films: 0.8, transcoding: 0.2 } };

export async function podmanRuns(signal: AbortSignal): Promise<boolean> {
  try {
    for (const program of ["podman", "runc"]) await subprocess.check(program, ["--version"], signal);
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

export function podmanStage(ground: Ground): Stage {
  const outside = new Outside(ground);
  const podman = new Podman(ground);
  const root = ground.cgroups.open(cgroupRoot);
  return {
    name: nameOn("podman --cpus", ground),
    async start(signal) {
      root.create();
      root.setWeight(aboveOthers);
      outside.receive();
      const serve = `sh /srv/serve.sh ${firstFilms.join(" ")}`;
      await podman.run(films, parts.before.films, outside.filmEnv, serve, signal);
      const transcode = `for film in ${transcoders.join(" ")}; do sh /srv/transcode.sh $film & done; wait`;
      await podman.run(transcoding, parts.before.transcoding, {}, transcode, signal);
      outside.cross();
    },
    async fifth(signal) {
      await podman.ask(["update", "--cpus", String(parts.after.transcoding), transcoding], signal);
      await podman.ask(["update", "--cpus", String(parts.after.films), films], signal);
      await podman.ask(["exec", "--detach", films, "sh", "/srv/stream.sh", String(fifthFilm)], signal);
    },
    arrivals: async (_signal, lastBytes) => outside.arrivals(lastBytes),
    async stop() {
      try {
        await podman.remove();
      } finally {
        await outside.stop();
      }
    },
  };
}

class Podman {
  readonly #ground: Ground;
  readonly #home: string;
  readonly #options: readonly string[];
  readonly #monitorGroupIsOurs: boolean;

  constructor(ground: Ground) {
    this.#monitorGroupIsOurs = !ground.cgroups.open(monitorGroup).exists();
    this.#ground = ground;
    this.#home = join(ground.directory, "podman");
    // Apart from whatever else podman has on this machine.
    const own = ["root", "runroot", "tmpdir"].flatMap((name) => [`--${name}`, join(this.#home, name)]);
    this.#options = [...own, "--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs"];
  }

  ask(args: readonly string[], signal: AbortSignal): Promise<string> {
    return subprocess.check("podman", [...this.#options, ...args], signal);
  }

  async run(
    name: string,
    part: number,
    env: Readonly<Record<string, string>>,
    script: string,
    signal: AbortSignal,
  ): Promise<void> {
    const variables = Object.entries(env).flatMap(([key, value]) => ["--env", `${key}=${value}`]);
    const limits = ["--cpus", String(part), "--cpuset-cpus", String(this.#ground.processor)];
    const place = ["--network", `ns:${this.#ground.servingNetns}`, "--cgroup-parent", `/${cgroupRoot}`];
    const ulimits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"];
    const mounts = ["/usr:/usr:ro", "/etc:/etc:ro", `${this.#ground.directory}:/srv:ro`].flatMap((mount) => [
      "--volume",
      mount,
    ]);
    const all = [
      "--rm",
      "--detach",
      "--name",
      name,
      ...limits,
      ...place,
      ...ulimits,
      ...variables,
      ...mounts,
    ];
    await this.ask(["run", ...all, "--rootfs", this.#rootfs(name), "sh", "-c", script], signal);
  }

  /** A root that has nothing of its own: the host's programs are mounted into it. */
  #rootfs(name: string): string {
    const root = join(this.#home, `rootfs-${name}`);
    for (const folder of ["usr", "etc", "tmp", "srv", "proc", "sys", "dev", "run", "var"])
      mkdirSync(join(root, folder), { recursive: true });
    for (const link of ["bin", "sbin", "lib", "lib64"]) {
      if (existsSync(join(root, link)) || !existsSync(`/${link}`)) continue;
      symlinkSync(readlinkSync(`/${link}`), join(root, link));
    }
    return root;
  }

  async remove(): Promise<void> {
    const signal = new AbortController().signal;
    await this.ask(["rm", "--force", "--ignore", "--time", "0", films, transcoding], signal);
    if (this.#monitorGroupIsOurs) await this.#ground.cgroups.open(monitorGroup).remove(signal);
    // Its own cleaning up goes on for a moment after it has answered.
    rmSync(this.#home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}
