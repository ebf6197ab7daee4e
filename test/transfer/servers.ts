import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { RequestListener, Server } from "node:http";
import { connect, createServer as createSocketServer } from "node:net";
import type { AddressInfo } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import type { Secret } from "#drivers/transfer/port.ts";
import { webHdfsDirectory } from "./webhdfs-server.ts";

/** A server of a real kind, with an empty directory or bucket of its own. */
export type ServerUnderTest = {
  /** Before a name. */
  readonly url: string;
  readonly secret: Secret;
  close(): Promise<void>;
};

const signal = new AbortController().signal;
const localhost = "127.0.0.1";

async function freePort(): Promise<number> {
  const server = createSocketServer().listen(0, localhost);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Resolves when somebody answers there; rejects with the program's own words when it ends before. */
async function started(file: string, args: readonly string[], port: number): Promise<() => Promise<void>> {
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
  let words = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (words += chunk.toString()));
  const ended = once(child, "exit");
  const hasEnded = ended.then(() => {
    throw new Error(`${file} ended: ${words}`);
  });
  hasEnded.catch(() => {});
  const answers = async (): Promise<void> => {
    for (;;) {
      const line = connect(port, localhost);
      const open = await Promise.race([
        once(line, "connect").then(
          () => true,
          () => false,
        ),
        hasEnded,
      ]);
      line.destroy();
      if (open) return;
    }
  };
  await answers();
  return async () => {
    child.kill("SIGKILL");
    await ended;
  };
}

/** OpenSSH's server with a key of its own, for the user that runs the test. */
export async function sftpServer(directory: string): Promise<ServerUnderTest> {
  const port = await freePort();
  const subprocess = systemSubprocess();
  mkdirSync(join(directory, "files"));
  // Of its own process of privilege separation; Debian makes it when the service starts.
  mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  for (const name of ["host", "user"])
    await subprocess.check(
      "ssh-keygen",
      ["-q", "-t", "ed25519", "-N", "", "-f", join(directory, name)],
      signal,
    );
  const print = await subprocess.check("ssh-keygen", ["-lf", join(directory, "host.pub")], signal);
  const settings = [
    `Port ${port}`,
    `ListenAddress ${localhost}`,
    `HostKey ${join(directory, "host")}`,
    `AuthorizedKeysFile ${join(directory, "user.pub")}`,
    "PidFile none",
    "StrictModes no",
    "UsePAM no",
    "PasswordAuthentication no",
    "PermitRootLogin yes",
    "Subsystem sftp internal-sftp",
  ];
  writeFileSync(join(directory, "sshd_config"), `${settings.join("\n")}\n`);
  const close = await started("/usr/sbin/sshd", ["-D", "-e", "-f", join(directory, "sshd_config")], port);
  return {
    url: `sftp://${localhost}:${port}${join(directory, "files")}/`,
    secret: {
      user: userInfo().username,
      privateKey: readFileSync(join(directory, "user"), "utf8"),
      hostKey: /SHA256:\S+/.exec(print)?.[0] ?? "",
    },
    close,
  };
}

/** vsftpd for anonymous users, who may write. */
export async function ftpServer(directory: string): Promise<ServerUnderTest> {
  const port = await freePort();
  const files = join(directory, "ftp");
  // Its users' own directory must not be theirs to write.
  mkdirSync(join(files, "pub"), { recursive: true, mode: 0o755 });
  mkdirSync(join(directory, "empty"));
  await systemSubprocess().check("chown", ["ftp", join(files, "pub")], signal);
  const settings = {
    listen: "YES",
    listen_address: localhost,
    listen_port: port,
    background: "NO",
    anonymous_enable: "YES",
    local_enable: "NO",
    write_enable: "YES",
    anon_upload_enable: "YES",
    anon_mkdir_write_enable: "YES",
    anon_other_write_enable: "YES",
    anon_umask: "022",
    anon_root: files,
    no_anon_password: "YES",
    secure_chroot_dir: join(directory, "empty"),
    seccomp_sandbox: "NO",
    xferlog_enable: "NO",
    isolate: "NO",
    isolate_network: "NO",
  };
  const file = join(directory, "vsftpd.conf");
  writeFileSync(
    file,
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(""),
  );
  const close = await started("/usr/sbin/vsftpd", [file], port);
  return { url: `ftp://${localhost}:${port}/pub/`, secret: {}, close };
}

/** s3rver. It knows whose key it is shown, and does not check what was signed with it: s3-sign.test.ts does. */
export async function s3Server(directory: string): Promise<ServerUnderTest> {
  const port = await freePort();
  const program = fileURLToPath(import.meta.resolve("s3rver/bin/s3rver.js"));
  const args = [
    "-d",
    directory,
    "-a",
    localhost,
    "-p",
    String(port),
    "--configure-bucket",
    "images",
    "--silent",
  ];
  const close = await started(process.execPath, [program, ...args], port);
  return {
    url: "s3://images/",
    secret: { accessKey: "S3RVER", secretKey: "S3RVER", endpoint: `http://${localhost}:${port}` },
    close,
  };
}

/** Answers by what `respond` does; for servers that neither Debian nor npm has. */
export async function standIn(respond: RequestListener): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer(respond).listen(0, localhost);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close: () => closed(server),
  };
}

async function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

/** WebHDFS as npm's webhdfs-proxy speaks it, over a directory. */
export async function webHdfsServer(directory: string): Promise<ServerUnderTest> {
  const port = await freePort();
  mkdirSync(join(directory, "data"));
  const server = await webHdfsDirectory(directory, port, "hadoop");
  return {
    url: `webhdfs://${localhost}:${port}/data/`,
    secret: { user: "hadoop" },
    close: () => closed(server),
  };
}

/** Files with ranges and entity tags, over http; what is PUT there is kept. */
export async function webServer(): Promise<ServerUnderTest> {
  const files = new Map<string, Buffer>();
  const server = await standIn((request, response) => {
    const path = request.url ?? "";
    const content = files.get(path);
    if (request.headers.authorization !== `Basic ${Buffer.from("reader:secret").toString("base64")}`) {
      response.writeHead(401).end();
    } else if (request.method === "PUT") {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        files.set(path, Buffer.concat(chunks));
        response.writeHead(201).end();
      });
    } else if (request.method === "DELETE") {
      response.writeHead(files.delete(path) ? 204 : 404).end();
    } else if (content === undefined) response.writeHead(404).end();
    else {
      const etag = `"${createHash("sha256").update(content).digest("hex")}"`;
      const begin = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
      const rest = content.subarray(begin);
      const range = { "content-range": `bytes ${begin}-${content.length - 1}/${content.length}` };
      response.writeHead(begin === 0 ? 200 : 206, {
        etag,
        "content-length": rest.length,
        ...(begin === 0 ? {} : range),
      });
      response.end(request.method === "HEAD" ? undefined : rest);
    }
  });
  return {
    url: `http://${localhost}:${server.port}/files/`,
    secret: { user: "reader", password: "secret" },
    close: () => server.close(),
  };
}

export const cleared = (directory: string): void => rmSync(directory, { recursive: true, force: true });
