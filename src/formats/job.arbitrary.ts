import fc from "fast-check";
import type { ApplianceId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import { given } from "#formats/quantities.ts";
import { parseJobDocument } from "#formats/job.ts";
import type { ApplianceSpec } from "#model/ensemble.ts";
import type { JobSpec, StageIn, StageOut } from "#model/job.ts";

const name = fc.stringMatching(/^[a-z]([a-z0-9-]{0,10}[a-z0-9])?$/);
const text = fc.string({ unit: "grapheme", maxLength: 12 }).filter((one) => !one.includes("\0"));
const path = fc
  .tuple(
    fc.constantFrom("", "/"),
    fc.array(fc.stringMatching(/^[A-Za-z0-9_ .-]*[A-Za-z0-9_-]$/), { minLength: 1, maxLength: 3 }),
  )
  .map(([root, parts]) => root + parts.join("/"));
const host = fc.constantFrom("store.example", "10.1.0.4:2222", "user@s3.example");
const readable = fc
  .tuple(
    fc.constantFrom("sftp", "ftp", "s3", "webhdfs", "http", "https"),
    host,
    fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/),
  )
  .map(([scheme, where, file]) => `${scheme}://${where}/${file}`);
const writable = readable.map((url) => url.replace(/^https?:/, "sftp:"));
const optional = <Key extends string, T>(
  key: Key,
  value: fc.Arbitrary<T>,
): fc.Arbitrary<{ [K in Key]?: T }> => fc.option(value).map((one) => given(key, one ?? undefined));

const stageIns: fc.Arbitrary<StageIn> = fc
  .tuple(
    fc.record({
      url: readable,
      path,
      ifThere: fc.constantFrom("overwrite" as const, "append" as const, "keep" as const),
    }),
    optional("deleteAfter", fc.constant(true as const)),
    optional("credentials", name),
  )
  .map(([one, ...more]) => Object.assign({}, one, ...more) as StageIn);

const stageOuts: fc.Arbitrary<StageOut> = fc
  .tuple(
    fc.record({ url: writable, path }),
    optional("always", fc.constant(true as const)),
    optional("deleteAfter", fc.constant(true as const)),
    optional("credentials", name),
  )
  .map(([one, ...more]) => Object.assign({}, one, ...more) as StageOut);

/** What a machine says, read as it would be: its own round trip is that of ensembles. */
const machines: fc.Arbitrary<ApplianceSpec> = fc
  .record(
    {
      cpu: fc.integer({ min: 1, max: 400 }).map((percent) => `${percent}%`),
      memory: fc.integer({ min: 64, max: 4096 }).map((size) => `${size}MiB`),
      hosts: fc.uniqueArray(name, { minLength: 1, maxLength: 3 }),
      kind: fc.constant("vm"),
    },
    { requiredKeys: [] },
  )
  .map((machine) => {
    const parsed = parseJobDocument({ job: "a", command: "b", machine }, "machine");
    if (!parsed.ok || parsed.value.runsIn.kind !== "machine") throw new TypeError(JSON.stringify(parsed));
    return parsed.value.runsIn.machine;
  });

const pauses = fc.tuple(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 0, max: 100_000 }));

/** Any job a file can declare. */
export const jobs: fc.Arbitrary<JobSpec> = fc
  .tuple(
    fc.record({
      name,
      runsIn: fc.oneof(
        fc.tuple(name, name).map(([ensemble, one]) => ({
          kind: "appliance" as const,
          appliance: `${ensemble}/${one}` as ApplianceId,
        })),
        machines.map((machine) => ({ kind: "machine" as const, machine })),
      ),
      command: fc
        .tuple(
          text.filter((word) => word !== ""),
          fc.array(text, { maxLength: 3 }),
        )
        .map(([program, rest]) => [program, ...rest]),
      env: fc.dictionary(fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,5}$/), text, {
        maxKeys: 3,
        noNullPrototype: true,
      }),
      stageIn: fc.array(stageIns, { maxLength: 3 }),
      stageOut: fc.array(stageOuts, { maxLength: 3 }),
      retry: fc.tuple(fc.integer({ min: 1, max: 100 }), pauses).map(([attemptsMax, [min, more]]) => ({
        attemptsMax,
        backoffMsMin: millis(min),
        backoffMsMax: millis(min + more),
      })),
    }),
    optional("description", fc.stringMatching(/^[a-z ]{1,20}$/)),
    optional(
      "directory",
      path.map((one) => (one.startsWith("/") ? one : `/${one}`)),
    ),
    optional("stdin", path),
    optional("stdout", path),
    optional("stderr", path),
    optional("timeLimitMs", fc.integer({ min: 1, max: 10 ** 8 }).map(millis)),
  )
  .map(([job, ...more]) => Object.assign({}, job, ...more) as JobSpec);
