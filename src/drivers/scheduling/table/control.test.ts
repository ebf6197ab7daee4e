import assert from "node:assert/strict";
import { closeSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import { openJob, unkept } from "./control.ts";
import { filesToKeep } from "./files-to-keep.ts";
import { TableMemory, jobKind, jobState } from "./memory.ts";

const limitsOf = (files: string): string =>
  `Limit                     Soft Limit           Hard Limit           Units
Max processes             96365                96365                processes
Max open files            ${files.padEnd(21)}20000                files
`;

test("a dispatcher leaves some of its files to what else it opens", () => {
  assert.equal(filesToKeep(limitsOf("20000")), 20_000 - 256);
  assert.equal(filesToKeep(limitsOf("100")), 50);
  assert.equal(filesToKeep(limitsOf("unlimited")), Number.MAX_SAFE_INTEGER);
  const own = filesToKeep(readFileSync("/proc/self/limits", "latin1"));
  assert.ok(own > 0 && own < Number.MAX_SAFE_INTEGER);
});

test("a job whose file would be one of these is not kept open", () => {
  const memory = TableMemory.alone();
  memory.jobKinds[0] = jobKind.process;
  memory.jobStates[0] = jobState.wanted;
  memory.jobPids[0] = process.pid;
  memory.setJobStart(0, readStartTime(process.pid) ?? "");
  const kept = openJob(memory, 0);
  assert.ok(kept > 0 && kept < unkept);
  // Numbers of files are given lowest first.
  assert.equal(openJob(memory, 0, kept), unkept);
  closeSync(kept);
  const again = openJob(memory, 0, kept + 1);
  assert.equal(again, kept, "what was opened for nothing is closed");
  closeSync(again);
});
