import assert from "node:assert/strict";
import { test } from "node:test";
import { hostId } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { uploadHost } from "#cluster/image-requests.ts";
import { sampleHosts } from "#cluster/sample.ts";
import type { Digest } from "#model/image.ts";
import type { HostReport } from "#protocol/host-report.ts";

const digest: Digest = `sha256:${"a".repeat(64)}`;
const [a1, a2] = [hostId("a1"), hostId("a2")];

/** A cloud of two hosts of which these told something, and these may yet. */
function cloud(told: Record<string, Partial<HostReport>>, awaited: readonly HostId[]) {
  const reports: ReadonlyMap<HostId, HostReport> = new Map(
    Object.entries(told).map(([name, report]) => {
      const host = hostId(name);
      return [host, { host, blobPort: 1, ...report } as HostReport];
    }),
  );
  const hosts = new Map([...sampleHosts()].filter(([id]) => id === a1 || id === a2));
  return {
    state: { hosts: () => hosts, standing: () => ({ fenced: false, scheduling: "open" }) as const },
    seen: {
      fresh: () => reports,
      report: (host: HostId) => reports.get(host),
      isFresh: (host: HostId) => reports.has(host),
      isThere: (host: HostId) => reports.has(host) || awaited.includes(host),
    },
  };
}

test("an upload goes to the host it went to before, which is waited for and replaced once it is lost", () => {
  const first = uploadHost(cloud({ a1: {}, a2: {} }, []), digest)!;
  const other = first === a1 ? a2 : a1;
  assert.throws(() => uploadHost(cloud({ [other]: {} }, [first]), digest), /host \S+ has not been heard of/);
  assert.equal(uploadHost(cloud({ [first]: {} }, [other]), digest), first);
  assert.equal(uploadHost(cloud({ [other]: {} }, []), digest), other);
  assert.equal(uploadHost(cloud({}, []), digest), undefined);
});

test("an upload of what a host has goes there, whoever is waited for", () => {
  const first = uploadHost(cloud({ a1: {}, a2: {} }, []), digest)!;
  const other = first === a1 ? a2 : a1;
  assert.equal(uploadHost(cloud({ [other]: { blobs: [digest] } }, [first]), digest), other);
});
