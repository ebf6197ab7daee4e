import assert from "node:assert/strict";
import { test } from "node:test";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import { signal } from "../task/host.ts";
import { tinyGuest } from "./machine-host.ts";
import { begin, moveOver, movingHost, planWithHome, run, step, until } from "./moving-host.ts";

/** CONSORT_MOVES=100 moves it a hundred times. */
const moves = Number(process.env["CONSORT_MOVES"] ?? 4);

/**
 * Counts in some megabytes of memory without ever waiting, and looks whether it finds what it wrote. What it writes
 * while it is moved is what a migration can lose; that it tells of each round lets the test wait for rounds.
 */
const counter = `awk 'BEGIN {
  for (n = 1; ; n++) {
    for (i = 0; i < 5000; i++) { if (a[i] + 0 != n - 1) print i, a[i], n > "/tmp/lost"; a[i] = n }
    print n > "/tmp/round"; close("/tmp/round"); close("/tmp/lost")
  }
}' > /tmp/counter 2>&1 &`;

/** Fills memory that is only read from then on, and that a disk is written from again and again. */
const filler = `dd if=/dev/urandom of=/tmp/pattern bs=1M count=24 2> /dev/null; md5sum /tmp/pattern > /tmp/sum
(while :; do cp /tmp/pattern /home/pattern; md5sum < /home/pattern > /home/sum; done) > /dev/null 2>&1 &`;

test("a guest that writes to its memory and its disk all the while finds both as they were, however often it moves", async () => {
  const guest = await tinyGuest();
  await using first = await movingHost(guest);
  await using second = await movingHost(guest);
  const plan = planWithHome(guest);
  await begin(first, plan);
  await run(first, plan, filler);
  await run(first, plan, counter);
  let [here, there] = [first, second];
  for (let move = 1; move <= moves; move += 1) {
    const told = await moveOver(here, there, plan, `m${move}`);
    const home = await until(there, told, ["local", "failed"]);
    assert.equal(home.phase, "local", home.message);
    // As its plan is without the move: nothing of that one is left when the next begins.
    await step(there, plan);
    await here.driver.destroy(plan.id, signal);
    [here, there] = [there, here];
    await whenSeen(here.driver, plan.id, ({ vm }) => vm?.agent === "answers");
    const round = Number(await run(here, plan, "echo 0$(cat /tmp/round)"));
    const checks = `until [ "0$(cat /tmp/round)" -gt ${round + 1} ]; do kill -0 $(pidof awk) || break; sleep 0.1; done
[ -e /tmp/lost ] && head -n 3 /tmp/lost; cat /tmp/counter; md5sum -c /tmp/sum; dmesg | grep -iE "kernel panic|oops|BUG: |segfault|I/O error"; pidof awk > /dev/null && echo counts`;
    if (process.env["CONSORT_MOVES"] !== undefined) console.log(new Date().toISOString(), move, round);
    assert.equal(await run(here, plan, checks), "/tmp/pattern: OK\ncounts", `after ${move} moves`);
  }
});
