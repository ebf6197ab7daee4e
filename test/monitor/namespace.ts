import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import type { MonitorTarget } from "#drivers/monitor/port.ts";

let count = 0;

/** A network namespace with a loopback interface, and programs in it, in place of an appliance. */
export class Namespace implements AsyncDisposable {
  readonly name: string;
  readonly target: MonitorTarget;
  readonly #children: ChildProcess[] = [];

  constructor(name?: string) {
    count += 1;
    this.name = name ?? `consort-test-monitor-${process.pid}-${count}`;
    this.target = {
      appliance: applianceId(ensembleName("conformance"), applianceName("one")),
      netns: `/run/netns/${this.name}`,
      names: new Map([["self", "127.0.0.1"]]),
    };
    execFileSync("ip", ["netns", "add", this.name]);
    execFileSync("ip", ["-n", this.name, "link", "set", "lo", "up"]);
  }

  /** Resolves with the child once it has written its first line; what it writes is for the caller. */
  async node(program: string, ...args: string[]): Promise<{ child: ChildProcess; firstLine: string }> {
    const file = fileURLToPath(new URL(program, import.meta.url));
    const child = this.spawn(process.execPath, file, ...args);
    const lines = createInterface({ input: child.stdout! });
    const [firstLine] = (await once(lines, "line")) as [string];
    return { child, firstLine };
  }

  spawn(...command: string[]): ChildProcess {
    const child = spawn("ip", ["netns", "exec", this.name, ...command], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#children.push(child);
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    execFileSync("ip", ["netns", "delete", this.name]);
  }
}
