import { stat } from "node:fs/promises";
import { ConsortError } from "#base/errors.ts";
import { readXmlTree } from "#formats/xml-tree.ts";
import { curl } from "./curl.ts";
import { copyWithin } from "./s3-copy.ts";
import { abandonUploads, writeInParts } from "./s3-parts.ts";
import { keyOf, md5Of, removeAt, signed } from "./s3-request.ts";
import type { Server } from "./server.ts";
import { transferLimits } from "./limits.ts";
import { continueAt, described } from "./web.ts";

/** Entries asked for at once, and at most in all. */
const pageEntries = 1000;
const pagesMax = 100;

/** S3 and what speaks like it: s3://bucket/key, keys and endpoint in the secret. */
export const s3Server: Server = {
  describe: async (at, signal) => {
    const url = signed(at, { method: "HEAD", key: keyOf(at) });
    const options = [
      ["url", url],
      ["head", true],
    ] as const;
    return described(await curl(at, { options }, signal));
  },
  read: async (at, offset, into, signal) => {
    const url = signed(at, { method: "GET", key: keyOf(at) });
    await curl(at, { ...into, options: [["url", url], ...continueAt(offset)] }, signal);
  },
  goesOnWriting: true,
  write: async (file, at, watch, signal) => {
    const { size } = await stat(file);
    if (size > transferLimits.transferS3PartBytes) return writeInParts({ file, size, at, watch }, signal);
    const md5 = await md5Of(file, {}, signal);
    const url = signed(at, { method: "PUT", key: keyOf(at) });
    const options = [
      ["url", url],
      ["upload-file", file],
      // The server refuses what arrived otherwise.
      ["header", `Content-MD5: ${md5.toString("base64")}`],
      ["header", "Expect:"],
    ] as const;
    await curl(at, { options, look: watch.look }, signal);
  },
  abandonUploads,
  copy: copyWithin,
  list: async (at, signal) => {
    const prefix = at.path === "/" ? "" : `${keyOf(at).replace(/\/*$/, "")}/`;
    const names = new Set<string>();
    let more: string | undefined;
    for (let page = 0; page < pagesMax; page += 1) {
      const query = {
        "list-type": "2",
        delimiter: "/",
        "max-keys": String(pageEntries),
        prefix,
        ...(more === undefined ? {} : { "continuation-token": more }),
      };
      const answer = await curl(
        at,
        { options: [["url", signed(at, { method: "GET", key: "", query })]] },
        signal,
      );
      more = addNames(answer.text, prefix, names);
      if (more === undefined) return [...names].sort();
    }
    throw new ConsortError(
      "limit_exceeded",
      `Cannot list s3://${at.authority}${at.path}: it has more than ${pageEntries * pagesMax} entries`,
    );
  },
  remove: (at, signal) => removeAt(at, { key: keyOf(at) }, signal),
};

/** Adds the names of one page; tells where the next page begins. */
function addNames(xml: string, prefix: string, names: Set<string>): string | undefined {
  const { children } = readXmlTree(xml);
  for (const entry of children) {
    const key = entry.children.find(({ name }) => name === "Key" || name === "Prefix")?.text;
    if ((entry.name !== "Contents" && entry.name !== "CommonPrefixes") || key === undefined) continue;
    const name = key.slice(prefix.length).replace(/\/$/, "");
    if (key.startsWith(prefix) && name !== "" && !name.includes("/")) names.add(name);
  }
  const token = children.find(({ name }) => name === "NextContinuationToken")?.text;
  return token === "" ? undefined : token;
}
