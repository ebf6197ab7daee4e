import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { ipv4Address, macAddress } from "#base/ids.ts";
import { mebibytes } from "#base/units.ts";
import { contextDisk } from "./disk.ts";
import { contextLimits } from "./limits.ts";
import { guestContext } from "./content.ts";
import type { ContextInputs } from "./content.ts";
import { inputsOf } from "./context.fixture.ts";
import { identityFrom } from "./identity.ts";
import type { GuestIdentity } from "./identity.ts";
import { quoted } from "./steps.ts";

/** What `tar` unpacks: its steps, and by its path what it puts there. */
function unpacked(archive: Uint8Array): { readonly steps: string; readonly read: (path: string) => string } {
  const directory = mkdtempSync(join(tmpdir(), "consort-test-context-"));
  try {
    execFileSync("tar", ["-x", "-f", "-", "-C", directory], { input: archive });
    const steps = readFileSync(join(directory, "steps"), "utf8");
    const number = /^files '(\d+)' /m.exec(steps)?.[1] ?? "";
    const tree = join(directory, "tree");
    mkdirSync(tree);
    execFileSync("tar", ["-x", "-f", join(directory, number), "-C", tree]);
    const paths = execFileSync("find", [tree, "-type", "f"]).toString().trim().split("\n");
    const all = new Map(paths.map((path) => [path.slice(tree.length), readFileSync(path, "utf8")]));
    return { steps, read: (path) => all.get(path) ?? "" };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const stepsOf = (inputs: ContextInputs): string => unpacked(guestContext(inputs).archive).steps;

test("a context tells name, address, keys, mounts and command, in steps that a shell carries out", () => {
  const steps = stepsOf(
    inputsOf(
      { command: ["serve", "--port", "80"] },
      { hostname: "db", homeBytes: mebibytes(1), swapBytes: mebibytes(1), software: ["jdk-21"] },
    ),
  );
  for (const expected of [
    "instance 'i-1' ",
    "host 'db' ",
    "interface 'eth0' '02:00:00:00:00:05' '10.9.0.5/24' '1380' ",
    "filesystem 'software0' '/opt/jdk-21' 'squashfs' 'ro,nodev,nosuid' ",
    "filesystem 'home' '/home' 'ext4' 'rw,nodev,nosuid' ",
    "swap 'swap' ",
    "command_file 'command' ",
  ])
    assert.ok(steps.includes(expected), `${expected} in\n${steps}`);
  assert.ok(!steps.includes("clock"), "a guest that boots has a clock of its own");
});

test("the same inputs give the same bytes", () => {
  const disk = (): Uint8Array => contextDisk(guestContext(inputsOf()));
  assert.deepEqual(disk(), disk());
});

test("what lookups it is to make comes from the network's own name server", () => {
  const { read } = unpacked(guestContext(inputsOf({}, { hostname: "db" }, true)).archive);
  assert.equal(read("/etc/resolv.conf"), "search shop.consort\nnameserver 10.9.0.1\n");
  assert.equal(read("/etc/hosts"), "127.0.0.1 localhost\n10.9.0.5 db.shop.consort db\n");
});

test("a file is put at its path, however long that is", () => {
  const [short, long] = ["/srv/a b'c", `/srv/${"long/".repeat(30)}x`];
  const files = [short, long].map((path) => ({ path, content: "text", mode: 0o640 }));
  const { steps, read } = unpacked(guestContext(inputsOf({ files })).archive);
  assert.equal(read(short), "text");
  assert.match(steps, new RegExp(`^file '\\d+' '${long}' '640' `, "m"));
});

test("any word reaches a shell as it is", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme", maxLength: 40 }).filter((word) => !word.includes("\0")),
      (word) => {
        const out = execFileSync("sh", ["-c", `printf %s ${quoted(word)}`]).toString();
        assert.equal(out, word);
      },
    ),
    { numRuns: 25 },
  );
});

test("cloud-init gets the same in its own words", () => {
  const { cloudInit } = guestContext(
    inputsOf({ command: ["serve"], files: [{ path: "/etc/x", content: "1", mode: 0o600 }] }),
  );
  assert.deepEqual(JSON.parse(cloudInit.metaData), { "instance-id": "i-1", "local-hostname": "db" });
  assert.ok(cloudInit.userData.startsWith("#cloud-config\n"));
  const user = JSON.parse(cloudInit.userData.slice("#cloud-config\n".length));
  assert.equal(user.hostname, "db");
  assert.deepEqual(user.write_files[0], {
    path: "/etc/x",
    permissions: "0600",
    encoding: "b64",
    content: Buffer.from("1").toString("base64"),
  });
  const network = JSON.parse(cloudInit.networkConfig);
  assert.deepEqual(network.ethernets.eth0.match, { macaddress: "02:00:00:00:00:05" });
  assert.deepEqual(network.ethernets.eth0.addresses, ["10.9.0.5/24"]);
});

