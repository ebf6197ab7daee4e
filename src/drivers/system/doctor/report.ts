/** "limited": it works, but less well than it could, or Consort will do it another way. */
export type DoctorStatus = "ok" | "missing" | "limited";

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
  /** Required items that are missing: why the exit code is 1. */
  readonly blocking: readonly DoctorItem[];
  readonly exitCode: 0 | 1;
};

/** The remedy is told only where there is something to remedy. */
export function judge(capability: Capability, finding: Finding): DoctorItem {
  const { remedy, ...about } = capability;
  return { ...about, ...finding, ...(finding.status === "ok" ? {} : { remedy }) };
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
    blocking,
    exitCode: blocking.length === 0 ? 0 : 1,
  };
}
