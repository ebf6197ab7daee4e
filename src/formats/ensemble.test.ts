import assert from "node:assert/strict";
import { test } from "node:test";
import { parseEnsemble, parseEnsembleDocument } from "#formats/ensemble.ts";
import { formatProblem } from "#formats/problem.ts";
import type { Ensemble } from "#model/ensemble.ts";

function ensemble(text: string): Ensemble {
  const parsed = parseEnsemble(text, { file: "e.yaml" });
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.problems.map(formatProblem).join("\n"));
  return parsed.value;
}

function problems(text: string, file = "e.yaml"): string[] {
  const parsed = parseEnsemble(text, { file });
  return parsed.ok ? [] : parsed.problems.map(formatProblem);
}

/** The only problem of an ensemble with two appliances and `rest`. */
function problemWith(rest: string): string {
  const found = problems(`ensemble: shop\nappliances: {web: {command: a}, db: {command: b}}\n${rest}\n`);
  assert.equal(found.length, 1, found.join("\n"));
  return found[0] ?? "";
}

test("the shortest ensemble has every default", () => {
  assert.deepEqual(ensemble("ensemble: shop\nappliances: {web: {command: sleep infinity}}"), {
    name: "shop",
    appliances: [
      {
        name: "web",
        kind: "task",
        replicas: 1,
        command: ["sleep", "infinity"],
        env: {},
        files: [],
        networks: ["lan"],
        restart: { when: "always", backoffMsMin: 500, backoffMsMax: 30_000 },
        onHostLoss: "elsewhere",
        priority: 5,
        placement: { labels: {} },
        stopGraceMs: 5_000,
      },
    ],
    networks: [{ name: "lan" }],
    links: [],
    placement: [],
  });
});

test("people's units, modes and texts arrive as written", () => {
  const [web] = ensemble(`
ensemble: shop
appliances:
  web:
    command: nginx -g 'daemon off;'
    cpu: 16ms/40ms
    memory: 64MiB
    env: {VERSION: 1.10, DEBUG: TRUE, PORT: 8080}
    files: {/a: {content: x, mode: 0600}, /b: {content: y, mode: 0o755}, /c: {content: z, mode: 640}}
    restart: {when: on-failure, backoff: 2m}
`).appliances;
  assert.deepEqual(web?.command, ["nginx", "-g", "daemon off;"]);
  assert.deepEqual(web.cpu, { kind: "reservation", periodUs: 40_000, executionUs: 16_000 });
  assert.equal(web.memoryBytes, 64 * 2 ** 20);
  assert.deepEqual(web.env, { VERSION: "1.10", DEBUG: "TRUE", PORT: "8080" });
  assert.deepEqual(
    web.files.map((file) => file.mode),
    [0o600, 0o755, 0o640],
  );
  assert.deepEqual(web.restart, { when: "on-failure", backoffMsMin: 120_000, backoffMsMax: 120_000 });
});

test("cpu may have a limit above its share", () => {
  const [web] = ensemble(
    "ensemble: s\nappliances: {web: {command: a, cpu: {share: 50%, limit: 1.5}}}",
  ).appliances;
  assert.deepEqual(web?.cpu, { kind: "share", shareMilli: 500, limitMilli: 1500 });
});

test("between links every two", () => {
  const { links } = ensemble(
    "ensemble: s\nappliances: {a: {command: x}, b: {command: x}, c: {command: x}}\nlinks: [{between: [a, b, c]}]",
  );
  assert.deepEqual(
    links.map((link) => `${link.from}-${link.to}`),
    ["a-b", "a-c", "b-c"],
  );
});

test("a vm is read: whether a host can run it is not the format's matter", () => {
  const [vm] = ensemble("ensemble: s\nappliances: {v: {kind: vm}}").appliances;
  assert.equal(vm?.kind, "vm");
});

test("x- keys hold anchors, and merges keep what is given", () => {
  const text =
    "ensemble: s\nx-b: &b {cpu: 50%, command: a}\nappliances:\n  w: {<<: *b, command: c}\n  v: {<<: *b}";
  assert.deepEqual(
    ensemble(text).appliances.map((spec) => [spec.name, spec.command, spec.cpu?.kind]),
    [
      ["w", ["c"], "share"],
      ["v", ["a"], "share"],
    ],
  );
});

test("a link to an unknown appliance says where, what, and the nearest name", () => {
  const expected = 'e.yaml:3:20 links[0].to: no appliance "dv"; did you mean "db"?';
  assert.equal(problemWith("links: [{from: web, to: dv}]").replace(/:3:\d+/, ":3:20"), expected);
  assert.match(
    problemWith("links:\n  - from: web\n    to: dbb"),
    /^e\.yaml:5:9 links\[0\]\.to: no appliance "dbb"; did you mean "db"\?$/,
  );
});

