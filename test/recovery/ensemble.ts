import { parseEnsemble } from "#formats/ensemble.ts";
import { formatProblem } from "#formats/problem.ts";
import type { Ensemble } from "#model/ensemble.ts";
import { stampingCommand } from "./witness.ts";

/** Stamping appliances by name, each with the hosts it may be on, and a link between every two that follow each other. */
export function lossEnsemble(name: string, places: Readonly<Record<string, readonly string[]>>): Ensemble {
  const names = Object.keys(places);
  const appliances = names.map(
    (one) =>
      `  ${one}: { command: ${JSON.stringify(stampingCommand)}, hosts: [${(places[one] ?? []).join(", ")}] }`,
  );
  const links = names
    .slice(1)
    .map((one, index) => `  - { between: [${names[index]}, ${one}], bandwidth: 5Mbit/s }`);
  const text = [
    `ensemble: ${name}`,
    "appliances:",
    ...appliances,
    ...(links.length === 0 ? [] : ["links:", ...links]),
    "",
  ].join("\n");
  const parsed = parseEnsemble(text, { file: `${name}.yaml` });
  if (parsed.ok) return parsed.value;
  throw new Error(parsed.problems.map(formatProblem).join("\n"));
}
