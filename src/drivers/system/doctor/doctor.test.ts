import assert from "node:assert/strict";
import { test } from "node:test";
import { ConsortError } from "#base/errors.ts";
import { bytes } from "#base/units.ts";
import { capabilities } from "./capabilities.ts";
import { controllers, controllerCapability, placeOf, versionFinding } from "./cgroup-probes.ts";
import { enforcementFinding } from "./enforcement-probe.ts";
import { formatDoctor } from "./format.ts";
import { kvmFinding } from "./kvm-probe.ts";
import {
  availableMemory,
  clockFinding,
  diskFinding,
  nodeFinding,
  pidMaxFinding,
  tunnelFinding,
} from "./machine.ts";
import { findingOf, judge, summarise } from "./report.ts";
import { toolFinding, tools, toolVersion } from "./tools.ts";

const missing = { status: "missing", found: "not there" } as const;
const ok = { status: "ok", found: "works" } as const;

test("a remedy is told only where something is wanting", () => {
  assert.equal(judge(capabilities.htb, ok).remedy, undefined);
  assert.match(judge(capabilities.htb, missing).remedy ?? "", /modprobe sch_htb/);
});

test("the exit code is 1 exactly when something required is missing", () => {
  const optional = summarise({ items: [judge(capabilities.kvm, missing), judge(capabilities.htb, ok)] });
  assert.deepEqual([optional.exitCode, optional.ok, optional.missing], [0, 1, 1]);
  const limited = summarise({ items: [judge(capabilities.memory, { status: "limited", found: "little" })] });
  assert.deepEqual([limited.exitCode, limited.limited], [0, 1]);
  const required = summarise({ items: [judge(capabilities.htb, missing)] });
  assert.equal(required.exitCode, 1);
  assert.deepEqual(
    required.blocking.map((item) => item.id),
    ["htb"],
  );
});

test("the table shows every item, each remedy, and the verdict last", () => {
  const text = formatDoctor({ items: [judge(capabilities.htb, missing), judge(capabilities.veth, ok)] });
  assert.match(text, /^missing {2}HTB shaping {2}not there$/m);
  assert.match(text, /^ok {7}veth links {3}works$/m);
  assert.match(text, /HTB shaping: missing; needed for bandwidth of links\.\n {4}modprobe sch_htb/);
  assert.match(text, /cannot run Consort yet \(1 ok, 0 limited, 1 missing\); first: HTB shaping\.\n$/);
});

test("no answer in time is neither missing nor there: nobody is told that the machine cannot, nor how to mend it", () => {
  const late = findingOf(new ConsortError("timeout", "Cannot finish nft: still running after 10000 ms"));
  const report = { items: [judge(capabilities.nftBridge, late), judge(capabilities.veth, ok)] };
  assert.deepEqual([summarise(report).blocking, summarise(report).exitCode], [[], 0]);
  const text = formatDoctor(report);
  assert.match(text, /^unclear {2}/m);
  assert.match(text, /Try again when the machine is less busy/);
  assert.doesNotMatch(text, /modprobe|cannot run/);
  assert.match(text, /too busy to tell .*unclear: nft bridge family\.\n$/);
  assert.equal(findingOf(new Error("refused")).status, "missing");
  assert.equal(enforcementFinding("its dispatcher does not come up: is it busy?").status, "unclear");
});

test("every capability has an id of its own and says what to do", () => {
  const all = [...Object.values(capabilities), ...tools, ...controllers.map(controllerCapability)];
  assert.equal(new Set(all.map((each) => each.id)).size, all.length);
  for (const each of all) assert.ok(each.remedy.length > 0 && each.neededFor.length > 0, each.id);
});

