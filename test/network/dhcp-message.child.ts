/**
 * Says one DHCP message as any program in a guest may, true or not; for tests.
 *
 *   dhcp-message.child.ts TYPE CARD ADDRESS SERVER [NAME]
 */
import { createSocket } from "node:dgram";

const [type = "", card = "", address = "", server = "", name] = process.argv.slice(2);
const cookie = [0x63, 0x82, 0x53, 0x63];
const octets = (text: string): number[] => text.split(".").map(Number);
const option = (code: number, bytes: readonly number[]): number[] => [code, bytes.length, ...bytes];

const header = Buffer.alloc(236);
header.set([1, 1, 6, 0, 1, 2, 3, 4]);
header.set(Buffer.from(card.replaceAll(":", ""), "hex"), 28);
const message = Buffer.concat([
  header,
  Buffer.from([
    ...cookie,
    ...option(53, [Number(type)]),
    ...option(54, octets(server)),
    ...option(50, octets(address)),
    ...(name === undefined ? [] : option(12, [...Buffer.from(name)])),
    255,
  ]),
]);
const socket = createSocket("udp4");
socket.send(message, 67, server, () => socket.close());
