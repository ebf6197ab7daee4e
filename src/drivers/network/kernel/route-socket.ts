import { closeSync } from "node:fs";
import { ConsortError } from "#base/errors.ts";
import { openNetlink, receiveSync, sendAsync, sendSync } from "./libc.ts";
import { attributesOf, decode, encode, errno, flag, headerBytes, textOf } from "./netlink-codec.ts";
import type { KernelRequest, NetlinkMessage } from "./netlink-codec.ts";

const errorMessage = 2;
const doneMessage = 3;
const extendedAck = 0x200;
const extendedAckText = 1;
/** Acknowledgements wait in the receive buffer until the whole batch was handled; this many always fit. */
const requestsPerBatch = 256;
const datagramBytesMax = 1024 * 1024;
/** Filled and copied out within one synchronous call, so that all sockets share it. */
const receiveBuffer = Buffer.allocUnsafeSlow(datagramBytesMax);

export type Answer = { readonly messages: readonly NetlinkMessage[]; readonly errno: number };

/** A conversation with the kernel, in the namespace it was opened in. Not for concurrent use. */
export class KernelSocket {
  readonly #fd: number;
  #sequence = 0;

  constructor(protocol: number) {
    this.#fd = openNetlink(protocol);
  }

  /** All requests in order; throws `driver_failed` for the first that was refused with an errno it does not tolerate. */
  do(requests: readonly KernelRequest[]): readonly Answer[] {
    const answers: Answer[] = [];
    for (let at = 0; at < requests.length; at += requestsPerBatch) {
      const batch = requests.slice(at, at + requestsPerBatch);
      const first = this.#sequence + 1;
      sendSync(this.#fd, this.#encode(batch));
      answers.push(...this.#collect(batch, first));
    }
    return answers;
  }

  /** Like `do`, for requests the kernel takes its time over: sent from another thread. */
  async doSlowly(requests: readonly KernelRequest[]): Promise<readonly Answer[]> {
    const answers: Answer[] = [];
    for (let at = 0; at < requests.length; at += requestsPerBatch) {
      const batch = requests.slice(at, at + requestsPerBatch);
      const first = this.#sequence + 1;
      await sendAsync(this.#fd, this.#encode(batch));
      answers.push(...this.#collect(batch, first));
    }
    return answers;
  }

  /** Every message of a dump. The bodies are copies. */
  dump(request: KernelRequest): readonly NetlinkMessage[] {
    this.#sequence += 1;
    sendSync(this.#fd, encode({ ...request, flags: request.flags | flag.dump }, this.#sequence));
    const found: NetlinkMessage[] = [];
    for (;;) {
      for (const message of decode(Buffer.from(receiveSync(this.#fd, receiveBuffer)))) {
        if (message.sequence !== this.#sequence) continue;
        if (message.type === doneMessage) return found;
        if (message.type === errorMessage) {
          const code = -message.body.readInt32LE(0);
          if (code === 0) continue;
          if (request.tolerate?.includes(code)) return found;
          throw refusal(request, code, message);
        }
        found.push(message);
      }
    }
  }

  /** For calls that take any socket. */
  get fd(): number {
    return this.#fd;
  }

  close(): void {
    closeSync(this.#fd);
  }

  #encode(batch: readonly KernelRequest[]): Buffer {
    return Buffer.concat(
      batch.map((request) => {
        this.#sequence += 1;
        return encode({ ...request, flags: request.flags | flag.ack }, this.#sequence);
      }),
    );
  }

  #collect(batch: readonly KernelRequest[], first: number): readonly Answer[] {
    const answers: Answer[] = [];
    let messages: NetlinkMessage[] = [];
    let failure: ConsortError | undefined;
    while (answers.length < batch.length) {
      for (const message of decode(Buffer.from(receiveSync(this.#fd, receiveBuffer)))) {
        const request = batch[message.sequence - first];
        if (request === undefined) continue;
        if (message.type !== errorMessage) {
          messages.push(message);
          continue;
        }
        const code = -message.body.readInt32LE(0);
        answers.push({ messages, errno: code });
        messages = [];
        if (code !== 0 && request.tolerate?.includes(code) !== true) {
          failure ??= refusal(request, code, message);
        }
      }
    }
    if (failure !== undefined) throw failure;
    return answers;
  }
}

function refusal(request: KernelRequest, code: number, message: NetlinkMessage): ConsortError {
  const { getSystemErrorMap } = process.getBuiltinModule("node:util");
  const [name, meaning] = getSystemErrorMap().get(-code) ?? [`errno ${code}`, "unknown error"];
  const words =
    (message.flags & extendedAck) === 0
      ? ""
      : textOf(attributesOf(message.body, 4 + headerBytes).get(extendedAckText));
  return new ConsortError("driver_failed", `Cannot ${request.what}: ${words || meaning} (${name})`, {
    details: { errno: code, missing: code === errno.ENODEV },
  });
}
