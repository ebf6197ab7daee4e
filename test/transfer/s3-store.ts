import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { request as ask } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { s3Server, standIn } from "./servers.ts";
import type { ServerUnderTest } from "./servers.ts";

/** Answers itself, or breaks it off; false: it is to be served. */
type Fault = (what: string, request: IncomingMessage, response: ServerResponse) => boolean;

/** s3rver with what it lacks, and a look at what it is asked. */
export type S3Store = ServerUnderTest & {
  /** "PUT part 3", "POST uploads", "GET image.raw" and the like. */
  readonly asked: string[];
  fault: Fault | undefined;
  /** Names of uploads that were begun and neither put together nor abandoned. */
  unfinished(): readonly string[];
  /** All objects there are, by name: s3rver lists no directory that has only directories in it. */
  keys(): readonly string[];
};

/**
 * s3rver takes uploads in parts but cannot list or abandon them: these three questions are answered here from its own
 * directory, everything else by itself.
 */
export async function s3Store(directory: string): Promise<S3Store> {
  const server = await s3Server(directory);
  const behind = new URL(server.secret["endpoint"] ?? "");
  const uploads = join(directory, "images", "._S3rver_uploads");
  const asked: string[] = [];
  const front = await standIn((request, response) => {
    const url = new URL(request.url ?? "", behind);
    const key = decodeURIComponent(url.pathname).replace(/^\/images\/?/, "");
    const id = url.searchParams.get("uploadId");
    const part = url.searchParams.get("partNumber");
    const isList = request.method === "GET" && url.searchParams.has("uploads");
    const subject = part === null ? (id === null ? key : "upload") : `part ${part}`;
    const what = `${request.method} ${url.searchParams.has("uploads") ? "uploads" : subject}`;
    asked.push(what);
    if (store.fault?.(what, request, response) === true) return;
    if (isList) answer(response, "ListMultipartUploadsResult", uploadsIn(uploads));
    else if (id !== null && request.method === "GET")
      answer(response, "ListPartsResult", partsIn(join(uploads, id)));
    else if (id !== null && request.method === "DELETE") {
      const wasThere = existsSync(join(uploads, id));
      rmSync(join(uploads, id), { recursive: true, force: true });
      response.writeHead(wasThere ? 204 : 404).end();
    } else serve(request, response, behind);
  });
  const store: S3Store = {
    url: server.url,
    secret: { ...server.secret, endpoint: `http://127.0.0.1:${front.port}` },
    asked,
    fault: undefined,
    keys: () =>
      readdirSync(join(directory, "images"), { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(objectEnding))
        .map((name) => name.slice(0, -objectEnding.length))
        .toSorted(),
    unfinished: () => idsIn(uploads).map((id) => keyOf(uploads, id)),
    close: async () => {
      await front.close();
      await server.close();
    },
  };
  return store;
}

const objectEnding = "._S3rver_object";

const idsIn = (uploads: string): string[] => (existsSync(uploads) ? readdirSync(uploads) : []);

const keyOf = (uploads: string, id: string): string => readFileSync(join(uploads, id, "key"), "utf8");

function uploadsIn(uploads: string): string {
  const one = (id: string): string =>
    `<Upload><Key>${keyOf(uploads, id)}</Key><UploadId>${id}</UploadId>` +
    `<Initiated>${statSync(join(uploads, id, "key")).mtime.toISOString()}</Initiated></Upload>`;
  return idsIn(uploads).map(one).join("");
}

/** Those that came whole: s3rver writes the MD5 when they have. */
function partsIn(directory: string): string {
  const numbers = readdirSync(directory).flatMap((name) => /^(\d+)\.md5$/.exec(name)?.[1] ?? []);
  const tag = (number: string): string => readFileSync(join(directory, `${number}.md5`), "utf8");
  return numbers
    .map((number) => `<Part><PartNumber>${number}</PartNumber><ETag>"${tag(number)}"</ETag></Part>`)
    .join("");
}

function answer(response: ServerResponse, name: string, content: string): void {
  response.writeHead(200, { "content-type": "application/xml" });
  response.end(`<${name}><IsTruncated>false</IsTruncated>${content}</${name}>`);
}

function serve(request: IncomingMessage, response: ServerResponse, { hostname, port }: URL): void {
  const { method, url, headers } = request;
  const behind = ask({ hostname, port, method, path: url, headers }, (answered) => {
    response.writeHead(answered.statusCode ?? 502, answered.headers);
    answered.pipe(response);
  });
  behind.on("error", () => response.destroy());
  request.on("error", () => behind.destroy());
  request.on("close", () => {
    if (!request.complete) behind.destroy();
  });
  request.pipe(behind);
}
