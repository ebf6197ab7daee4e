import * as z from "zod";
import type { BitsPerSecond, Bytes, Micros, MilliCpu, Millis } from "#base/units.ts";

/**
 * Leaves of a snapshot: what programs wrote, so numbers are plain and units are in the names of the fields. Brands
 * come with the types alone, as a snapshot may be hundreds of megabytes.
 */
export const text = z.string({ error: "text" });
export const flag = z.boolean({ error: "true or false" });

/** An id or name of one kind; which it is, the caller says. */
export const idOf = <Id extends string>(what: string): z.ZodType<Id, string> =>
  z.string({ error: what }).min(1, { error: what }) as unknown as z.ZodType<Id, string>;

const amountExpected = "a number of 0 or more";
const amountOf = <Unit extends number>(): z.ZodType<Unit, number> =>
  z.number({ error: amountExpected }).min(0, { error: amountExpected }) as unknown as z.ZodType<Unit, number>;

export const amount = amountOf<number>();
export const milliCpu = amountOf<MilliCpu>();
export const bytes = amountOf<Bytes>();
export const bitsPerSecond = amountOf<BitsPerSecond>();
export const millis = amountOf<Millis>();
export const micros = amountOf<Micros>();

const wholeExpected = "a whole number of 0 or more";
export const whole = z
  .number({ error: wholeExpected })
  .int({ error: wholeExpected })
  .min(0, { error: wholeExpected });

export const listOf = <Item extends z.ZodType>(item: Item): z.ZodArray<Item> =>
  z.array(item, { error: "a list" });

export const mapOf = <Key extends z.ZodType<string, string>, Value extends z.ZodType>(
  key: Key,
  value: Value,
): z.ZodRecord<Key, Value> => z.record(key, value, { error: "a map" });

export const textMap = mapOf(text, text);

export const shape = <Fields extends z.core.$ZodLooseShape>(
  fields: Fields,
): z.ZodObject<Fields, z.core.$strict> => z.strictObject(fields, { error: "a map" });
