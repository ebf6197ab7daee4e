import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { uploadFile } from "#cli/image-upload.ts";
import { imageSpecDocument } from "#formats/image-manifest.ts";
import { bytes } from "#base/units.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import type { ContentSource, ImageSpec } from "#model/image.ts";
import type { ImageStatus } from "#protocol/http/image.ts";
import type { CollectResult } from "#protocol/topics.ts";
import { plainTopology } from "../lab/machine.ts";
import { machineFacts } from "../rig/machine-facts.ts";
import { eventually, startRig } from "../rig/rig.ts";
import type { Rig } from "../rig/rig.ts";
import { standIn } from "../transfer/servers.ts";

const lab = "testimages";
const giveUpMs = 240_000;

const base = (name: string, disk: ContentSource): ImageSpec => ({
  name,
  role: "base",
  architecture: "amd64",
  features: ["seed"],
  disk,
  boot: { kind: "disk", firmware: "bios" },
});

async function register(rig: Rig, image: ImageSpec, signal: AbortSignal): Promise<ImageStatus> {
  return rig.client().request("PUT", `/v1/images/${image.name}`, signal, imageSpecDocument(image));
}

const show = (rig: Rig, name: string, signal: AbortSignal): Promise<ImageStatus> =>
  rig.client().request("GET", `/v1/images/${name}`, signal);

/** As it is once it is no longer on its way. */
async function settled(rig: Rig, name: string, signal: AbortSignal): Promise<ImageStatus> {
  await eventually(`${name} to be there or refused`, signal, async () => {
    return (await show(rig, name, signal)).state !== "importing";
  });
  return show(rig, name, signal);
}

/** A qcow2 disk with something on it, and what it is. */
async function makeDisk(file: string, signal: AbortSignal): Promise<string> {
  const subprocess = systemSubprocess();
  writeFileSync(`${file}.raw`, randomBytes(1024 * 1024));
  await subprocess.check("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", `${file}.raw`, file], signal);
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

