import { addressOf, ioctl } from "./libc.ts";

const siocEthtool = 0x8946;
const setters = {
  checksum: 0x17,
  segmentation: 0x1f,
  genericSegmentation: 0x24,
  genericReceive: 0x2c,
} as const;

/**
 * Leaves checksums and segmentation to the device, or does them before. Frames that end in a socket (a relay
 * between sites) must be whole, or TCP stalls while ping works. Devices that cannot change a setting keep it.
 */
export function setOffload(fd: number, name: string, on: boolean): void {
  for (const command of Object.values(setters)) {
    const value = Buffer.alloc(8);
    value.writeUInt32LE(command, 0);
    value.writeUInt32LE(on ? 1 : 0, 4);
    const request = Buffer.alloc(40);
    request.write(name, 0, 15, "latin1");
    request.writeBigUInt64LE(addressOf(value), 16);
    ioctl(fd, siocEthtool, request);
  }
}
