import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { ApplianceId } from "#base/ids.ts";
import type { Transfer } from "#drivers/transfer/port.ts";
import { ShellJobs } from "./shell-jobs.ts";

const { signal } = new AbortController();
const place = { appliance: "shop/db" as ApplianceId, key: "j-1.1" };
const file = { path: "result", url: "https://server/result" } as Parameters<ShellJobs["stageOut"]>[2];

describe("ShellJobs.stageOut(), of an appliance that lies", () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "consort-jobs-"))));
  afterEach(() => rmSync(directory, { recursive: true }));

  /** Its shell says this of the size of any file, and writes for ever when it is asked for content. */
  function jobs(size: string): ShellJobs {
    return new ShellJobs({
      directory,
      secret: () => Promise.reject(new Error("not asked for")),
      transfer: {
        upload: () => Promise.reject(new Error("nothing is to be brought anywhere")),
      } as unknown as Transfer,
      run: (_id, { command, onOutput }) => {
        const isSize = command.includes("size");
        onOutput("stdout", isSize ? Buffer.from(`${size}\n`) : Buffer.alloc(1024 * 1024));
        return Promise.resolve(0);
      },
    });
  }

  it("takes no more than a host has room for", async () => {
    await assert.rejects(jobs(String(2 ** 52)).stageOut(place, 0, file, signal), { code: "limit_exceeded" });
  });

  it("brings nothing away that has no size", async () => {
    for (const size of ["", "much", "-1", "1e3"])
      await assert.rejects(jobs(size).stageOut(place, 0, file, signal), { code: "driver_failed" }, size);
    assert.deepEqual(readdirSync(directory, { recursive: true }), ["j-1.1"]);
  });
});
