import { seededRandom } from "#base/seeded-random.ts";
import { storeConformance } from "#drivers/store/conformance.ts";
import { fakeStore } from "#drivers/store/fake.ts";
import { silentLog } from "#drivers/system/log.ts";

storeConformance("the fake store", {
  open: async (clock) => fakeStore({ clock, random: seededRandom(1), log: silentLog }),
  clear: async () => {},
});
