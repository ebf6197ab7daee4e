type Entry = {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
};

type LockFile = { readonly packages: Readonly<Record<string, Entry>> };

const systems = [
  "aix",
  "android",
  "darwin",
  "freebsd",
  "linux",
  "netbsd",
  "openbsd",
  "openharmony",
  "sunos",
  "win32",
];

/**
 * A lock file in which every optional package of every package has its entry, so that "npm ci" takes it. npm leaves out
 * the ones its registry does not carry, as mirrors do with what is for other systems; "npm ci" then misses them, even
 * though it would never fetch them here. What system such a package is for is read off its name; a checksum only the
 * registry knows, so it has none.
 *
 * @throws when a package's name tells no system
 */
export function withAllOptional(text: string): string {
  const lock = JSON.parse(text) as LockFile;
  const packages = new Map(Object.entries(lock.packages));
  for (const [path, { optionalDependencies = {}, dev }] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      if (placesSeenFrom(path, name).some((place) => packages.has(place))) continue;
      const { libc, ...system } = systemOf(name);
      packages.set(`node_modules/${name}`, {
        version,
        cpu: system.cpu,
        ...(dev === undefined ? {} : { dev }),
        ...(libc === undefined ? {} : { libc }),
        optional: true,
        os: system.os,
      });
    }
  }
  const inOrder = [...packages].toSorted(([one], [other]) => (one < other ? -1 : 1));
  return `${JSON.stringify({ ...lock, packages: Object.fromEntries(inOrder) }, undefined, 2)}\n`;
}

/** Where Node looks for a package that the one at `path` asks for. */
function placesSeenFrom(path: string, name: string): readonly string[] {
  const above = path.split(/(?:^|\/)node_modules\//).slice(1);
  return Array.from({ length: above.length + 1 }, (_, depth) =>
    [...above.slice(0, depth), name].map((part) => `node_modules/${part}`).join("/"),
  );
}

function systemOf(name: string): { os: readonly string[]; cpu: readonly string[]; libc?: readonly string[] } {
  const words = name.split(/[-/]/);
  const at = words.findLastIndex((word) => systems.includes(word));
  const [os, cpu, abi = ""] = words.slice(at);
  if (at < 0 || os === undefined || cpu === undefined)
    throw new Error(`Cannot complete the lock file: ${name} is not in it, and its name tells no system`);
  const libc = abi.startsWith("musl") ? "musl" : abi.startsWith("gnu") ? "glibc" : undefined;
  return { os: [os], cpu: [cpu], ...(libc === undefined ? {} : { libc: [libc] }) };
}
