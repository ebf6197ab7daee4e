import { writeSync } from "node:fs";
import { openEmbeddedStore } from "#drivers/store/embedded.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";

/**
 * Commits without end until it is killed, saying each number on standard output once its commit resolved.
 * Commit n writes n to three keys and a body of a size that depends on n, and deletes the body before last.
 */
const [path = "", from = "0"] = process.argv.slice(2);
const never = new AbortController().signal;
const store = openEmbeddedStore({ path, clock: systemClock(), random: systemRandom(), log: silentLog });
writeSync(1, "open\n");
for (let n = Number(from) + 1; ; n += 1) {
  const result = await store.commit(
    [
      { put: "first", value: n },
      { put: `body/${n}`, value: String(n).repeat((n % 97) * 40) },
      { delete: `body/${n - 2}` },
      { put: "last", value: n },
    ],
    [],
    never,
  );
  if (result.committed) writeSync(1, `${n}\n`);
}
