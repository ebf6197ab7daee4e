import * as z from "zod";
import { hostId } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { durationSchema, nameSchema, quantity, wholeNumber } from "#formats/fields.ts";
import { parseJump } from "#formats/scenario-units.ts";
import type { Finding, Path } from "#formats/problem.ts";
import { parseDuration } from "#formats/units.ts";

/**
 * Faults as a scenario's steps write them. What they mean is said with the simulator's own list of faults; every kind
 * of it has a word here.
 */
const processExpected = "a process: cluster/1 or host/NAME";
const processSchema = z
  .string({ error: processExpected })
  .regex(/^(?:cluster\/\d{1,3}|host\/[a-z][a-z0-9-]*)$/, { error: processExpected });
const endExpected = 'a process such as host/a1 or cluster/1, or "*" for all';
const endSchema = z
  .string({ error: endExpected })
  .regex(/^(?:\*|cluster\/\d{1,3}|host\/[a-z][a-z0-9-]*)$/, { error: endExpected });
const placeSchema = nameSchema.describe("A host, or store.");
const shareExpected = "a share from 0 to 1";
const shareSchema = z
  .number({ error: shareExpected })
  .min(0, { error: shareExpected })
  .max(1, { error: shareExpected });

export const faultFields = {
  crash: processSchema.optional().describe("This process dies and comes back."),
  crashAtCall: z
    .strictObject(
      {
        process: processSchema,
        call: wholeNumber(1, 1_000_000),
        effect: z.enum(["none", "done"]).optional().describe("Of that call; none unless told."),
      },
      { error: "a map such as {process: cluster/1, call: 12}" },
    )
    .optional()
    .describe("It dies at its n-th call of the outside world from then on."),
  pause: processSchema.optional().describe("It stands still, and goes on believing what it believed."),
  powerLoss: nameSchema.optional().describe("This host and all that runs on it."),
  cut: z
    .strictObject(
      { from: endSchema, to: endSchema },
      { error: "a map such as {from: host/a1, to: cluster/1}" },
    )
    .optional()
    .describe("Nothing gets through in this direction."),
  partition: nameSchema.optional().describe("This host hears nobody, and nobody hears it."),
  noise: z
    .strictObject(
      { lost: shareSchema.optional(), doubled: shareSchema.optional(), delay: durationSchema.optional() },
      { error: "a map such as {lost: 0.1, doubled: 0.1, delay: 200ms}" },
    )
    .optional(),
  slowDisk: placeSchema.optional(),
  fullDisk: placeSchema.optional(),
  storeDown: z.literal(true, { error: "true" }).optional(),
  clockSkew: z
    .strictObject(
      {
        place: placeSchema,
        jump: quantity(parseJump, ["5s", "-5s"], "a duration").optional(),
        driftPpm: z.number({ error: "a number" }).min(-1e5).max(1e5).optional(),
      },
      { error: "a map such as {place: a1, jump: 5s, driftPpm: 200}" },
    )
    .optional(),
  for: durationSchema
    .optional()
    .describe("How long a fault lasts, or what died stays down; 10s unless told."),
  delay: durationSchema.optional().describe("With slowDisk: of each write; 1s unless told."),
};

const faultsDocument = z.strictObject(faultFields);
export type FaultFields = z.input<typeof faultsDocument>;

/** The simulator's faults, as far as a file can ask for them. Times in virtual ms from the beginning. */
export type ScenarioFault = { readonly atMs: Millis } & (
  | { readonly kind: "crash"; readonly process: string; readonly downForMs: Millis }
  | {
      readonly kind: "crash-at-call";
      readonly process: string;
      readonly call: number;
      readonly effect: "none" | "done";
      readonly downForMs: Millis;
    }
  | { readonly kind: "pause"; readonly process: string; readonly forMs: Millis }
  | { readonly kind: "power-loss"; readonly host: HostId; readonly downForMs: Millis }
  | { readonly kind: "cut"; readonly from: string; readonly to: string; readonly forMs: Millis }
  | {
      readonly kind: "noise";
      readonly forMs: Millis;
      readonly lost: number;
      readonly doubled: number;
      readonly delayMsMax: Millis;
    }
  | { readonly kind: "slow-disk"; readonly place: string; readonly delayMs: Millis; readonly forMs: Millis }
  | { readonly kind: "full-disk"; readonly place: string; readonly forMs: Millis }
  | { readonly kind: "store-down"; readonly forMs: Millis }
  | {
      readonly kind: "clock-skew";
      readonly place: string;
      readonly jumpMs: Millis;
      readonly driftPpm: number;
      readonly forMs: Millis;
    }
);

