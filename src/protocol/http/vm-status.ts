import { z } from "zod";

/** A virtual machine as it is asked for, and, once its host tells of it, as it is. */
export const vmStatusSchema = z.strictObject({
  image: z.string(),
  software: z.array(z.string()).optional(),
  /** "microvm" or "q35"; "auto" until its host has decided. */
  machine: z.string(),
  /** "kvm" or "tcg"; "auto" until its host has decided. */
  accel: z.string(),
  vcpus: z.int(),
  vcpusMax: z.int(),
  /** What its guest may use now: less than its memory while its balloon is inflated. */
  memoryBytes: z.number().optional(),
  memoryBytesMax: z.number(),
  /** How it began: "cold", "warm" or "restored". */
  start: z.string().optional(),
  /** Whether a program in the guest answers: "answers", "silent" or "none". */
  agent: z.string().optional(),
  /** Of its creation, in order. */
  stages: z.array(z.strictObject({ stage: z.string(), tookMs: z.number() })).optional(),
});
export type VmStatus = z.infer<typeof vmStatusSchema>;
