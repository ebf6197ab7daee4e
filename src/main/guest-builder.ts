import { join } from "node:path";
import { systemGuestBuilder } from "#drivers/guest/builder.ts";
import type { GuestBuilder } from "#drivers/guest/port.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";

/** Builds guests on this machine, each once; what they are made of stays in the cache directory. */
export function guestBuilder(cache: string): GuestBuilder {
  return systemGuestBuilder(join(cache, "guests"), systemSubprocess());
}
