import type { Finding, Path } from "#formats/problem.ts";

/** What must be so at one moment of a scenario. Names of appliances may be ids, ensembles, or names that are unique. */
export type Expectation = { readonly text: string } & (
  | { readonly kind: "placed"; readonly subject: string; readonly host: string; readonly wanted: boolean }
  | { readonly kind: "count"; readonly state: "running" | "fenced"; readonly count: number }
  | { readonly kind: "state"; readonly subject: string; readonly state: string }
  | { readonly kind: "host"; readonly host: string; readonly state: HostWord }
  | { readonly kind: "gone"; readonly subject: string }
  /** Of the CPU of its host it is given so much, within one part in fifty. */
  | { readonly kind: "cpu"; readonly subject: string; readonly percent: number }
  /** The newest operation of that kind on that ensemble or host. */
  | {
      readonly kind: "operation";
      readonly operation: string;
      readonly subject: string;
      readonly state: string;
    }
  | { readonly kind: "recoveries"; readonly count: number }
);

const hostWords = ["ready", "lost", "open", "cordoned", "draining", "fenced", "clean"] as const;
export type HostWord = (typeof hostWords)[number];

const name = String.raw`([a-z][a-z0-9-]*(?:/[a-z][a-z0-9-]*)?)`;
const numbers: Readonly<Record<string, number>> = { no: 0, one: 1, two: 2 };
const countOf = (word: string): number => numbers[word] ?? Number(word);

type Form = {
  readonly shape: RegExp;
  readonly read: (found: readonly string[], text: string) => Expectation;
};

const forms: readonly Form[] = [
  {
    shape: new RegExp(`^${name} (not )?on ([a-z][a-z0-9-]*)$`),
    read: ([, subject = "", not, host = ""], text) => ({
      text,
      kind: "placed",
      subject,
      host,
      wanted: not === undefined,
    }),
  },
  {
    shape: /^(running|fenced) (\d{1,7})$/,
    read: ([, state, count = ""], text) => ({
      text,
      kind: "count",
      state: state === "fenced" ? "fenced" : "running",
      count: Number(count),
    }),
  },
  {
    shape: /^(no|one|two|\d{1,7}) recover(?:y|ies)$/,
    read: ([, count = ""], text) => ({ text, kind: "recoveries", count: countOf(count) }),
  },
  {
    shape: new RegExp(`^(up|down|recover|drain) ${name} (running|done|failed|cancelled|refused)$`),
    read: ([, operation = "", subject = "", state = ""], text) => ({
      text,
      kind: "operation",
      operation,
      subject,
      state,
    }),
  },
  {
    shape: new RegExp(`^(cordon|uncordon|forget|cancel) ${name} refused$`),
    read: ([, operation = "", subject = ""], text) => ({
      text,
      kind: "operation",
      operation,
      subject,
      state: "refused",
    }),
  },
  {
    shape: new RegExp(`^host ([a-z][a-z0-9-]*) (${hostWords.join("|")})$`),
    read: ([, host = "", state], text) => ({ text, kind: "host", host, state: state as HostWord }),
  },
  {
    shape: new RegExp(`^${name} gone$`),
    read: ([, subject = ""], text) => ({ text, kind: "gone", subject }),
  },
  {
    shape: new RegExp(String.raw`^${name} gets (\d{1,7}(?:\.\d+)?)%$`),
    read: ([, subject = "", percent = ""], text) => ({
      text,
      kind: "cpu",
      subject,
      percent: Number(percent),
    }),
  },
  {
    shape: new RegExp(
      `^${name} (pending|created|starting|running|stopping|stopped|suspended|fenced|backoff|exited|failed|lost)$`,
    ),
    read: ([, subject = "", state = ""], text) => ({ text, kind: "state", subject, state }),
  },
];

const expected =
  'a sentence such as "web on a1", "web not on a1", "web running", "web gone", "web gets 150%", "running 5", ' +
  '"no recovery", "host a1 lost" or "drain a1 done"';

/** A sentence as an expectation; a finding when it is none. */
export function expectationOf(text: string, path: Path, findings: Finding[]): Expectation | undefined {
  const plain = text.trim().replaceAll(/ +/g, " ");
  for (const { shape, read } of forms) {
    const found = shape.exec(plain);
    if (found !== null) return read(found, plain);
  }
  findings.push({ path, message: `expected ${expected}, not ${JSON.stringify(plain.slice(0, 60))}` });
  return undefined;
}
