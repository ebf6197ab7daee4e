import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseEnsemble } from "#formats/ensemble.ts";
import { formatProblem } from "#formats/problem.ts";
import type { ApplianceSpec } from "#model/ensemble.ts";

const file = "e.yaml";
const text = (own: string): string => `ensemble: s\nappliances:\n  v:\n    ${own.replaceAll("\n", "\n    ")}`;

function vm(own: string): ApplianceSpec {
  const parsed = parseEnsemble(text(`kind: vm\n${own}`), { file });
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.problems.map(formatProblem).join("\n"));
  return parsed.value.appliances[0]!;
}

function problems(own: string): string[] {
  const parsed = parseEnsemble(text(own), { file });
  assert.ok(!parsed.ok, "accepted");
  return parsed.problems.map(formatProblem);
}

const mebi = 2 ** 20;

describe("a declared vm", () => {
  it("needs nothing but its kind, and is the tiny guest then", () => {
    const spec = vm("");
    assert.deepEqual([spec.image, spec.memoryBytes, spec.command], ["tiny", 128 * mebi, []]);
    assert.deepEqual(spec.vm, {
      machine: "auto",
      accel: "auto",
      vcpus: 1,
      vcpusMax: 1,
      memoryBytesMax: 128 * mebi,
      software: [],
      sshKeys: [],
      start: "auto",
    });
  });

  it("has more memory with a whole system as its image", () => {
    assert.equal(vm("image: debian").memoryBytes, 512 * mebi);
    assert.equal(vm("image: debian\nmemory: 96MiB").memoryBytes, 96 * mebi);
  });

  it("has as many processors as its CPU time needs, unless told", () => {
    const vcpus = (own: string): unknown => vm(own).vm?.vcpus;
    assert.deepEqual(
      ["cpu: 250%", "cpu: {share: 10%, limit: 1.5}", "cpu: 60ms/40ms", "cpu: 40ms/40ms"].map(vcpus),
      [3, 2, 2, 1],
    );
    assert.deepEqual(vm("cpu: 250%\nvm: {vcpus: 1, vcpusMax: 4}").vm?.vcpusMax, 4);
  });

  it("says what it has in people's units", () => {
    const spec = vm(`
vm:
  memoryMax: 1GiB
  software: [postgres, python-3.11]
  home: 2GiB
  swap: 64MiB
  sshKeys: [ssh-ed25519 AAAAC3Nz me@home]
  disk: {read: 10MiB/s, write: 5MB/s, reads: 100, writes: 50}
  checkpoint: {every: 1m, store: s3://backups/shop}`).vm;
    assert.deepEqual(
      [spec?.memoryBytesMax, spec?.homeBytes, spec?.swapBytes],
      [1024 * mebi, 2048 * mebi, 64 * mebi],
    );
    assert.deepEqual(spec?.software, ["postgres", "python-3.11"]);
    assert.deepEqual(spec?.disk, {
      readBytesPerSecond: 10 * mebi,
      writeBytesPerSecond: 5e6,
      readsPerSecond: 100,
      writesPerSecond: 50,
    });
    assert.deepEqual(spec?.checkpoint, {
      everyMs: 60_000,
      copies: 1,
      store: "s3://backups/shop",
      keep: 2,
    });
    assert.deepEqual(vm("vm: {checkpoint: 30s}").vm?.checkpoint, { everyMs: 30_000, copies: 1, keep: 2 });
  });
});

