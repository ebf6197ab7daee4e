import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { codeOf } from "#base/errors.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";
import type { Place } from "#drivers/transfer/port.ts";
import { cleared, ftpServer, s3Server, sftpServer, webHdfsServer, webServer } from "./servers.ts";
import type { ServerUnderTest } from "./servers.ts";

const signal = new AbortController().signal;

const kinds: readonly {
  readonly name: string;
  readonly open: (directory: string) => Promise<ServerUnderTest>;
  /** It has listings. */
  readonly lists: boolean;
  /** What an earlier process read in part is gone on with, without a checksum. */
  readonly tellsVersions: boolean;
}[] = [
  { name: "sftp, OpenSSH", open: sftpServer, lists: true, tellsVersions: false },
  { name: "ftp, vsftpd", open: ftpServer, lists: true, tellsVersions: true },
  { name: "s3, s3rver", open: s3Server, lists: true, tellsVersions: true },
  { name: "webhdfs, webhdfs-proxy", open: webHdfsServer, lists: true, tellsVersions: true },
  { name: "http", open: webServer, lists: false, tellsVersions: true },
];

for (const { name, open, lists, tellsVersions } of kinds) {
  test(`${name}: what is uploaded is downloaded again, listed, gone on with and removed`, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), "consort-transfer-"));
    const server = await open(mkdtempSync(join(directory, "server-")));
    t.after(async () => {
      await server.close();
      cleared(directory);
    });
    const transfer = openTransfer({ clock: systemClock(), roots: [] });
    const place = (file: string): Place => ({
      url: server.url + encodeURIComponent(file),
      secret: server.secret,
    });
    const [source, target] = [join(directory, "source"), join(directory, "target")];
    const content = randomBytes(3_000_001);
    const sha256 = createHash("sha256").update(content).digest("hex");
    writeFileSync(source, content);
    const fileName = "an image + more.raw";

    const told: number[] = [];
    const { totalBytes } = await new Promise<{ totalBytes?: number }>((resolve, reject) => {
      let last = {};
      transfer
        .upload(source, place(fileName), (progress) => (last = progress), signal)
        .then(() => resolve(last), reject);
    });
    assert.equal(totalBytes, content.length);
    const got = await transfer.download(
      place(fileName),
      target,
      { sha256 },
      ({ doneBytes }) => told.push(doneBytes),
      signal,
    );
    assert.deepEqual(got, { sizeBytes: content.length, sha256 });
    assert.deepEqual(readFileSync(target), content);
    assert.equal(told.at(-1), content.length);

    const wrong = "0".repeat(64);
    await assert.rejects(
      transfer.download(place(fileName), target, { sha256: wrong }, () => {}, signal),
      (error) => codeOf(error) === "bad_input",
    );
    assert.deepEqual(readFileSync(target), content);
    await assert.rejects(
      transfer.download(place(fileName), target, { sizeBytesMax: 1000 }, () => {}, signal),
      (error) => codeOf(error) === "limit_exceeded",
    );
    await assert.rejects(
      transfer.download(place("nothing"), target, {}, () => {}, signal),
      (error) => codeOf(error) === "not_found",
    );
    await assert.rejects(
      transfer.download(
        { url: place(fileName).url, secret: strangerTo(server) },
        target,
        {},
        () => {},
        signal,
      ),
      (error) => name.startsWith("ftp") || codeOf(error) === "forbidden",
    );

    await goesOn();
    if (lists)
      assert.deepEqual(await transfer.list({ url: server.url, secret: server.secret }, signal), [fileName]);
    await transfer.remove(place(fileName), signal);
    await transfer.remove(place(fileName), signal);
    await assert.rejects(
      transfer.download(place(fileName), target, {}, () => {}, signal),
      (error) => codeOf(error) === "not_found",
    );

    /** A download that is called off half way, and begun again. */
    async function goesOn(): Promise<void> {
      const file = join(directory, "again");
      const expected = tellsVersions ? {} : { sha256 };
      const stop = new AbortController();
      const begun = transfer.download(
        place(fileName),
        file,
        expected,
        () => stop.abort(new Error("enough")),
        stop.signal,
      );
      await assert.rejects(begun, /enough/);
      assert.equal(existsSync(file), false);
      // What was cut off at some byte is gone on with: a wrong beginning stays, or is found by the checksum.
      const cutOff = 1_234_567;
      writeFileSync(`${file}.part`, Buffer.alloc(cutOff));
      const wrongBeginning = transfer.download(place(fileName), file, expected, () => {}, signal);
      if (tellsVersions) {
        await wrongBeginning;
        assert.deepEqual(readFileSync(file), Buffer.concat([Buffer.alloc(cutOff), content.subarray(cutOff)]));
      } else await assert.rejects(wrongBeginning, (error) => codeOf(error) === "bad_input");
      // What may be of something else is not.
      writeFileSync(`${file}.part`, Buffer.alloc(cutOff));
      writeFileSync(`${file}.part.note`, "of another version");
      await transfer.download(place(fileName), file, expected, () => {}, signal);
      assert.deepEqual(readFileSync(file), content);
    }
  });
}

function strangerTo({ secret }: ServerUnderTest): Place["secret"] & {} {
  return {
    ...secret,
    user: "nobody-we-know",
    ...(secret["accessKey"] === undefined ? {} : { accessKey: "nobody-we-know" }),
    ...(secret["hostKey"] === undefined ? {} : { hostKey: `SHA256:${"A".repeat(43)}` }),
  };
}
