import assert from "node:assert/strict";
import { test } from "node:test";
import { consort, json, testApi } from "./cli.fixture.ts";

const path = "POST /v1/ensembles/shop/appliances/db/console";
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const said = (text: string): string => `${JSON.stringify({ dataBase64: base64(text) })}\n`;
const session = "ab".repeat(16);

test("console shows what the guest writes, types what is typed, and leaves at Ctrl-] without ending the machine", async () => {
  await using api = await testApi({
    [path]: (_asked, response) => {
      response.write(`${JSON.stringify({ session })}\n${said("login: ")}`);
    },
    [`POST /v1/consoles/${session}`]: json(undefined, 204),
  });
  const outcome = await consort(["console", "shop/db"], { url: api.url, input: "root\r\u001dnot this" });
  assert.deepEqual([outcome.exit, outcome.out], [0, "login: "]);
  assert.match(outcome.err, /^Connected to shop\/db; Ctrl-\] leaves/);
  const typed = api.asked.filter(({ url }) => url.includes("/v1/consoles/"));
  assert.deepEqual(
    typed.map(({ body }) => body),
    [{ dataBase64: base64("root\r") }],
  );
});

test("console ends with the machine, and says why it cannot begin", async () => {
  await using api = await testApi({
    [path]: (_asked, response) => {
      response.end(
        `${JSON.stringify({ session })}\n${said("Power down\n")}${JSON.stringify({ ended: true })}\n`,
      );
    },
    [`POST /v1/consoles/${session}`]: json(undefined, 204),
    "POST /v1/ensembles/shop/appliances/web/console": (_asked, response) => {
      const error = { code: "unsupported", message: "Cannot open the console of shop/web: no machine" };
      response.end(`${JSON.stringify({ session })}\n${JSON.stringify({ error })}\n`);
    },
  });
  const ended = await consort(["console", "shop/db"], { url: api.url });
  assert.deepEqual([ended.exit, ended.out], [0, "Power down\n"]);
  const refused = await consort(["console", "shop/web"], { url: api.url });
  assert.equal(refused.exit, 2);
  assert.match(refused.err, /no machine/);
});
