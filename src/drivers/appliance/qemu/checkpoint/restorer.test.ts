import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { systemClock } from "#drivers/system/clock.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import type { Beginning } from "../starter.ts";
import type { MachineCheckpoints } from "./machines.ts";
import { restoreStarter } from "./restorer.ts";

const signal = new AbortController().signal;

describe("restoreStarter()", () => {
  let directory: string;
  let [top, draft, other] = ["", "", ""];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "restorer-"));
    top = join(directory, "root-restored.qcow2");
    draft = `${top}.new`;
    other = join(directory, "other");
    for (const file of [top, other]) writeFileSync(file, "written");
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const subprocess = {
    check: (_program: string, args: readonly string[]) => {
      writeFileSync(args.at(-1) ?? "", "empty");
      return Promise.resolve("");
    },
  } as unknown as Subprocess;
  const checkpoints = {
    beganWith: () => Promise.resolve({ memoryBytes: 1, vcpus: 1 }),
  } as unknown as MachineCheckpoints;
  const begin = (plan: object, run?: object): ReturnType<ReturnType<typeof restoreStarter>["begin"]> => {
    const layers = [top, join(directory, "kept")].map((file) => ({ file, format: "qcow2" }));
    const disks = [
      { name: "root", readOnly: false, layers },
      { name: "swap", readOnly: false, layers: [{ file: other, format: "raw" }] },
    ];
    const record = { plan: { id: "shop/db", memoryBytes: 1, vm: { restore: {}, ...plan } }, disks, run };
    const slots = { adapt: () => Promise.resolve() };
    const beginning = { record, spec: {}, slots, uid: process.getuid?.() ?? 0 };
    return restoreStarter({ checkpoints, clock: systemClock(), subprocess }).begin(
      beginning as unknown as Beginning,
      signal,
    );
  };

  it("reads memory over disks as they were kept, whatever an attempt before has written to them", async () => {
    assert.equal((await begin({}))?.start, "restored");
    assert.equal(readFileSync(top, "utf8"), "written");
    symlinkSync(other, draft);
    assert.equal((await begin({}, { number: 1, way: "other", up: false }))?.start, "restored");
    assert.equal(readFileSync(top, "utf8"), "empty");
    assert.equal(readFileSync(other, "utf8"), "written");
  });

  it("gives no memory to one that comes from another host: it has gone on since", async () => {
    assert.equal(await begin({ move: { side: "arriving" } }), undefined);
    assert.equal(
      await begin({ move: { side: "arriving" } }, { number: 1, way: "other", up: false }),
      undefined,
    );
    assert.equal(readFileSync(top, "utf8"), "written");
  });
});
