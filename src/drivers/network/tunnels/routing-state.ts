import { isNumber, isText, listOf, optional, readJson, shape } from "#base/shape.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import type { TunnelPlan } from "#protocol/host-plan.ts";
import { filterTable, filterText, readRoute, routeProtocol, routeTable, ruleArguments } from "./routing.ts";
import type { Route } from "./routing.ts";

const areRoutes = listOf(
  shape({
    type: optional(isText),
    dst: isText,
    dev: optional(isText),
    metric: optional(isNumber),
  }),
);
const areRules = listOf(shape({ table: optional(isText), protocol: optional(isText) }));

/** Our routing table as it is; a table nobody has used yet counts as empty. */
export async function presentRoutes(subprocess: Subprocess, signal: AbortSignal): Promise<Route[]> {
  const args = ["-j", "route", "show", "table", String(routeTable), "proto", String(routeProtocol)];
  const { code, stdout } = await subprocess.run("ip", args, signal);
  if (code !== 0) return [];
  // Without any route iproute2 says nothing, or "[", or "[ ]", by version.
  const text = stdout.trim();
  if (text.length < 3) return [];
  return readJson(text, areRoutes, "ip route").flatMap((shown) => readRoute(shown) ?? []);
}

async function ruleCount(subprocess: Subprocess, signal: AbortSignal): Promise<number> {
  const text = await subprocess.check("ip", ["-j", "-d", "rule", "show"], signal);
  const ours = readJson(text, areRules, "ip rule").filter(
    (rule) => rule.table === String(routeTable) && rule.protocol === String(routeProtocol),
  );
  return ours.length;
}

export async function ensureRule(subprocess: Subprocess, signal: AbortSignal): Promise<void> {
  if ((await ruleCount(subprocess, signal)) > 0) return;
  await subprocess.check("ip", ["rule", "add", ...ruleArguments], signal);
}

export async function removeRules(subprocess: Subprocess, signal: AbortSignal): Promise<void> {
  for (let left = await ruleCount(subprocess, signal); left > 0; left -= 1) {
    await subprocess.check("ip", ["rule", "del", ...ruleArguments], signal);
  }
}

export async function ensureFilter(
  subprocess: Subprocess,
  mark: string,
  outsideInterface: string,
  plans: readonly TunnelPlan[],
  signal: AbortSignal,
): Promise<void> {
  await subprocess.check("nft", ["-f", "-"], signal, { input: filterText(mark, outsideInterface, plans) });
}

export async function removeFilter(subprocess: Subprocess, mark: string, signal: AbortSignal): Promise<void> {
  const table = `table ip ${filterTable(mark)}`;
  await subprocess.check("nft", ["-f", "-"], signal, { input: `${table}\ndelete ${table}\n` });
}
