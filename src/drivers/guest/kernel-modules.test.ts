import assert from "node:assert/strict";
import { test } from "node:test";
import { moduleName, moduleNeeds, modulesDep, withNeeded } from "./kernel-modules.ts";

const known = new Map(
  [
    { name: "virtio", path: "kernel/virtio.ko", needs: [] },
    { name: "virtio_ring", path: "kernel/virtio_ring.ko", needs: ["virtio"] },
    { name: "virtio_net", path: "kernel/virtio_net.ko", needs: ["virtio_ring", "virtio", "net_failover"] },
    { name: "net_failover", path: "kernel/net_failover.ko", needs: ["failover"] },
    { name: "failover", path: "kernel/failover.ko", needs: [] },
  ].map((each) => [each.name, each] as const),
);

test("a module tells what it needs in its .modinfo section", () => {
  const content = Buffer.from("\x7fELF....\0license=GPL\0depends=virtio_ring,virtio\0retpoline=Y\0");
  assert.deepEqual(moduleNeeds(content), ["virtio_ring", "virtio"]);
  assert.deepEqual(moduleNeeds(Buffer.from("\0depends=\0")), []);
});

test("a dash in a file's name is an underscore in the module's", () => {
  assert.equal(moduleName("kernel/drivers/char/hw_random/virtio-rng.ko"), "virtio_rng");
});

test("what is needed comes along, before what needs it, once", () => {
  const names = withNeeded(["virtio_net", "virtio_ring"], known).map(({ name }) => name);
  assert.deepEqual(names, ["virtio", "virtio_ring", "failover", "net_failover", "virtio_net"]);
});

test("what the kernel has built in or lacks is left out", () => {
  assert.deepEqual(withNeeded(["ext4"], known), []);
});

test("modprobe is told all that a module needs, directly or not", () => {
  const lines = modulesDep(withNeeded(["virtio_net"], known)).split("\n");
  const line = lines.find((each) => each.startsWith("kernel/virtio_net.ko:")) ?? "";
  assert.deepEqual(line.split(" ").slice(1).sort(), [
    "kernel/failover.ko",
    "kernel/net_failover.ko",
    "kernel/virtio.ko",
    "kernel/virtio_ring.ko",
  ]);
  assert.ok(lines.includes("kernel/virtio.ko:"));
});
