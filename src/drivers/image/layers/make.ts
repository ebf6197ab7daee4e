import { rm, truncate, writeFile } from "node:fs/promises";
import type { Subprocess } from "#drivers/system/port.ts";
import type { LayerShape } from "./port.ts";

export type MakeLayer = (shape: LayerShape, file: string, signal: AbortSignal) => Promise<void>;

/** Makes a layer at `file`, which is not there; a death leaves something that nobody takes for one. */
export function layerMaker(subprocess: Subprocess): MakeLayer {
  return async (shape, file, signal) => {
    const size = String(shape.sizeBytes);
    if (shape.kind === "root") {
      await subprocess.check("qemu-img", ["create", "-q", "-f", "qcow2", file, size], signal);
      return;
    }
    const plain = `${file}.raw`;
    await writeFile(plain, "");
    await truncate(plain, shape.sizeBytes);
    try {
      const [program, args] = formatting[shape.kind];
      await subprocess.check(program, [...args, plain], signal);
      await subprocess.check("qemu-img", ["convert", "-q", "-f", "raw", "-O", "qcow2", plain, file], signal);
    } finally {
      await rm(plain, { force: true });
    }
  };
}

/** What need not be written now is written by the guest when it gets there. */
const formatting = {
  home: [
    "mkfs.ext4",
    ["-q", "-F", "-m", "0", "-L", "home", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"],
  ],
  swap: ["mkswap", ["-q", "-L", "swap"]],
} as const;
