import { capabilities } from "./capabilities.ts";
import { summarise } from "./report.ts";
import type { DoctorItem, DoctorReport, DoctorStatus } from "./report.ts";

const signs: Readonly<Record<DoctorStatus, string>> = {
  ok: "ok     ",
  limited: "limited",
  missing: "missing",
  unclear: "unclear",
};

/** A table for people: what is there first, then what to do about what is not. */
export function formatDoctor(report: DoctorReport): string {
  const width = Math.max(...report.items.map((item) => item.title.length), 0);
  const rows = report.items.map((item) =>
    `${signs[item.status]}  ${item.title.padEnd(width)}  ${item.found}`.trimEnd(),
  );
  const root = report.items.find((item) => item.id === capabilities.root.id && item.status !== "ok");
  // Without root most was not really tried: advice about it would mislead.
  const wanting = root === undefined ? report.items.filter((item) => item.status !== "ok") : [root];
  return [...rows, "", ...wanting.flatMap(advice), verdict(report), ""].join("\n");
}

function advice(item: DoctorItem): string[] {
  const weight = item.required && item.status === "missing" ? "needed" : "used";
  return [
    `${item.title}: ${item.status}; ${weight} for ${item.neededFor}.`,
    ...(item.remedy === undefined ? [] : [`    ${item.remedy}`]),
    "",
  ];
}

function verdict(report: DoctorReport): string {
  const { ok, limited, missing, unclear, blocking } = summarise(report);
  const untold = unclear === 0 ? "" : `, ${unclear} unclear`;
  const counts = `${ok} ok, ${limited} limited, ${missing} missing${untold}`;
  const open = report.items.filter((item) => item.required && item.status === "unclear");
  if (blocking.length === 0 && open.length > 0) {
    const names = open.map((item) => item.title).join(", ");
    return `This machine is too busy to tell whether it can run Consort (${counts}); unclear: ${names}.`;
  }
  if (blocking.length === 0) return `This machine can run Consort (${counts}).`;
  if (blocking.some((item) => item.id === capabilities.root.id))
    return `Only root can tell whether this machine can run Consort: sudo consort doctor (${counts}).`;
  const names = blocking.map((item) => item.title).join(", ");
  return `This machine cannot run Consort yet (${counts}); first: ${names}.`;
}
