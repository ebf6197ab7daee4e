/**
 * A guest of four instructions, run by KVM in this process: adds two numbers and halts. Started as a child by the
 * doctor with a time limit, because on some machines /dev/kvm opens, makes a machine, and then never comes back from
 * running it. Prints "halted" and ends with 0, or why not and 1. The numbers are those of <linux/kvm.h> on x86-64.
 */
import { closeSync, openSync } from "node:fs";
import koffi from "koffi";

const createVm = 0xae01;
const getVcpuMmapSize = 0xae04;
const createVcpu = 0xae41;
const setUserMemoryRegion = 0x4020ae46;
const run = 0xae80;
const getRegs = 0x8090ae81;
const setRegs = 0x4090ae82;
const getSregs = 0x8138ae83;
const setSregs = 0x4138ae84;
const exitHalt = 5;

const regsBytes = 144;
const sregsBytes = 312;
const ripOffset = 128;
const flagsOffset = 136;
const guestBytes = 4096;
const guestAddress = 0x1000n;
const readWrite = 3;
const shared = 1;
const anonymous = 0x20;
/** mov al,2; mov bl,3; add al,bl; hlt */
const program = Buffer.from([0xb0, 2, 0xb3, 3, 0x00, 0xd8, 0xf4]);
const sum = 5n;

const libc = koffi.load("libc.so.6");
const ioctlNumber = libc.func("int ioctl(int fd, unsigned long request, long value)");
const ioctlBuffer = libc.func("int ioctl(int fd, unsigned long request, void *value)");
const mmap = libc.func("void *mmap(void *at, size_t length, int protection, int flags, int fd, long offset)");

function checked(result: unknown, what: string): number {
  if (typeof result !== "number" || result < 0) throw new Error(`KVM refuses to ${what}`);
  return result;
}

function guest(): string {
  const kvm = openSync("/dev/kvm", "r+");
  const vm = checked(ioctlNumber(kvm, createVm, 0), "make a machine");
  const memory: unknown = mmap(null, guestBytes, readWrite, shared | anonymous, -1, 0);
  koffi.encode(memory, koffi.array("uint8_t", program.length), [...program]);
  const region = Buffer.alloc(32);
  region.writeBigUInt64LE(guestAddress, 8);
  region.writeBigUInt64LE(BigInt(guestBytes), 16);
  region.writeBigUInt64LE(koffi.address(memory), 24);
  checked(ioctlBuffer(vm, setUserMemoryRegion, region), "give it memory");
  const vcpu = checked(ioctlNumber(vm, createVcpu, 0), "make a processor");
  const size = checked(ioctlNumber(kvm, getVcpuMmapSize, 0), "tell the size of its state");
  const state: unknown = mmap(null, size, readWrite, shared, vcpu, 0);
  const sregs = Buffer.alloc(sregsBytes);
  checked(ioctlBuffer(vcpu, getSregs, sregs), "read segments");
  // The code segment comes first: base, limit, selector.
  sregs.writeBigUInt64LE(0n, 0);
  sregs.writeUInt16LE(0, 12);
  checked(ioctlBuffer(vcpu, setSregs, sregs), "set segments");
  const regs = Buffer.alloc(regsBytes);
  regs.writeBigUInt64LE(guestAddress, ripOffset);
  regs.writeBigUInt64LE(2n, flagsOffset);
  checked(ioctlBuffer(vcpu, setRegs, regs), "set registers");
  checked(ioctlNumber(vcpu, run, 0), "run it");
  const reason: unknown = koffi.decode(state, 8, "uint32_t");
  if (reason !== exitHalt) throw new Error(`the guest stopped for reason ${String(reason)}, wanted a halt`);
  checked(ioctlBuffer(vcpu, getRegs, regs), "read registers");
  const result = regs.readBigUInt64LE(0) & 0xffn;
  if (result !== sum) throw new Error(`the guest computed ${result}, wanted ${sum}`);
  closeSync(kvm);
  return "halted";
}

try {
  process.stdout.write(guest());
} catch (cause) {
  process.stdout.write(cause instanceof Error ? cause.message : String(cause));
  process.exitCode = 1;
}
