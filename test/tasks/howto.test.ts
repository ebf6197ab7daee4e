import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";

/** The program of docs/howto/use-the-task-library.md, as it stands there, in a project of its own beside this checkout. */

const checkout = new URL("../..", import.meta.url).pathname;
const page = readFileSync(join(checkout, "docs/howto/use-the-task-library.md"), "utf8");
const project = mkdtempSync(join(tmpdir(), "task-library-"));
const namespace = `howto${process.pid}`;

const ip = (...args: readonly string[]): void => {
  const { status, stderr } = spawnSync("ip", args, { encoding: "utf8" });
  assert.equal(status, 0, `ip ${args.join(" ")}: ${stderr}`);
};
const classes = (): string =>
  spawnSync("ip", ["netns", "exec", namespace, "tc", "class", "show", "dev", "video"], { encoding: "utf8" })
    .stdout;

before(() => {
  ip("netns", "add", namespace);
  ip("-n", namespace, "link", "add", "video", "type", "veth", "peer", "name", "viewers");
  for (const link of ["video", "viewers"]) ip("-n", namespace, "link", "set", link, "up");
  mkdirSync(join(project, "node_modules"));
  symlinkSync(checkout, join(project, "node_modules", "consort"));
  symlinkSync(join(checkout, "node_modules/@types"), join(project, "node_modules/@types"));
  writeFileSync(join(project, "package.json"), '{ "type": "module" }');
  // What plays and transcodes is not the subject: it only has to be busy.
  writeFileSync(join(project, "ffmpeg"), "#!/bin/sh\nexec perl -e '1 while 1'\n");
  chmodSync(join(project, "ffmpeg"), 0o755);
});
after(() => {
  ip("netns", "del", namespace);
  rmSync(project, { recursive: true, force: true });
});

/** What stands around the second piece of program of the page, which is read beside the first. */
const aroundMeters = `import { CommunicationPath, ResourceInterceptor, rtpMeter, watch } from "consort/tasks";
declare const packets: CommunicationPath<Buffer>;
declare const machines: ResourceInterceptor<Buffer>;
`;

test("the examples pass a check of their types with the settings of the how-to", () => {
  const [program = "", meters = ""] = [...page.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code);
  assert.match(meters, /rtpMeter/);
  writeFileSync(join(project, "meters.ts"), `${aroundMeters}${meters}`);
  const [, settings = ""] = /```json\n(.*?)```/s.exec(page) ?? [];
  writeFileSync(join(project, "video.ts"), program);
  writeFileSync(join(project, "tsconfig.json"), settings);
  const tsc = join(checkout, "node_modules/typescript/bin/tsc");
  const { status, stdout } = spawnSync(process.execPath, [tsc], { cwd: project, encoding: "utf8" });
  assert.equal(status, 0, stdout);
});

test("the example of the how-to adapts a fifth film on the first bad report, and leaves nothing behind", async () => {
  const [, program = ""] = /```ts\n(.*?)```/s.exec(page) ?? [];
  assert.match(program, /openTaskHost/);
  writeFileSync(join(project, "video.ts"), program);
  const empty = classes();
  // Not "ip netns exec", which hides the control groups.
  const child = spawn("nsenter", [`--net=/run/netns/${namespace}`, process.execPath, "video.ts", "video"], {
    cwd: project,
    env: { ...process.env, PATH: `${project}:${process.env["PATH"] ?? ""}` },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  child.stdin.write("1 6\n5 35\n");
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z /, "AT "));
    if (line.startsWith("film 5")) {
      assert.match(classes(), /rate 6Mbit/);
      child.stdin.end();
    }
  }
  assert.deepEqual(lines, [
    "film 1: 6 ms",
    "AT applied: move 8 ms and 1 Mbit/s from transcoding to playing, as jitter is 35 ms, at most 20 ms are wanted",
    "film 5: 35 ms",
    "gold: 32 of 40 ms, by bandwidth",
    "best-effort: 8 of 40 ms, by bandwidth",
  ]);
  assert.deepEqual(await ended, [0, null]);
  assert.equal(classes(), empty);
  for (const tree of ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu"])
    assert.ok(!existsSync(`${tree}/consort-tasks/${child.pid}`), "a group is left");
});
