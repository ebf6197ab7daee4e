import { createServer } from "node:http";

/** Pages that a monitor may be sent to, good and bad. Writes its port on the first line. */
const pages: Readonly<Record<string, string>> = {
  "/number": "12.5\n",
  "/metrics": "# HELP queue length\nqueue 7\nwait-ms 3\n",
  "/prometheus":
    '# TYPE errors_total counter\nerrors_total{code="500",path="/a b"} 2 1395066363000\nerrors_total{code="500",path="/"} 5\nup 1\n' +
    "padding 1\n".repeat(10_000),
  "/words": "not a number",
  "/huge": "1\n".repeat(1_000_000),
};

const server = createServer((request, response) => {
  const page = pages[request.url ?? ""];
  if (request.url === "/silent") return;
  if (request.url === "/elsewhere") response.writeHead(302, { location: "/number" });
  else if (page === undefined) response.writeHead(404);
  response.end(page);
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  console.log(typeof address === "object" ? address?.port : "");
});
