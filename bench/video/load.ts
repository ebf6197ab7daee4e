import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Ensemble } from "#model/ensemble.ts";
import { readEnsembleFile } from "../../test/rig/rig.ts";

/** The load of the example, whoever runs it: four films, then a fifth, two transcoders, cross traffic, one receiver. */

export const exampleFile = join(import.meta.dirname, "../../examples/video-on-demand.yaml");
export const labFile = join(import.meta.dirname, "../../examples/video-on-demand/lab.yaml");

export const firstFilms = [1, 2, 3, 4] as const;
export const fifthFilm = 5;
export const transcoders = [1, 2] as const;

/** Every film has the same picture, which says how much CPU time it takes. */
export type Picture = { readonly width: number; readonly height: number };

export const pictureText = (picture: Picture): string => `${picture.width}x${picture.height}`;

/** Something that runs the load; the bench measures what arrives. */
export type Stage = {
  readonly name: string;
  /** Where it takes longer than elsewhere until room for the fifth film is made, as something has to see first. */
  readonly settleMs?: number;
  /** Four films, the transcoders, the cross traffic and the receiver run when it resolves. */
  start(signal: AbortSignal): Promise<void>;
  /** Room for a fifth film is made, where that can be, and the film started. */
  fifth(signal: AbortSignal): Promise<void>;
  /** All that has arrived since the start, or the last of it. */
  arrivals(signal: AbortSignal, lastBytes?: number): Promise<string>;
  /** What else is to be told of it, at its end. */
  remarks?(signal: AbortSignal): Promise<string[]>;
  stop(): Promise<void>;
};

/** Writes the programs of the example to a directory, so that others than Consort run the very same. */
export function writePrograms(directory: string): void {
  mkdirSync(directory, { recursive: true });
  for (const { files } of example().appliances) {
    for (const file of files) writeFileSync(join(directory, basename(file.path)), file.content);
  }
}

export function example(): Ensemble {
  return readEnsembleFile(exampleFile);
}

/** Whose command it is in the example, in words: "perl /srv/cross.pl viewer 9000 8". */
export function commandOf(appliance: string): readonly string[] {
  const found = example().appliances.find(({ name }) => name === appliance);
  if (found === undefined) throw new Error(`the example has no ${appliance}`);
  return found.command;
}