test("words of other tools are understood well enough to suggest ours", () => {
  const text =
    "ensemble: s\nservices: {}\nappliances:\n  web:\n    command: a\n    environment: {A: b}\n    comand: x";
  assert.deepEqual(problems(text), [
    'e.yaml:2:1 services: "services" is not known here; did you mean "appliances"?',
    'e.yaml:6:5 appliances.web.environment: "environment" is not known here; did you mean "env"?',
    'e.yaml:7:5 appliances.web.comand: "comand" is not known here; did you mean "command"?',
  ]);
});

const refusals: readonly (readonly [string, string, RegExp])[] = [
  [
    "a number without unit",
    "links: [{between: [web, db], bandwidth: 600}]",
    /expected a bandwidth .* not 600; write 600Mbit\/s$/,
  ],
  [
    "a ceiling below the bandwidth",
    "links: [{between: [web, db], bandwidth: 2Mbit/s, ceiling: 1Mbit/s}]",
    /links\[0\]\.ceiling: the ceiling is below/,
  ],
  [
    "a link given twice",
    "links: [{between: [web, db]}, {from: db, to: web}]",
    /links\[1\]: links\[0\] already links db and web over lan/,
  ],
  ["a link to itself", "links: [{between: [web, web]}]", /cannot be linked to itself/],
  ["a link with one end", "links: [{from: web}]", /a link needs both its ends; write between: \[a, b\]/],
  [
    "an unknown network of a link",
    "links: [{between: [web, db], network: wan}]",
    /not both on network "wan"; both are on lan/,
  ],
  ["a rule of both kinds", "placement: [{together: [web], apart: [db]}]", /either together or apart/],
  [
    "a contradiction",
    "placement: [{together: [web, db]}, {apart: [web, db]}]",
    /placement\[1\]\.apart: "web" and "db" are to be apart \(host\), but other rules keep them together/,
  ],
  [
    "one host but two sites",
    "placement: [{together: [web, db]}, {apart: [web, db], scope: site}]",
    /apart \(site\), but other rules/,
  ],
  [
    "an address for a subnet",
    "networks: {lan: {subnet: 10.1.0.5/24}}",
    /not a subnet; write 10\.1\.0\.0\/24$/,
  ],
  ["a reserved subnet", "networks: {lan: {subnet: 127.0.0.0/8}}", /reserved \(loopback\)/],
  [
    "an unknown scope",
    "placement: [{apart: [web], scope: hots}]",
    /one of host, site, not "hots"; did you mean "host"\?/,
  ],
];

for (const [what, rest, expected] of refusals) {
  test(`${what} is refused`, () => assert.match(problemWith(rest), expected));
}

test("subnets that overlap are refused", () => {
  const text =
    "ensemble: s\nappliances: {a: {command: x, networks: [n, m]}}\n" +
    "networks: {n: {subnet: 10.1.0.0/16}, m: {subnet: 10.1.2.0/24}}";
  assert.match(
    problems(text).join(),
    /networks\.m\.subnet: 10\.1\.2\.0\/24 overlaps the subnet of network "n"/,
  );
});

test("requirements that no host meets for all that stay together are refused", () => {
  const text =
    "ensemble: s\nappliances: {a: {command: x, hosts: [h1]}, b: {command: x, hosts: [h2]}}\n" +
    "placement: [{together: [a, b]}]";
  assert.match(problems(text).join(), /no host is allowed for all of a, b/);
});

test("too many appliances are refused", () => {
  const text = "ensemble: s\nappliances: {a: {command: x, replicas: 9000}, b: {command: x, replicas: 9000}}";
  assert.match(problems(text).join(), /18000 appliances with their replicas, at most 10000/);
});

test("JSON must be JSON, whatever YAML would allow", () => {
  assert.match(problems("{ensemble: s}", "e.json").join(), /^e\.json:1:2: this is YAML but not JSON/);
  assert.match(
    problems('{"ensemble": "s",\n "ensemble": "t"}', "e.json").join(),
    /^e\.json:2:2: "ensemble" is already given on line 1/,
  );
});

test("a document from the API has problems without lines", () => {
  const parsed = parseEnsembleDocument({ ensemble: "s", appliances: { web: { comand: "x" } } }, "request");
  assert.ok(!parsed.ok);
  assert.match(
    formatProblem(parsed.problems[0] ?? assert.fail()),
    /^request appliances\.web\.comand: "comand" is not known/,
  );
});
