import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { shapeOfFile } from "#drivers/image/layers/shapes.ts";
import { subprocess } from "./guest-machine.ts";

const kills = 10;
const root = mkdtempSync(join(tmpdir(), "consort-test-spool-"));
after(() => rmSync(root, { recursive: true, force: true }));

/** Killed when it has made so many machines, and somewhere on the way to the next. */
async function killedAfter(machines: number, delayMs: number): Promise<void> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "spool-owner.child.ts"), root], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let made = 0;
  for await (const chunk of child.stdout) {
    made += String(chunk).split("made").length - 1;
    if (made >= machines) break;
  }
  setTimeout(() => child.kill("SIGKILL"), delayMs);
  await once(child, "exit");
}

async function assertWhole(file: string): Promise<void> {
  await subprocess.check("qemu-img", ["check", "-q", "-f", "qcow2", file], AbortSignal.timeout(30_000));
}

test("whenever the owner of a spool is killed, what is ready and what machines have is whole", async () => {
  for (let round = 0; round < kills; round += 1) {
    await killedAfter(1 + (round % 3), round * 7);
    const ready = readdirSync(join(root, "spool/ready"));
    for (const name of ready) {
      assert.ok(shapeOfFile(name) !== undefined, name);
      await assertWhole(join(root, "spool/ready", name));
    }
    for (const machine of readdirSync(join(root, "machines")))
      for (const name of readdirSync(join(root, "machines", machine)))
        await assertWhole(join(root, "machines", machine, name));
    rmSync(join(root, "machines"), { recursive: true });
  }
  assert.ok(existsSync(join(root, "spool/ready")));
});
