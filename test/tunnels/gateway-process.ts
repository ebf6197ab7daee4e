/** A gateway's tunnel driver in a process of its own, as the driver works on the network namespace it runs in. */
import { codeOf, messageOf } from "#base/errors.ts";
import type { TunnelDriver } from "#drivers/network/port.ts";
import { tunnelDriver } from "#drivers/network/tunnels/tunnel-driver.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import type { TunnelPlan } from "#protocol/host-plan.ts";
import type { TunnelReport } from "#protocol/host-report.ts";

export type GatewayRequest = { readonly id: number } & (
  | { readonly do: "recover" | "publicKey" | "observe" | "close" }
  | { readonly do: "converge"; readonly tunnels: readonly TunnelPlan[] }
);
export type GatewayAnswer = {
  readonly id: number;
  readonly value?: string | readonly TunnelReport[];
  readonly error?: { readonly code: string; readonly message: string };
};

const [mark = "", stateDir = "", runDir = ""] = process.argv.slice(2);
const driver = tunnelDriver({
  mark,
  stateDir,
  runDir,
  outsideInterface: "wan",
  clock: systemClock(),
  log: silentLog,
  subprocess: systemSubprocess(),
});
const { signal } = new AbortController();

process.on("message", (request: GatewayRequest) => {
  answer(driver, request).then(
    (value) => process.send?.({ id: request.id, ...(value === undefined ? {} : { value }) }),
    (error: unknown) =>
      process.send?.({ id: request.id, error: { code: codeOf(error), message: messageOf(error) } }),
  );
});

async function answer(to: TunnelDriver, request: GatewayRequest): Promise<GatewayAnswer["value"]> {
  if (request.do === "publicKey") return to.publicKey(signal);
  if (request.do === "observe") return to.observe();
  if (request.do === "recover") await to.recover(signal);
  if (request.do === "converge") await to.converge(request.tunnels, signal);
  if (request.do === "close") {
    await to.close();
    setImmediate(() => process.disconnect());
  }
  return undefined;
}
