import { dirname, join } from "node:path";

/**
 * The arrows between layers, as in ARCHITECTURE.md: imports point down only, and what does I/O is chosen at the top.
 *
 *   main → (api, cli, sim, lab) → (host, cluster, federation, tasks) → driver ports → (formats, protocol)
 *        → (planner, control) → model → base
 */
const ranks: ReadonlyMap<string, number> = new Map([
  ["main", 7],
  ["api", 6],
  ["cli", 6],
  ["sim", 6],
  ["lab", 6],
  ["host", 5],
  ["cluster", 5],
  ["federation", 5],
  ["tasks", 5],
  ["drivers", 4],
  ["formats", 3],
  ["protocol", 3],
  ["planner", 2],
  ["control", 2],
  ["model", 1],
  ["base", 0],
]);

/**
 * Layers of one rank that may know each other: `consort lab up` and `simulate` are libraries behind a command, and the
 * planner asks what a host would admit by the host's own rules.
 */
const sideways: ReadonlySet<string> = new Set(["cli lab", "cli sim", "planner control"]);

/** Layers that run the managers on drivers of their own: they may use what of the drivers touches no machine. */
const simulating: ReadonlySet<string> = new Set(["sim"]);

export const pureLayers: ReadonlySet<string> = new Set([
  "base",
  "model",
  "planner",
  "control",
  "protocol",
  "formats",
]);

/** Layers a simulation runs as they are: whatever they await must come through a port. */
const simulatedLayers: ReadonlySet<string> = new Set(["host", "cluster", "federation"]);
/** Of these modules nothing is awaited. */
const computing: ReadonlySet<string> = new Set(["node:util"]);

/** "src/planner/mapper.ts" → "planner"; undefined outside src/. */
export function layerOf(path: string): string | undefined {
  const [root, layer, rest] = path.split("/", 3);
  return root === "src" && rest !== undefined ? layer : undefined;
}

export const isTest = (path: string): boolean => path.endsWith(".test.ts");

/** A driver's conformance suite and its fakes are for tests, wherever they are. */
export const isTestSupport = (path: string): boolean =>
  isTest(path) || /(?:^|[/.-])(?:conformance|fixtures?)\b/.test(path);

/** Where an import leads inside the project, or undefined for a package. */
export function resolveImport(from: string, target: string): string | undefined {
  if (target.startsWith("#")) return `src/${target.slice(1)}`;
  if (target.startsWith(".")) return join(dirname(from), target);
  return undefined;
}

/**
 * Why a file of src/ may not import that target, or undefined when it may. `touchesMachine` tells of a file whether it,
 * or anything it imports, uses what the machine offers (`node:*`).
 */
export function arrowProblem(
  from: string,
  target: string,
  touchesMachine: (path: string) => boolean,
): string | undefined {
  const layer = layerOf(from);
  if (layer === undefined) return undefined;
  if (target.startsWith("node:") && simulatedLayers.has(layer) && !computing.has(target) && !isTest(from))
    return `${layer}/ also runs in virtual time: take what ${target} gives through a port`;
  if (target.startsWith("node:"))
    return pureLayers.has(layer) && !isTest(from)
      ? `${layer}/ is pure: take what ${target} gives as a parameter, or move the effect to a driver`
      : undefined;
  const path = resolveImport(from, target);
  if (path === undefined) return undefined;
  const toLayer = layerOf(path);
  if (toLayer === undefined) return `src/ imports nothing from outside src/, here ${path}`;
  if (toLayer !== layer && target.startsWith("."))
    return `between folders write "#${path.slice("src/".length)}", not "${target}"`;
  if (isTestSupport(from) || layer === "main") return undefined;
  const choosesDriver = toLayer === "drivers" && layer !== "drivers" && !path.endsWith("/port.ts");
  if (choosesDriver && simulating.has(layer))
    return touchesMachine(path)
      ? `a simulation has no machine: ${path} uses node:*, take what it gives as a parameter`
      : undefined;
  if (choosesDriver)
    return `only src/main, tests and benchmarks choose implementations: import the port, take ${path} as a parameter`;
  if (toLayer === layer || sideways.has(`${layer} ${toLayer}`)) return undefined;
  const rank = ranks.get(layer);
  const toRank = ranks.get(toLayer);
  if (rank === undefined) return `${layer}/ is no layer; ARCHITECTURE.md names them`;
  if (toRank === undefined) return `${toLayer}/ is no layer; ARCHITECTURE.md names them`;
  return toRank < rank ? undefined : `imports point down only, and ${toLayer}/ is not below ${layer}/`;
}
