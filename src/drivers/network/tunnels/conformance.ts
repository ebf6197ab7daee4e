import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ipv4Address, siteName } from "#base/ids.ts";
import type { TunnelDriver } from "#drivers/network/port.ts";
import type { TunnelPlan } from "#protocol/host-plan.ts";

export type TunnelsUnderTest = {
  /** A driver on the gateway under test; again after close() stands for a restart of the manager. */
  open(): Promise<TunnelDriver>;
};

const never = new AbortController().signal;

const plan = (peerSite: string, changes: Partial<TunnelPlan> = {}): TunnelPlan => ({
  peerSite: siteName(peerSite),
  kind: "wireguard",
  peerAddress: ipv4Address("192.0.2.200"),
  peerSubnets: ["10.71.99.0/24"],
  localPort: 51829,
  peerPort: 51829,
  localTunnelAddress: ipv4Address("169.254.64.41"),
  peerTunnelAddress: ipv4Address("169.254.64.42"),
  peerPublicKey: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
  mtu: 1420,
  ...changes,
});

/** What every implementation of the tunnel port does. */
export function tunnelConformance(name: string, subject: TunnelsUnderTest): void {
  describe(`${name} conforms to the tunnel port`, () => {
    const withDriver = async (work: (driver: TunnelDriver) => Promise<void>): Promise<void> => {
      const driver = await subject.open();
      try {
        await driver.recover(never);
        await work(driver);
      } finally {
        await driver.converge([], never);
        await driver.close();
      }
    };

    it("reports nothing when nothing is wanted, and converging to nothing is no error", () =>
      withDriver(async (driver) => {
        await driver.converge([], never);
        assert.deepEqual(driver.observe(), []);
      }));

    it("keeps one public key, of 32 bytes, over a restart", async () => {
      let first = "";
      await withDriver(async (driver) => {
        first = await driver.publicKey(never);
        assert.equal(Buffer.from(first, "base64").length, 32);
        assert.equal(await driver.publicKey(never), first);
      });
      await withDriver(async (driver) => assert.equal(await driver.publicKey(never), first));
    });

    it("reports every tunnel wanted, by site and kind, and only those", () =>
      withDriver(async (driver) => {
        await driver.converge([plan("north")], never);
        assert.deepEqual(
          driver.observe().map((report) => [report.peerSite, report.kind]),
          [["north", "wireguard"]],
        );
        const openvpn = plan("south", {
          kind: "openvpn",
          sharedKey: `-----BEGIN OpenVPN Static key V1-----\n${"00112233445566778899aabbccddeeff\n".repeat(16)}-----END OpenVPN Static key V1-----\n`,
        });
        await driver.converge([openvpn], never);
        assert.deepEqual(
          driver.observe().map((report) => [report.peerSite, report.kind]),
          [["south", "openvpn"]],
        );
      }));

    it("says what it waits for when the peer's key is not known yet", () =>
      withDriver(async (driver) => {
        const { peerPublicKey: _unknown, ...keyless } = plan("north");
        await driver.converge([keyless], never);
        const [report] = driver.observe();
        assert.equal(report?.up, false);
        assert.match(report?.message ?? "", /public key/);
      }));

    it("converges to the same list again without complaint", () =>
      withDriver(async (driver) => {
        await driver.converge([plan("north")], never);
        await driver.converge([plan("north")], never);
        assert.equal(driver.observe().length, 1);
      }));
  });
}