export const faultWords = [
  "crash",
  "crashAtCall",
  "pause",
  "powerLoss",
  "cut",
  "partition",
  "noise",
  "slowDisk",
  "fullDisk",
  "storeDown",
  "clockSkew",
] as const satisfies readonly (keyof FaultFields)[];
type FaultWord = (typeof faultWords)[number];

const unlessToldMs = millis(10_000);
const slowUnlessToldMs = millis(1000);

type StepTime = { readonly atMs: Millis; readonly forMs: Millis; readonly delayMs: Millis };
type Builder<Given> = (given: Given, time: StepTime) => readonly ScenarioFault[];
type Builders = { readonly [Word in FaultWord]: Builder<NonNullable<FaultFields[Word]>> };

const builders: Builders = {
  crash: (process, { atMs, forMs }) => [{ kind: "crash", atMs, process, downForMs: forMs }],
  crashAtCall: ({ process, call, effect = "none" }, { atMs, forMs }) => [
    { kind: "crash-at-call", atMs, process, call, effect, downForMs: forMs },
  ],
  pause: (process, { atMs, forMs }) => [{ kind: "pause", atMs, process, forMs }],
  powerLoss: (host, { atMs, forMs }) => [{ kind: "power-loss", atMs, host: hostId(host), downForMs: forMs }],
  cut: ({ from, to }, { atMs, forMs }) => [{ kind: "cut", atMs, from, to, forMs }],
  partition: (host, { atMs, forMs }) => [
    { kind: "cut", atMs, from: `host/${host}`, to: "*", forMs },
    { kind: "cut", atMs, from: "*", to: `host/${host}`, forMs },
  ],
  noise: ({ lost = 0, doubled = 0, delay }, { atMs, forMs }) => [
    { kind: "noise", atMs, forMs, lost, doubled, delayMsMax: durationMs(delay, millis(0)) },
  ],
  slowDisk: (place, { atMs, forMs, delayMs }) => [{ kind: "slow-disk", atMs, place, delayMs, forMs }],
  fullDisk: (place, { atMs, forMs }) => [{ kind: "full-disk", atMs, place, forMs }],
  storeDown: (_, { atMs, forMs }) => [{ kind: "store-down", atMs, forMs }],
  clockSkew: ({ place, jump, driftPpm = 0 }, { atMs, forMs }) => {
    const parsed = jump === undefined ? undefined : parseJump(String(jump));
    const jumpMs = parsed?.ok === true ? parsed.value : millis(0);
    return [{ kind: "clock-skew", atMs, place, jumpMs, driftPpm, forMs }];
  },
};

/** The faults a step's words ask for; findings tell what does not go together. */
export function faultsOf(
  step: FaultFields,
  atMs: Millis,
  path: Path,
  findings: Finding[],
): readonly ScenarioFault[] {
  const time = {
    atMs,
    forMs: durationMs(step.for, unlessToldMs),
    delayMs: durationMs(step.delay, slowUnlessToldMs),
  };
  const faults = faultWords.flatMap((word) => build(word, step, time));
  if (step.for !== undefined && faults.length === 0)
    findings.push({
      path: [...path, "for"],
      message: "for belongs to a fault, and this step has none",
      atKey: true,
    });
  if (step.delay !== undefined && step.slowDisk === undefined)
    findings.push({ path: [...path, "delay"], message: "delay belongs to slowDisk", atKey: true });
  return faults;
}

function build(word: FaultWord, step: FaultFields, time: StepTime): readonly ScenarioFault[] {
  const given = step[word];
  // The table's type ties each word to what it takes; a union of words loses that.
  return given === undefined ? [] : (builders[word] as Builder<unknown>)(given, time);
}

/** The schema has refused what does not parse. */
function durationMs(text: string | number | undefined, unlessTold: Millis): Millis {
  const parsed = text === undefined ? undefined : parseDuration(String(text));
  return parsed?.ok === true ? parsed.value : unlessTold;
}
