import type { ApplianceId, HostId } from "#base/ids.ts";
import { keys } from "#cluster/records.ts";
import type { HostStanding } from "#cluster/records.ts";
import type { Expectation, HostWord } from "#formats/scenario-expect.ts";
import { storedOperations } from "#sim/checks/world-of.ts";
import type { ApplianceView, Call, Cloud } from "#sim/cloud.ts";
import type { CpuGiven } from "#sim/scenario/cpu-given.ts";
import type { RecordsSeen } from "#sim/scenario/records-seen.ts";

/** What was expected at a moment, and what was found instead where it was not so. */
export type Verdict = {
  readonly atMs: number;
  readonly text: string;
  readonly met: boolean;
  readonly found?: string;
};

export type ExpectLook = {
  readonly cloud: Cloud;
  readonly seen: RecordsSeen;
  readonly given: () => CpuGiven;
  readonly calls: readonly Pick<Call, "verb" | "subject" | "state">[];
  /** Hosts the managers have not heard of for too long, as they say themselves. */
  readonly lostHosts: ReadonlySet<string>;
};

/** Shares of CPU are compared within one part in fifty. */
const cpuTolerance = 0.02;

/** Compares what is expected with what is so now. */
export function judge(expectation: Expectation, look: ExpectLook): Verdict {
  const found = contradiction(expectation, look);
  const { text } = expectation;
  const atMs = look.cloud.nowMs;
  return found === undefined ? { atMs, text, met: true } : { atMs, text, met: false, found };
}

/** What is so instead, for people; undefined: it is as expected. */
function contradiction(expectation: Expectation, look: ExpectLook): string | undefined {
  switch (expectation.kind) {
    case "placed":
      return wherePlaced(expectation, look);
    case "count":
      return differs(String(count(look.cloud, expectation.state)), String(expectation.count));
    case "state":
      return notAll(expectation.subject, look, (id) => {
        const states = stateOf(id, look);
        return states.includes(expectation.state) ? undefined : `${id} is ${states.join(" and ")}`;
      });
    case "gone":
      return notAll(expectation.subject, look, (id) => `${id} is ${stateOf(id, look).join(" and ")}`, true);
    case "cpu":
      return cpuOf(expectation, look);
    case "host":
      return hostIs(expectation.host, expectation.state, look);
    case "operation":
      return operationIs(expectation, look);
    case "recoveries": {
      const all = storedOperations(look.cloud).filter(({ operation }) => operation.kind === "recover");
      return differs(String(all.length), String(expectation.count));
    }
    default:
      return expectation satisfies never;
  }
}

const differs = (found: string, wanted: string): string | undefined => (found === wanted ? undefined : found);

/** Appliances by id, ensemble or name; that of replicas stands for all of them. Those that run count too, wanted or not. */
function idsOf(subject: string, { cloud, seen }: ExpectLook): ApplianceId[] {
  const running = [...cloud.machines.values()].flatMap((machine) =>
    [...machine.appliances].map(({ id }) => id),
  );
  const all = [...new Set([...seen.appliances().keys(), ...running])];
  const ofEnsemble = all.filter((id) => id.startsWith(`${subject}/`));
  if (ofEnsemble.length > 0) return ofEnsemble;
  return all.filter((id) => {
    const declared = seen.declaredAs(id);
    if (!subject.includes("/")) return id.endsWith(`/${subject}`) || declared === subject;
    return id === subject || `${id.slice(0, id.indexOf("/"))}/${declared}` === subject;
  });
}

function notAll(
  subject: string,
  look: ExpectLook,
  wrong: (id: ApplianceId) => string | undefined,
  noneIsRight = false,
): string | undefined {
  const ids = idsOf(subject, look);
  if (ids.length === 0) return noneIsRight ? undefined : `there is no ${subject}`;
  return ids.map(wrong).find((problem) => problem !== undefined);
}

const wherePlaced = (
  { subject, host, wanted }: Extract<Expectation, { kind: "placed" }>,
  look: ExpectLook,
): string | undefined =>
  notAll(subject, look, (id) => {
    const placed = look.seen.appliances().get(id)?.host ?? "no host";
    return (placed === host) === wanted ? undefined : `${id} is on ${placed}`;
  });

function viewsOf(id: ApplianceId, { cloud }: ExpectLook): ApplianceView[] {
  return [...cloud.machines.values()].flatMap((machine) =>
    machine.powered ? [...machine.appliances].filter((one) => one.id === id) : [],
  );
}

/** On every machine that has it; "pending" where none has. */
function stateOf(id: ApplianceId, look: ExpectLook): string[] {
  const views = viewsOf(id, look);
  return views.length === 0 ? ["pending"] : views.map((view) => view.state);
}

function count(cloud: Cloud, state: "running" | "fenced"): number {
  return [...cloud.machines.values()]
    .filter((machine) => machine.powered)
    .flatMap((machine) => [...machine.appliances])
    .filter((one) => (state === "running" ? one.executes : one.state === state)).length;
}

function cpuOf(
  { subject, percent }: Extract<Expectation, { kind: "cpu" }>,
  look: ExpectLook,
): string | undefined {
  const ids = new Set(idsOf(subject, look));
  const given = [...look.given().values()].flatMap((here) =>
    [...here].flatMap(([id, milli]) => (ids.has(id) ? [milli] : [])),
  );
  const found = given.reduce((sum, milli) => sum + milli, 0) / 10;
  if (Math.abs(found - percent) <= Math.max(0.5, percent * cpuTolerance)) return undefined;
  return `it gets ${Math.round(found * 10) / 10}%`;
}

function hostIs(host: string, wanted: HostWord, look: ExpectLook): string | undefined {
  const { cloud } = look;
  if (!cloud.machines.has(host as HostId)) return `there is no host ${host}`;
  const standing = cloud.stored(keys.standing(host))[0]?.value as HostStanding | undefined;
  const scheduling = standing?.scheduling ?? "open";
  const facts: Readonly<Record<HostWord, boolean>> = {
    ready: !look.lostHosts.has(host),
    lost: look.lostHosts.has(host),
    open: scheduling === "open",
    cordoned: scheduling === "cordoned",
    draining: scheduling === "draining",
    fenced: standing?.fenced === true,
    clean: standing?.fenced !== true,
  };
  if (facts[wanted]) return undefined;
  const so = (Object.keys(facts) as HostWord[]).filter((word) => facts[word]);
  return `it is ${so.join(", ")}`;
}

function operationIs(
  { operation: kind, subject, state }: Extract<Expectation, { kind: "operation" }>,
  { cloud, calls }: ExpectLook,
): string | undefined {
  const call = calls.findLast((one) => one.verb === kind && one.subject === subject);
  if (state === "refused")
    return call?.state === "refused" ? undefined : `it was ${call?.state ?? "never asked"}`;
  const newest = storedOperations(cloud)
    .map((record) => record.operation)
    .filter((one) => one.kind === kind && (one.ensemble ?? one.host) === subject)
    .toSorted((a, b) => a.createdAtMs - b.createdAtMs)
    .at(-1);
  if (newest === undefined) return call === undefined ? "there is none" : `it was ${call.state}`;
  return newest.state === state ? undefined : `it is ${newest.state}: ${newest.message}`;
}
