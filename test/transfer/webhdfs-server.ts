import { createReadStream, createWriteStream, existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";

type ApiError = new (
  exception: "SecurityException" | "FileNotFoundException" | "UnsupportedOperationException",
  data: Readonly<Record<string, string>>,
) => Error;

type Handler = (
  error: Error | null,
  path: string,
  operation: string,
  params: Readonly<Record<string, unknown>>,
  request: IncomingMessage,
  response: ServerResponse,
  answer: (error: Error) => void,
) => void;

type WebHdfsProxy = {
  createServer(
    options: { readonly host: string; readonly http: { readonly port: object } },
    handler: Handler,
    done: (error: Error | null, servers?: readonly Server[]) => void,
  ): void;
  readonly WebHDFSAPIError: ApiError;
};

const require = createRequire(import.meta.url);
const proxy = require("webhdfs-proxy") as WebHdfsProxy;
const { WebHDFSAPIError } = proxy;

const localhost = "127.0.0.1";

/**
 * npm's webhdfs-proxy before a directory. The proxy is what is spoken with: it reads paths and operations, refuses wrong
 * methods and parameters, sends readers and writers on to a data node (itself) and words the errors. It comes without
 * files; the one storage npm has for it keeps them as text, and reads from no offset. So the directory is ours.
 */
export async function webHdfsDirectory(directory: string, port: number, user: string): Promise<Server> {
  const { promise, resolve, reject } = Promise.withResolvers<Server>();
  // It hands `port` to listen() as it is, and prints it into the addresses it sends clients on to.
  const listenAt = { port, host: localhost, toString: () => String(port) };
  proxy.createServer(
    { host: localhost, http: { port: listenAt } },
    (refusal, path, operation, params, request, response, answer) => {
      const file = join(directory, decodeURIComponent(path));
      const refused =
        refusal ??
        (params["user.name"] === user
          ? undefined
          : new WebHDFSAPIError("SecurityException", { message: "who are you?" }));
      const done =
        refused === undefined ? respond(operation, file, params, request, response) : Promise.reject(refused);
      done.catch((cause: unknown) => {
        if (response.headersSent) response.destroy();
        else answer(cause instanceof Error ? cause : new Error(String(cause)));
      });
    },
    (error, servers) => {
      const server = servers?.[0];
      if (server === undefined) reject(error ?? new Error("webhdfs-proxy does not listen"));
      else if (server.listening) resolve(server);
      else server.once("error", reject).once("listening", () => resolve(server));
    },
  );
  return promise;
}

async function respond(
  operation: string,
  file: string,
  params: Readonly<Record<string, unknown>>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const json = (body: unknown): void => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
  if (operation === "create") {
    mkdirSync(dirname(file), { recursive: true });
    await pipeline(request, createWriteStream(`${file}.coming`));
    await rename(`${file}.coming`, file);
    response.writeHead(201).end();
  } else if (operation === "delete") {
    const isThere = existsSync(file);
    await rm(file, { recursive: params["recursive"] === true, force: true });
    json({ boolean: isThere });
  } else if (!existsSync(file)) {
    throw new WebHDFSAPIError("FileNotFoundException", { path: file });
  } else if (operation === "getfilestatus") {
    json({ FileStatus: { ...statusOf(file), pathSuffix: "" } });
  } else if (operation === "liststatus") {
    const FileStatus = readdirSync(file).map((name) => statusOf(join(file, name)));
    json({ FileStatuses: { FileStatus } });
  } else if (operation === "open") {
    const start = Number(params["offset"] ?? 0);
    response.writeHead(200, { "content-length": Math.max(0, statSync(file).size - start) });
    await pipeline(createReadStream(file, { start }), response);
  } else throw new WebHDFSAPIError("UnsupportedOperationException", { operation });
}

function statusOf(file: string): Readonly<Record<string, unknown>> {
  const { size, mtimeMs, atimeMs } = statSync(file);
  const isDirectory = statSync(file).isDirectory();
  return {
    accessTime: Math.trunc(atimeMs),
    length: isDirectory ? 0 : size,
    modificationTime: Math.trunc(mtimeMs),
    pathSuffix: basename(file),
    type: isDirectory ? "DIRECTORY" : "FILE",
  };
}