test("images are uploaded, fetched and refused, kept on two hosts, and gone when nobody needs them", async (t) => {
  const signal = AbortSignal.any([t.signal, AbortSignal.timeout(giveUpMs)]);
  const before = await machineFacts(lab);
  const directory = mkdtempSync(join(tmpdir(), "consort-images-"));
  {
    await using stack = new AsyncDisposableStack();
    stack.defer(() => rmSync(directory, { recursive: true }));
    const disk = join(directory, "disk.qcow2");
    const sha256 = await makeDisk(disk, signal);
    const rig = await startRig(lab, plainTopology({ sites: 1, hostsPerSite: 3 }), signal);
    stack.defer(() => rig.close());

    await t.test(
      "an upload goes on where it stopped, though its client and both managers were killed",
      async () => {
        const stop = new AbortController();
        const large = join(directory, "large.raw");
        writeFileSync(large, randomBytes(20 * 1024 * 1024));
        const cut = uploadFile(
          rig.client(),
          large,
          (done) => done > 6e6 && stop.abort(new Error("cut")),
          stop.signal,
        );
        await assert.rejects(cut, /cut/);
        for (const name of ["cluster", "host-s1h1", "host-s1h2", "host-s1h3"])
          process.kill(rig.managerPid(name)!, "SIGKILL");
        const begun: number[] = [];
        await eventually("the upload", signal, async () => {
          const blob = await uploadFile(rig.client(), large, (done) => void begun.push(done), signal);
          return blob.sizeBytes === statSync(large).size;
        });
        assert.ok((begun[0] ?? 0) >= 4 * 1024 * 1024, `it began again at ${begun[0]}`);
      },
    );

    await t.test("an uploaded disk becomes an image with copies on two hosts", async () => {
      const blob = await uploadFile(rig.client(), disk, () => {}, signal);
      await register(rig, base("mine", { kind: "blob", blob }), signal);
      const image = await settled(rig, "mine", signal);
      assert.equal(image.state, "ready", image.message);
      assert.equal(image.format, "qcow2");
      assert.equal(image.virtualBytes, 1024 * 1024);
      assert.deepEqual(image.content, [`sha256:${sha256}`]);
      await eventually(
        "two copies",
        signal,
        async () => (await show(rig, "mine", signal)).copies.length === 2,
      );
    });

    await t.test(
      "an image comes from a server though the host that brings it in is killed half way",
      async () => {
        const content = randomBytes(8 * 1024 * 1024);
        let asked = 0;
        const server = await standIn(({ method, headers }, response) => {
          const begin = Number(/^bytes=(\d+)-/.exec(headers.range ?? "")?.[1] ?? 0);
          response.writeHead(begin === 0 ? 200 : 206, {
            etag: '"1"',
            "content-length": content.length - begin,
            "content-range": `bytes ${begin}-${content.length - 1}/${content.length}`,
          });
          if (method === "HEAD") response.end();
          else {
            asked += 1;
            // The first goes on for ever, half way.
            if (asked === 1) response.write(content.subarray(0, content.length / 2));
            else response.end(content.subarray(begin));
          }
        });
        stack.defer(() => server.close());
        const url = `http://127.0.0.1:${server.port}/web.raw`;
        const wanted = createHash("sha256").update(content).digest("hex");
        await register(rig, base("web", { kind: "url", url, sha256: wanted }), signal);
        await eventually("half of it", signal, async () => {
          return ((await show(rig, "web", signal)).doneBytes ?? 0) >= content.length / 3;
        });
        const { host } = await show(rig, "web", signal);
        process.kill(rig.managerPid(`host-${host}`)!, "SIGKILL");
        const image = await settled(rig, "web", signal);
        assert.equal(image.state, "ready", image.message);
        assert.deepEqual(image.content, [`sha256:${wanted}`]);
      },
    );

    await t.test(
      "what is not what it should be, or would read other files, is refused with the reason",
      async () => {
        const subprocess = systemSubprocess();
        const hostile = join(directory, "hostile.qcow2");
        const options = ["-b", "/etc/passwd", "-F", "raw", "-f", "qcow2", "-u", hostile, "1M"];
        await subprocess.check("qemu-img", ["create", ...options], signal);
        const blob = await uploadFile(rig.client(), hostile, () => {}, signal);
        await register(rig, base("hostile", { kind: "blob", blob }), signal);
        const { state, message } = await settled(rig, "hostile", signal);
        assert.deepEqual([state, /backing file/.test(message ?? "")], ["failed", true], message);
        await register(rig, base("outside", { kind: "url", url: "file:///etc/passwd" }), signal);
        const outside = await settled(rig, "outside", signal);
        assert.match(outside.message ?? "", /may be used here/);
        const never = { ...blob, digest: `sha256:${"0".repeat(64)}` as const, sizeBytes: bytes(512) };
        await register(rig, base("nowhere", { kind: "blob", blob: never }), signal);
        assert.match((await settled(rig, "nowhere", signal)).message ?? "", /none of the hosts/);
      },
    );

    await t.test(
      "a removed image is in the catalogue no more, and what is needed is never collected",
      async () => {
        await rig.client().request("DELETE", "/v1/images/web", signal);
        await assert.rejects(show(rig, "web", signal), /catalogue has none/);
        const collected = await rig.client().request<CollectResult>("POST", "/v1/content-collected", signal);
        // All of it came only just now.
        assert.deepEqual(collected, { removed: 0, freedBytes: 0 });
        assert.equal((await show(rig, "mine", signal)).copies.length, 2);
      },
    );

    await t.test("no part of anything is left among what is complete", () => {
      for (const host of ["s1h1", "s1h2", "s1h3"]) {
        const blobs = join(rig.stateDir, "hosts", host, "blobs");
        assert.ok(readdirSync(join(blobs, "blobs")).every((name) => /^[0-9a-f]{64}$/.test(name)));
        assert.deepEqual(readdirSync(join(blobs, "incoming")), []);
      }
    });
  }
  assert.deepEqual(await machineFacts(lab), before);
});
