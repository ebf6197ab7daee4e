import { legible } from "#cli/table.ts";

/** A sign of colour that the piece ends amid: its rest comes with the next one. */
// oxlint-disable-next-line no-control-regex -- the escape character begins it
const unfinished = /\u001b(?:\[[0-9;:]{0,32})?$/;

/**
 * Shows what a program writes as it comes, in pieces cut anywhere: a terminal gets its lines and colours only, as whoever
 * wrote them could take it over otherwise; a file or pipe gets all as it is.
 */
export function programOutput(
  write: (content: string | Uint8Array) => void,
  isTerminal: boolean,
): (piece: Uint8Array) => void {
  if (!isTerminal) return write;
  const decoder = new TextDecoder();
  let kept = "";
  return (piece) => {
    const text = kept + decoder.decode(piece, { stream: true });
    kept = unfinished.exec(text)?.[0] ?? "";
    write(legible(text.slice(0, text.length - kept.length)));
  };
}
