import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { mebibytes, bytes } from "#base/units.ts";
import { layerMaker } from "#drivers/image/layers/make.ts";
import { spooledLayers } from "#drivers/image/layers/spooled-layers.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { jsonLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";

/** Makes machines and takes every other one away again, until it is killed; says when it has begun. */
const [root = ""] = process.argv.slice(2);
const { signal } = new AbortController();
const clock = systemClock();
const random = systemRandom();
const layers = spooledLayers({
  directory: join(root, "spool"),
  make: layerMaker(systemSubprocess()),
  clock,
  random,
  log: jsonLog({ clock, fd: 2, level: "error" }),
});
const digest = `sha256:${"0".repeat(64)}` as const;
const disk = { digest, sizeBytes: bytes(1), format: "raw", virtualBytes: mebibytes(64) } as const;
const base = {
  name: "b",
  role: "base",
  architecture: "amd64",
  features: [],
  registeredAtMs: 0,
  disk,
} as const;

await layers.recover(signal);
process.stdout.write("begun\n");
for (;;) {
  const directory = join(root, "machines", random.hex(4));
  mkdirSync(directory, { recursive: true });
  await layers.create(
    { base, homeBytes: mebibytes(16), swapBytes: mebibytes(1) },
    directory,
    () => {},
    signal,
  );
  process.stdout.write("made\n");
  if (random.integer(2) === 0) await layers.remove(directory, signal);
}
