import { Agent, get } from "node:http";

/**
 * Asks one address again and again, over one connection and then over a new one each, until its input ends; then tells
 * how many requests there were, how many had no answer, and how long the longest took.
 */
const url = process.argv[2] ?? "";
const betweenMs = 2;
const patienceMs = 10_000;
const agents = [new Agent({ keepAlive: true, maxSockets: 1 }), new Agent({ keepAlive: false })];
let [sent, lost, longestMs] = [0, 0, 0];
const over = new AbortController();
const reasons: string[] = [];

const ask = (agent: Agent): Promise<void> =>
  new Promise((resolve) => {
    const began = performance.now();
    const end = (why: string | undefined): void => {
      if (why !== undefined) {
        lost += 1;
        reasons.push(why);
      }
      longestMs = Math.max(longestMs, performance.now() - began);
      resolve();
    };
    const request = get(url, { agent, timeout: patienceMs }, (answer) => {
      answer.resume();
      answer.once("end", () => end(answer.statusCode === 200 ? undefined : `status ${answer.statusCode}`));
      answer.once("error", (cause) => end(cause.message));
    });
    request.once("timeout", () => request.destroy(new Error("no answer")));
    request.once("error", (cause) => end(cause.message));
  });

const pause = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, betweenMs));

async function run(agent: Agent): Promise<void> {
  while (!over.signal.aborted) {
    sent += 1;
    await ask(agent);
    await pause();
  }
}

process.stdin.resume();
process.stdin.once("end", () => over.abort());
await Promise.all(agents.map(run));
process.stdout.write(JSON.stringify({ sent, lost, longestMs, reasons }));
process.exit(0);
