import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { cleared, standIn } from "./servers.ts";

const program = fileURLToPath(new URL("download.child.ts", import.meta.url));

test("nothing of a download goes on when who began it is killed: the next would find another writer at its file", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "consort-killed-"));
  const begun = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const server = await standIn(({ method }, response) => {
    response.writeHead(200);
    if (method === "HEAD") {
      response.end();
      return;
    }
    response.write("the beginning");
    response.once("close", gone.resolve);
    begun.resolve();
  });
  t.after(async () => {
    await server.close();
    cleared(directory);
  });
  const url = `http://127.0.0.1:${server.port}/x`;
  const child = spawn(process.execPath, [program, url, join(directory, "file")], { stdio: "inherit" });
  await begun.promise;
  child.kill("SIGKILL");
  await once(child, "exit");
  await gone.promise;
});
