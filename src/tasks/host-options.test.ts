import assert from "node:assert/strict";
import { test } from "node:test";
import { mebibytes, megabitsPerSecond, micros } from "#base/units.ts";
import { checkHostOptions } from "./host-options.ts";
import type { TaskHostOptions } from "./host-options.ts";

const has = { processors: 2, memoryBytes: mebibytes(1024) };

test("a host takes what the machine has, or less of it", () => {
  const fine: readonly TaskHostOptions[] = [
    {},
    { processors: [{ milli: 0 }, { milli: 1000 }], memoryBytes: mebibytes(1024) },
    { policy: "earliest-deadline-first", quantumUs: micros(500), cgroupParent: "mine/tasks.1" },
    { network: { interface: "eth0", bandwidthBps: megabitsPerSecond(10) } },
  ];
  for (const options of fine) checkHostOptions(options, has);
});

test("options that mean nothing, or more than there is, are refused with what is wanted", () => {
  const wrong: readonly (readonly [options: object, text: RegExp])[] = [
    [{ processors: [] }, /processors is a list of 0, one of 1 to 2 is wanted/],
    [{ processors: [{ milli: 1 }, { milli: 1 }, { milli: 1 }] }, /list of 3, one of 1 to 2 .* this machine/],
    [{ processors: 2 }, /list of NaN/],
    [{ processors: [{ milli: 2000 }] }, /2000 thousandths/],
    [{ processors: [{ milli: -1 }] }, /-1 thousandths/],
    [{ processors: [{}] }, /undefined thousandths/],
    [{ policy: "fifo" }, /rate-monotonic, earliest-deadline-first/],
    [{ quantumUs: 1.5 }, /quantumUs is 1.5/],
    [{ quantumUs: 10 }, /quantumUs is 10/],
    [{ memoryBytes: -1 }, /memoryBytes is -1/],
    [{ memoryBytes: mebibytes(2048) }, /no more than this machine's 1GiB/],
    [{ network: { interface: "eth0" } }, /network.bandwidthBps is undefined, the bits per second of eth0/],
    [{ network: { interface: "eth0", bandwidthBps: 0 } }, /network.bandwidthBps is 0/],
    [{ cgroupParent: "../elsewhere" }, /cgroupParent is "..\/elsewhere"/],
    [{ cgroupParent: "/" }, /cgroupParent/],
    [{ cgroupParent: "a//b" }, /cgroupParent/],
    [{ cgroupParent: "" }, /cgroupParent/],
  ];
  for (const [options, message] of wrong)
    assert.throws(() => checkHostOptions(options, has), { code: "bad_input", message });
});
