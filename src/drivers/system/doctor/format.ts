import { summarise } from "./report.ts";
import type { DoctorItem, DoctorReport, DoctorStatus } from "./report.ts";

const signs: Readonly<Record<DoctorStatus, string>> = {
  ok: "ok     ",
  limited: "limited",
  missing: "missing",
};

/** A table for people: what is there first, then what to do about what is not. */
export function formatDoctor(report: DoctorReport): string {
  const width = Math.max(...report.items.map((item) => item.title.length), 0);
  const rows = report.items.map((item) =>
    `${signs[item.status]}  ${item.title.padEnd(width)}  ${item.found}`.trimEnd(),
  );
  const wanting = report.items.filter((item) => item.status !== "ok");
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
  const { ok, limited, missing, blocking } = summarise(report);
  const counts = `${ok} ok, ${limited} limited, ${missing} missing`;
  if (blocking.length === 0) return `This machine can run Consort (${counts}).`;
  const names = blocking.map((item) => item.title).join(", ");
  return `This machine cannot run Consort yet (${counts}); first: ${names}.`;
}
