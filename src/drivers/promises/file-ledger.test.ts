import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { FakeProcesses } from "#drivers/process/fake.ts";
import { conformanceHas, promisesConformance } from "./conformance.ts";
import { FileLedger } from "./file-ledger.ts";

const place = mkdtempSync(join(tmpdir(), "consort-test-promises-"));
after(() => rmSync(place, { recursive: true, force: true }));
let machines = 0;

function machine() {
  machines += 1;
  const directory = join(place, String(machines));
  const processes = new FakeProcesses();
  const program = () => {
    const { pid, startTime } = processes.add(["program"], []);
    const ledger = new FileLedger({ directory, processes, self: { pid, startTime }, has: conformanceHas });
    return { ledger, ends: () => processes.end(pid) };
  };
  return { directory, program };
}

promisesConformance("files", machine);

test("files: nothing is left of the last program, and files of those that were killed go before", () => {
  const { directory, program } = machine();
  const [first, second] = [program(), program()];
  first.ledger.promise("reserve", { cpuMilli: 1 });
  second.ledger.promise("reserve", { cpuMilli: 1 });
  assert.equal(readdirSync(directory).length, 3);
  first.ends();
  second.ledger.close();
  assert.ok(!existsSync(directory));
  second.ledger.promise("reserve", { cpuMilli: 1 });
  assert.ok(existsSync(directory), "it may begin again");
});

test("files: what is no promise is none", () => {
  const { directory, program } = machine();
  const [first, second] = [program(), program()];
  first.ledger.promise("reserve", { cpuMilli: 2000 });
  for (const name of readdirSync(directory).filter((each) => each !== "lock"))
    for (const text of ["", "{", "3", '{"cpuMilli":"2000"}', '{"cpuMilli":-5}']) {
      writeFileSync(join(directory, name), text);
      second.ledger.admit("reserve", { cpuMilli: 2000 });
    }
});
