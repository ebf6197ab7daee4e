import { Buffer } from "node:buffer";

/** A module as a kernel package has it. */
export type KernelModule = {
  /** "virtio_net": dashes are underscores. */
  readonly name: string;
  /** "kernel/drivers/net/virtio_net.ko", below the kernel's directory of modules. */
  readonly path: string;
  /** Names of those it needs. */
  readonly needs: readonly string[];
};

/** "kernel/drivers/char/hw_random/virtio-rng.ko" → "virtio_rng". */
export function moduleName(path: string): string {
  return path
    .slice(path.lastIndexOf("/") + 1)
    .replace(/\.ko$/, "")
    .replaceAll("-", "_");
}

/** Which modules an uncompressed module needs, as its .modinfo section tells. */
export function moduleNeeds(content: Uint8Array): readonly string[] {
  const text = Buffer.from(content.buffer, content.byteOffset, content.length).toString("latin1");
  const list = /\0depends=([^\0]*)\0/.exec(text)?.[1] ?? "";
  return list.split(",").filter((name) => name !== "");
}

/** Those and all they need, directly or not; what is needed comes before what needs it. Names unknown are left out. */
export function withNeeded(
  wanted: readonly string[],
  known: ReadonlyMap<string, KernelModule>,
): readonly KernelModule[] {
  const ordered: KernelModule[] = [];
  const seen = new Set<string>();
  const visit = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    const found = known.get(name);
    if (found === undefined) return;
    for (const needed of found.needs) visit(needed);
    ordered.push(found);
  };
  for (const name of wanted) visit(name);
  return ordered;
}

/** The file modprobe reads: each module with all it needs, the most basic last. */
export function modulesDep(modules: readonly KernelModule[]): string {
  const known = new Map(modules.map((each) => [each.name, each]));
  return modules
    .map((each) => {
      const needed = withNeeded(each.needs, known).map(({ path }) => path);
      return `${each.path}:${needed
        .reverse()
        .map((path) => ` ${path}`)
        .join("")}\n`;
    })
    .join("");
}
