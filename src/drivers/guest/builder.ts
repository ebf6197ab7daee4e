import type { Subprocess } from "#drivers/system/port.ts";
import { buildDebianGuest } from "./debian/build.ts";
import type { GuestBuilder } from "./port.ts";
import { buildSoftware } from "./software/build.ts";
import { buildTinyGuest } from "./tiny/build.ts";

/** Builds with Debian's tools on this machine. @param cache directory that builds and packages are kept in */
export function systemGuestBuilder(cache: string, subprocess: Subprocess): GuestBuilder {
  return {
    tiny: (onProgress, signal) => buildTinyGuest(cache, onProgress, subprocess, signal),
    debian: (spec, onProgress, signal) => buildDebianGuest(cache, spec, onProgress, subprocess, signal),
    software: (spec, onProgress, signal) => buildSoftware(cache, spec, onProgress, subprocess, signal),
  };
}
