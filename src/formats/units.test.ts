import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  bitsPerSecond,
  bytes,
  formatBandwidth,
  formatBytes,
  formatCpu,
  formatDuration,
  micros,
  milliCpu,
  millis,
} from "#base/units.ts";
import {
  bandwidthText,
  bytesText,
  cpuShareText,
  durationText,
  durationUsText,
  parseBandwidth,
  parseBytes,
  parseCpuReservation,
  parseCpuShare,
  parseDuration,
  parseDurationUs,
} from "#formats/units.ts";
import type { Quantity } from "#formats/units.ts";

function reads<T>(parse: (text: string) => Quantity<T>, cases: Readonly<Record<string, T | number>>): void {
  for (const [text, value] of Object.entries(cases)) assert.deepEqual(parse(text), { ok: true, value }, text);
}

function refuses(parse: (text: string) => Quantity<unknown>, cases: Readonly<Record<string, string>>): void {
  for (const [text, suggestion] of Object.entries(cases)) {
    const parsed = parse(text);
    assert.equal(parsed.ok, false, text);
    if (!parsed.ok) assert.equal(parsed.suggestion ?? "", suggestion, text);
  }
}

test("bandwidth has decimal prefixes and several spellings", () => {
  reads(parseBandwidth, {
    "600Mbit/s": 600e6,
    "1Gbit/s": 1e9,
    "40Mbps": 40e6,
    "800 kbit/s": 800e3,
    "1.5Gbit": 1.5e9,
    "2mbit": 2e6,
    "9600bit/s": 9600,
  });
});

test("bandwidth without a unit or in bytes is refused with what to write", () => {
  refuses(parseBandwidth, {
    "600": "write 600Mbit/s",
    "600M": "write 600Mbit/s",
    "75MB/s": "write 600Mbit/s",
    fast: "",
    "-1Mbit/s": "",
    "0Mbit/s": "",
    "99999999999999Tbit/s": "",
  });
});

test("sizes are binary with an i and decimal without", () => {
  reads(parseBytes, { "512MiB": 512 * 2 ** 20, "1GB": 1e9, "64Ki": 65536, "100B": 100, "0.5GiB": 2 ** 29 });
});

test("an ambiguous size is refused with what to write", () => {
  refuses(parseBytes, {
    "512M": "write 512MiB or 512MB",
    "512m": "write 512MiB or 512MB",
    "512": "write 512MiB (or 512B)",
    big: "",
    "0MiB": "",
  });
});

test("CPU is a percentage or cores", () => {
  reads(parseCpuShare, { "150%": 1500, "0.5": 500, ".5": 500, "2": 2000, "0.1%": 1 });
  refuses(parseCpuShare, { "0%": "", "50 percent": "", "": "" });
});

test("a CPU reservation is execution time per period", () => {
  reads(parseCpuReservation, { "16ms/40ms": { executionUs: micros(16_000), periodUs: micros(40_000) } });
  refuses(parseCpuReservation, { "16ms": "", "16/40": "", "1ms/2s": "", "0ms/40ms": "", "1ms/1us": "" });
});

test("durations may have several parts", () => {
  reads(parseDuration, { "16ms": 16, "2s": 2000, "1m30s": 90_000, "1h": 3_600_000, "0s": 0, "1.5s": 1500 });
  reads(parseDurationUs, { "250us": 250, "1ms": 1000 });
  refuses(parseDuration, { "10": "write 10s or 10ms", soon: "", s: "", "1s1": "" });
});

const whole = (least: number): fc.Arbitrary<number> =>
  fc.oneof(
    fc.integer({ min: least, max: 4000 }),
    fc.integer({ min: least, max: 2 ** 42 }),
    fc
      .tuple(fc.integer({ min: Math.max(1, least), max: 999 }), fc.constantFrom(1, 1e3, 1e6, 1e9))
      .map(([n, f]) => n * f),
    fc
      .tuple(fc.integer({ min: Math.max(1, least), max: 999 }), fc.constantFrom(10, 20, 30))
      .map(([n, p]) => n * 2 ** p),
  );

test("every quantity reads back from its own text exactly", () => {
  fc.assert(
    fc.property(whole(1), (n) => {
      reads(parseBandwidth, { [bandwidthText(bitsPerSecond(n))]: n });
      reads(parseBytes, { [bytesText(bytes(n))]: n });
      reads(parseCpuShare, { [cpuShareText(milliCpu(n))]: n });
      reads(parseDuration, { [durationText(millis(n))]: n });
      reads(parseDurationUs, { [durationUsText(micros(n))]: n });
    }),
  );
});

test("what people are shown reads back within its rounding", () => {
  const near = (parsed: Quantity<number>, value: number, tolerance: number, text: string): void => {
    assert.ok(parsed.ok, text);
    assert.ok(Math.abs(parsed.value - value) <= tolerance, `${text} for ${value}`);
  };
  fc.assert(
    fc.property(whole(1), (n) => {
      const texts = [
        formatBandwidth(bitsPerSecond(n)),
        formatBytes(bytes(n)),
        formatCpu(milliCpu(n)),
      ] as const;
      near(parseBandwidth(texts[0]), n, n * 0.006, texts[0]);
      near(parseBytes(texts[1]), n, n * 0.006, texts[1]);
      near(parseCpuShare(texts[2]), n, 1, texts[2]);
      const shown = formatDuration(millis(n));
      near(parseDuration(shown), n, n < 60_000 ? 10 : n < 3_600_000 ? 1_000 : 60_000, shown);
    }),
  );
});

test("no text makes a parser throw, and what parses is a whole number above nothing", () => {
  const alphabet = "0123456789.kMGTiBbit/s%um h".split("");
  const text = fc.oneof(
    fc.string(),
    fc.array(fc.constantFrom(...alphabet)).map((letters) => letters.join("")),
  );
  fc.assert(
    fc.property(text, (input) => {
      for (const parse of [parseBandwidth, parseBytes, parseCpuShare]) {
        const parsed = parse(input);
        if (parsed.ok) assert.ok(Number.isSafeInteger(parsed.value) && parsed.value > 0, input);
      }
      const duration = parseDurationUs(input);
      if (duration.ok) assert.ok(Number.isSafeInteger(duration.value), input);
      parseCpuReservation(input);
    }),
  );
});
