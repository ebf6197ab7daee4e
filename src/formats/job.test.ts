import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { jobDocument } from "#formats/job-document.ts";
import { jobs } from "#formats/job.arbitrary.ts";
import { formatJobYaml, parseJob, parseJobDocument } from "#formats/job.ts";
import { formatProblem } from "#formats/problem.ts";
import { parseStagingAddress } from "#formats/staging-address.ts";

const problemsOf = (text: string, file = "job.yaml"): string[] => {
  const parsed = parseJob(text, { file });
  return parsed.ok ? [] : parsed.problems.map(formatProblem);
};

test("a job written as YAML or JSON reads back as the same job", () => {
  fc.assert(
    fc.property(jobs, (job) => {
      const yaml = parseJob(formatJobYaml(job), { file: "job.yaml" });
      assert.deepEqual(yaml.ok ? yaml.value : yaml.problems, job);
      const sent = parseJobDocument(JSON.parse(JSON.stringify(jobDocument(job))), "request");
      assert.deepEqual(sent.ok ? sent.value : sent.problems, job);
    }),
    { numRuns: 200 },
  );
});

test("the example of the reference is read", () => {
  const parsed = parseJob(
    [
      "job: render",
      "appliance: shop/worker-1",
      "command: ./render --scene 12",
      "stageIn:",
      "  - {from: 'sftp://store.example/scene.tar', to: scene.tar, credentials: store}",
      "stageOut:",
      "  - {from: frame.png, to: 's3://s3.example/frames/12.png', always: true}",
      "retry: {attempts: 3, backoff: 5s}",
      "timeLimit: 10m",
    ].join("\n"),
    { file: "job.yaml" },
  );
  assert.ok(parsed.ok, JSON.stringify(parsed));
  const { command, retry, timeLimitMs, runsIn } = parsed.value;
  assert.deepEqual(command, ["./render", "--scene", "12"]);
  assert.deepEqual(retry, { attemptsMax: 3, backoffMsMin: 5000, backoffMsMax: 60_000 });
  assert.deepEqual([timeLimitMs, runsIn], [600_000, { kind: "appliance", appliance: "shop/worker-1" }]);
});

test("a machine of its own is checked as an appliance of an ensemble is, at its place", () => {
  assert.deepEqual(problemsOf("job: a\ncommand: b\nmachine:\n  memory: much\n  cpu: 10%\n"), [
    'job.yaml:4:11 machine.memory: expected a size such as 512MiB or 1GB, not "much"',
  ]);
  const both = "job: a\ncommand: b\nappliance: shop/web\nmachine: {}\n";
  assert.match(problemsOf(both).join("\n"), /4:1 machine: .* both are given; leave one/);
  assert.match(problemsOf("job: a\ncommand: b\n").join("\n"), /where it runs is not said; write appliance:/);
});

test("where a job runs can be said beside its file", () => {
  const parsed = parseJob("job: a\ncommand: b\nmachine: {memory: 64MiB}\n", {
    file: "job.yaml",
    appliance: "shop/web",
  });
  assert.deepEqual(parsed.ok && parsed.value.runsIn, { kind: "appliance", appliance: "shop/web" });
});

test("ways up and passwords are refused at their place, with a remedy", () => {
  const staged = (entry: string): string => `job: a\nappliance: a/b\ncommand: c\nstageIn:\n  - ${entry}\n`;
  const cases = [
    ["{from: 'sftp://h/a', to: ../b}", /5:\d+ stageIn\[0\].to: expected a path inside the appliance/],
    ["{from: 'sftp://h/a', to: /a/../b}", /expected a path inside the appliance/],
    ["{from: 'sftp://h/a', to: a/./b}", /expected a path inside/],
    ["{from: 'file:///srv/../etc/shadow', to: b}", /whose path has no \. or \.\./],
    ["{from: 'file:///srv/%2e%2e/etc/shadow', to: b}", /whose path has no \. or \.\./],
    ["{from: 'file:///srv/%2E./etc/shadow', to: b}", /whose path has no \. or \.\./],
    ["{from: 'file:///srv/a%2f..%2fetc', to: b}", /whose path has no \. or \.\./],
    ["{from: 'file:///srv/a%00b', to: b}", /nor escapes that hide something/],
    ["{from: 'file://other/srv/a', to: b}", /without a host/],
    ["{from: 'sftp://me:secret@h/a', to: b}", /without a password.*; put it in a secret/],
    ["{from: 'gopher://h/a', to: b}", /expected a URL of file, sftp, /],
    ["{from: /srv/a, to: b}", /write file:\/\/\/srv\/a/],
    ["{from: 'sftp://h/a', to: b, credential: x}", /did you mean "credentials"\?/],
  ] as const;
  for (const [entry, wanted] of cases) assert.match(problemsOf(staged(entry)).join("\n"), wanted, entry);
  const out = "job: a\nappliance: a/b\ncommand: c\nstageOut:\n  - {from: a, to: 'http://h/a'}\n";
  assert.match(
    problemsOf(out).join("\n"),
    /5:\d+ stageOut\[0\].to: files are not taken away by http; write file/,
  );
});

test("no address is let pass whose path goes up, however it is escaped", () => {
  const part = fc.constantFrom("..", "%2e%2e", ".%2e", "%2E.", "a", "%2f", "%5c", "\\", "..;", "%252e");
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
      const url = `file:///srv/${parts.join("/")}`;
      if (!parseStagingAddress(url).ok) return;
      const path = decodeURIComponent(new URL(url).pathname);
      assert.ok(path.startsWith("/srv/") && !path.split(/[/\\]/).includes(".."), path);
    }),
  );
});

test("any JSON value sent as a job is read or refused in words", () => {
  const keys = fc.constantFrom("job", "machine", "command", "stageIn", "from", "to", "retry", "cpu", "env");
  const shaped = fc.dictionary(
    keys,
    fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.dictionary(keys, fc.jsonValue())),
  );
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), shaped), (value) => {
      const parsed = parseJobDocument(value, "request");
      for (const problem of parsed.ok ? [] : parsed.problems) {
        const line = formatProblem(problem);
        assert.doesNotMatch(line, /\p{Cc}|\.ts:\d|undefined|\[object|Invalid input/u, line);
      }
    }),
    { numRuns: 400 },
  );
});
