import { codeOf, messageOf } from "#base/errors.ts";

/**
 * "limited": it works, but less well than it could, or Consort will do it another way; "unclear": there was no answer
 * in time, which says nothing of what the machine can do but that it is busy.
 */
export type DoctorStatus = "ok" | "missing" | "limited" | "unclear";

/** What a probe saw. */
export type Finding = { readonly status: DoctorStatus; readonly found: string };

/** One thing Consort can use on a machine, before anybody looked. */
export type Capability = {
  readonly id: string;
  readonly title: string;
  readonly neededFor: string;
  /** Without it the main functions do not work here. */
  readonly required: boolean;
  /** What to do when it is missing or limited. */
  readonly remedy: string;
};

export type DoctorItem = Omit<Capability, "remedy"> & Finding & { readonly remedy?: string };

export type DoctorReport = { readonly items: readonly DoctorItem[] };

export type DoctorSummary = {
  readonly ok: number;
  readonly limited: number;
  readonly missing: number;
  readonly unclear: number;
  /** Required items that are missing: why the exit code is 1. */
  readonly blocking: readonly DoctorItem[];
  readonly exitCode: 0 | 1;
};

const tryAgain = "Try again when the machine is less busy";

/** Of whatever was tried and threw: a time-out is not "missing". */
export function findingOf(cause: unknown): Finding {
  const found = messageOf(cause);
  return codeOf(cause) === "timeout" ? { status: "unclear", found } : { status: "missing", found };
}

/** The remedy is told only where there is something to remedy. */
export function judge(capability: Capability, finding: Finding): DoctorItem {
  const { remedy, ...about } = capability;
  if (finding.status === "ok") return { ...about, ...finding };
  return { ...about, ...finding, remedy: finding.status === "unclear" ? tryAgain : remedy };
}

/** A required capability that is limited does not block: it works. */
export function summarise(report: DoctorReport): DoctorSummary {
  const count = (status: DoctorStatus): number =>
    report.items.filter((item) => item.status === status).length;
  const blocking = report.items.filter((item) => item.required && item.status === "missing");
  return {
    ok: count("ok"),
    limited: count("limited"),
    missing: count("missing"),
    unclear: count("unclear"),
    blocking,
    exitCode: blocking.length === 0 ? 0 : 1,
  };
}