const refusals: readonly (readonly [string, string, RegExp])[] = [
  [
    "a vm's words on a task",
    "command: a\nvm: {vcpus: 2}",
    /^e\.yaml:5:5 appliances\.v\.vm: only a vm has these; write kind: vm, or leave vm out$/,
  ],
  [
    "a name as a task's root",
    "command: a\nimage: debian",
    /:5:12 .*"debian" is the name of an image; a task's root is given by its URL; write kind: vm, or/,
  ],
  [
    "a directory as a vm's disk",
    "kind: vm\nimage: dir:///srv",
    /a vm boots from a disk, not from a directory; /,
  ],
  [
    "a scheme nobody fetches by",
    "kind: vm\nimage: git://a/b",
    /a vm's image cannot be fetched by git; write/,
  ],
  [
    "no image's name at all",
    "kind: vm\nimage: Debian!",
    /expected a task's root by URL .* or a vm's image by name/,
  ],
  ["teams of a vm", "kind: vm\nteams: {a: {command: b}}", /a vm has no teams; write kind: task/],
  [
    "deadline for threads together",
    "kind: vm\ncpu: 10ms/40ms\nenforcement: deadline",
    /:6:18 .*for all its threads together, which deadline cannot do; write enforcement: bandwidth or/,
  ],
  ["too little memory", "kind: vm\nmemory: 16MiB", /16MiB of memory, no guest boots in less than 32MiB/],
  [
    "less memory at most than at first",
    "kind: vm\nvm: {memoryMax: 64MiB}",
    /memoryMax is 64MiB, below its memory of 128MiB/,
  ],
  [
    "fewer processors at most than at first",
    "kind: vm\nvm: {vcpus: 2, vcpusMax: 1}",
    /vcpusMax is 1, below its 2/,
  ],
  [
    "more memory for a microvm",
    "kind: vm\nvm: {machine: microvm, memoryMax: 1GiB}",
    /a microvm gets no more memory while it runs; write machine: q35 or auto, or leave memoryMax out/,
  ],
  [
    "more processors for a microvm",
    "kind: vm\nvm: {machine: microvm, vcpusMax: 2}",
    /a microvm gets no more processors while it runs; write machine: q35 or auto, or leave vcpusMax out/,
  ],
  ["the same software twice", "kind: vm\nvm: {software: [a, a]}", /software\[1\]: "a" is listed twice/],
  ["a home too small", "kind: vm\nvm: {home: 1kB}", /vm\.home: a disk of 1000B, at least 1MiB is needed/],
  [
    "a private key",
    "kind: vm\nvm: {sshKeys: ['-----BEGIN']}",
    /expected a public key as in .*id_ed25519\.pub/,
  ],
  ["a key of two lines", 'kind: vm\nvm: {sshKeys: ["ssh-rsa AAAA\\nssh-rsa BBBB"]}', /expected a public key/],
  [
    "a rate without its time",
    "kind: vm\nvm: {disk: {read: 10MiB}}",
    /bytes per second .* not "10MiB"; write 10MiB\/s/,
  ],
  [
    "checkpoints without pause",
    "kind: vm\nvm: {checkpoint: 10ms}",
    /vm\.checkpoint: more often than every 1s/,
  ],
  [
    "a store that is none",
    "kind: vm\nvm: {checkpoint: {every: 1m, store: /tmp}}",
    /expected an S3 bucket such as s3:/,
  ],
  ["words of other tools", "kind: vm\nvm: {smp: 2}", /"smp" is not known here; did you mean "vcpus"\?/],
  ["a word almost right", "kind: vm\nvm: {acel: kvm}", /"acel" is not known here; did you mean "accel"\?/],
];

for (const [name, own, expected] of refusals) {
  it(`${name}: refused with place and remedy`, () => assert.match(problems(own)[0] ?? "", expected));
}

it("memory that is adjusted stays within what its guest can have without a restart", () => {
  const adjusted = (memory: string): string[] => {
    const source = `${text("kind: vm\nvm: {memoryMax: 1GiB}")}\nadjustments: {v: {memory: ${memory}}}`;
    const parsed = parseEnsemble(source, { file });
    return parsed.ok ? [] : parsed.problems.map(formatProblem);
  };
  assert.deepEqual(adjusted("1GiB"), []);
  assert.match(adjusted("2GiB")[0] ?? "", /at most 1GiB without a restart; declare vm: \{memoryMax: 2GiB\}/);
  assert.match(adjusted("8MiB")[0] ?? "", /no guest runs in less than 32MiB/);
});
