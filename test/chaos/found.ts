import type { Member } from "./workload.ts";

/** An appliance as it was found: its process by its tag, and what it has inside. */
export type Found = {
  readonly ensemble: string;
  readonly member: Member;
  readonly host: string;
  readonly pid: number;
  readonly group: string;
  readonly namespace: string;
  readonly mac: string;
  readonly address: string;
};

export type Place = {
  readonly lab: string;
  readonly stateDir: string;
  readonly hosts: readonly string[];
  readonly gateways: readonly string[];
};

export function setDifference(
  what: string,
  expected: readonly string[],
  actual: readonly string[],
): string[] {
  const left = [...actual];
  const missing = expected.filter((item) => {
    const at = left.indexOf(item);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  return [
    ...missing.map((item) => `${what}: lacks ${item}`),
    ...left.map((item) => `${what}: surplus ${item}`),
  ];
}