test("numbers are judged against what Consort needs", () => {
  assert.equal(nodeFinding("v24.21.0").status, "ok");
  assert.equal(nodeFinding("v20.20.2").status, "missing");
  assert.equal(diskFinding(bytes(100), "/var").status, "missing");
  assert.equal(diskFinding(bytes(2 * 1024 ** 3), "/var").status, "limited");
  assert.equal(diskFinding(bytes(50 * 1024 ** 3), "/var").status, "ok");
  assert.equal(pidMaxFinding(32_768).status, "limited");
  assert.equal(pidMaxFinding(4_194_304).status, "ok");
  assert.equal(clockFinding("tsc").status, "ok");
  assert.equal(clockFinding("hpet").status, "limited");
  assert.equal(availableMemory("MemTotal: 9 kB\nMemAvailable:    2048 kB\n"), 2048 * 1024);
});

test("one of three ways to encrypt is enough, and user-space ones need tun", () => {
  const none = { kernelWireGuard: false, wg: false, wireguardGo: false, openvpn: false, tun: false };
  assert.equal(tunnelFinding(none).status, "missing");
  assert.equal(tunnelFinding({ ...none, kernelWireGuard: true, wg: true }).status, "ok");
  assert.equal(tunnelFinding({ ...none, wireguardGo: true, wg: true }).status, "missing");
  assert.equal(tunnelFinding({ ...none, wireguardGo: true, wg: true, tun: true }).status, "ok");
  assert.equal(tunnelFinding({ ...none, openvpn: true, tun: true }).status, "limited");
  assert.equal(tunnelFinding({ ...none, wg: true, isUnclear: true }).status, "unclear");
  assert.equal(tunnelFinding({ ...none, kernelWireGuard: true, wg: true, isUnclear: true }).status, "ok");
});

test("KVM counts as working only when a guest with firmware ran", () => {
  assert.equal(kvmFinding(false, "ran", "ran").status, "missing");
  assert.equal(kvmFinding(true, "hung", "absent").status, "missing");
  assert.equal(kvmFinding(true, { refused: "KVM refuses" }, "absent").found, "KVM refuses");
  assert.equal(kvmFinding(true, "ran", "absent").status, "limited");
  assert.equal(kvmFinding(true, "ran", "hung").status, "limited");
  assert.equal(kvmFinding(true, "ran", "ran").status, "ok");
});

test("a reservation is kept when the busy machine got about what it has reserved", () => {
  assert.equal(enforcementFinding("share 249 yes\n").status, "ok");
  assert.equal(enforcementFinding("share 60 yes").status, "limited");
  assert.equal(enforcementFinding("share 990 yes").status, "limited");
  assert.match(enforcementFinding("share 249 no").found, /got 24.9%; no real-time priority/);
  assert.deepEqual(enforcementFinding("Cannot write: no"), { status: "missing", found: "Cannot write: no" });
  assert.equal(enforcementFinding("").status, "missing");
});

test("versions are read from whatever tools print", () => {
  assert.equal(toolVersion("ip utility, iproute2-6.1.0, libbpf 1.1.2"), "6.1.0");
  assert.equal(toolVersion("nginx version: nginx/1.22.1"), "1.22.1");
  assert.equal(toolVersion("ping from iputils 20221126"), "installed");
  assert.equal(toolFinding(undefined).status, "missing");
});

test("controllers are found in version 1, in version 2, and where they need none", () => {
  const hybrid = { v1: { cpu: "/cg/cpu" }, v2: "/cg/unified", v2Controllers: [] };
  assert.deepEqual(placeOf(hybrid, "cpu"), [1, "/cg/cpu"]);
  assert.deepEqual(placeOf(hybrid, "freezer"), [2, "/cg/unified"]);
  assert.equal(placeOf(hybrid, "memory"), undefined);
  assert.equal(versionFinding(hybrid).found, "version 1 and 2 (cpu in 1)");
  assert.equal(versionFinding({ v1: {}, v2: "/cg", v2Controllers: ["cpu"] }).found, "version 2");
  assert.equal(versionFinding({ v1: {}, v2Controllers: [] }).status, "missing");
});