const file = (path: string, mode = 0o644): Partial<ContextInputs["plan"]> => ({
  files: [{ path, content: "", mode }],
});
const interfaceNamed = (name: string): Partial<ContextInputs["plan"]> => ({
  interfaces: [
    {
      name,
      network: inputsOf().plan.interfaces[0]?.network ?? assert.fail(),
      mac: macAddress("02:00:00:00:00:05"),
      address: ipv4Address("10.9.0.5"),
      prefixLength: 24,
    },
  ],
});
const tricks: readonly (readonly [what: string, inputs: () => ContextInputs, says: RegExp])[] = [
  ["a path that climbs", () => inputsOf(file("/etc/../../x")), /dotted parts/],
  ["a relative path", () => inputsOf(file("etc/x")), /is not absolute/],
  ["a path of two lines", () => inputsOf(file("/etc/x\ninstance 'other'")), /control character/],
  ["a path with a NUL", () => inputsOf(file("/etc/x\0y")), /control character/],
  ["a path that is a directory", () => inputsOf(file("/etc/")), /empty or dotted/],
  ["an endless path", () => inputsOf(file(`/${"x".repeat(5000)}`)), /too long/],
  ["a mode that is none", () => inputsOf(file("/etc/x", 0o100644)), /mode/],
  ["a host name of two words", () => inputsOf({}, { hostname: "db; reboot" }), /no host name/],
  ["a directory that climbs", () => inputsOf({ directory: "/srv/.." }), /directory/],
  ["a variable that is a command", () => inputsOf({ env: { "A;reboot;B": "1" } }), /no variable/],
  ["a command with a NUL", () => inputsOf({ command: ["a\0b"] }), /NUL/],
  ["an interface that is a path", () => inputsOf(interfaceNamed("../x")), /no interface/],
  [
    "a key of two lines",
    () => ({ ...inputsOf(), hostKeys: ["ssh-ed25519 AAAA\nssh-ed25519 BBBB"] }),
    /no public key/,
  ],
  [
    "a key with options",
    () => ({ ...inputsOf(), hostKeys: ['command="x" ssh-ed25519 AAAA'] }),
    /no public key/,
  ],
  [
    "two software images of one name",
    () => inputsOf({}, { hostname: "db", software: ["jdk", "http://mirror/jdk"] }),
    /two software images/,
  ],
];
for (const [what, inputs, says] of tricks)
  test(`${what} is refused`, () => {
    assert.throws(() => guestContext(inputs()), { code: "bad_input", message: says });
  });

test("more than the limit is refused", () => {
  const content = "x".repeat(contextLimits.contextBytesMax);
  const inputs = inputsOf({ files: [{ path: "/x", content, mode: 0o644 }] });
  assert.throws(() => guestContext(inputs), { code: "limit_exceeded" });
});

test("an image named by an address is mounted under its last part", () => {
  const steps = stepsOf(inputsOf({}, { hostname: "db", software: ["https://host/a/../my tools.img?x=/y"] }));
  assert.ok(steps.includes("'/opt/my-tools.img'"), steps);
});

const seed = "5a".repeat(32);

test("OpenSSH reads the keys that are made, and finds the public halves told of", () => {
  const directory = mkdtempSync(join(tmpdir(), "consort-test-key-"));
  try {
    const { sshHostKey, login } = identityFrom(seed);
    for (const [name, key] of Object.entries({ sshHostKey, login })) {
      const kept = join(directory, name);
      writeFileSync(kept, key?.openSsh ?? "", { mode: 0o600 });
      const told = execFileSync("ssh-keygen", ["-y", "-f", kept]).toString().trim();
      assert.equal(told, key?.publicKey);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("an identity is the same of the same seed, and shares nothing with that of another", () => {
  const one = identityFrom(seed);
  assert.deepEqual(identityFrom(seed), one);
  const other = identityFrom(seed.replace(/^5/, "4"));
  const parts = ({ instance, machineId, sshHostKey, login }: GuestIdentity): (string | undefined)[] => [
    instance,
    machineId,
    sshHostKey.openSsh,
    login?.openSsh,
  ];
  assert.equal(new Set([...parts(one), ...parts(other)]).size, 8);
  assert.match(one.machineId, /^[0-9a-f]{32}$/);
});
