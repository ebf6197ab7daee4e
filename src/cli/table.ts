/** A column of a table: its heading, and its cell for a row. */
export type Column<Row> = {
  readonly heading: string;
  readonly cell: (row: Row) => string;
  readonly right?: boolean;
  /** Left out when no row has anything to say in it. */
  readonly optional?: boolean;
};

/** Less room than this for the last column, and it gets lines of its own. */
const foldedWidthMin = 24;
const ownLineIndent = 4;

/**
 * Rows as aligned text with headings in capitals, ending in a newline: one line each, unless the table is wider than
 * `width`; then the last column is folded.
 */
export function formatTable<Row>(
  all: readonly Column<Row>[],
  rows: readonly Row[],
  width = Number.POSITIVE_INFINITY,
): string {
  const columns = all.filter(
    ({ optional, cell }) => optional !== true || rows.some((row) => !["", "-"].includes(cell(row))),
  );
  const cells = [
    columns.map((column) => column.heading),
    ...rows.map((row) => columns.map((column) => printable(column.cell(row)))),
  ];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => (line[index] ?? "").length)));
  const lines = cells.map((line) => line.map((cell, index) => aligned(cell, index)));
  const before = widths.slice(0, -1).reduce((sum, one) => sum + one + 2, 0);
  const folded = columns.at(-1)?.right !== true && before + (widths.at(-1) ?? 0) > width;
  const text = lines.map((line) => (folded ? foldLast(line, before, width) : line.join("  ").trimEnd()));
  return `${text.join("\n")}\n`;

  function aligned(cell: string, index: number): string {
    const wanted = widths[index] ?? 0;
    return columns[index]?.right === true ? cell.padStart(wanted) : cell.padEnd(wanted);
  }
}

/** One row whose last cell goes on below itself, or, where there is no room for it, on lines of its own. */
function foldLast(line: readonly string[], before: number, width: number): string {
  const first = line.slice(0, -1).join("  ");
  const last = (line.at(-1) ?? "").trimEnd();
  const beside = width - before >= foldedWidthMin;
  const indent = beside ? before : ownLineIndent;
  const pieces = fold(last, width - indent).map((piece) => " ".repeat(indent) + piece);
  if (!beside || last === "") return [first.trimEnd(), ...(last === "" ? [] : pieces)].join("\n");
  return [`${first}  ${(pieces[0] ?? "").trimStart()}`, ...pieces.slice(1)].join("\n");
}

/** Text in lines of at most `width`, broken between words; a longer word keeps its length. */
function fold(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** "name: value" lines with the values aligned; absent values are left out. */
export function formatFacts(facts: readonly (readonly [name: string, value: string | undefined])[]): string {
  const present = facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
  const width = Math.max(0, ...present.map(([name]) => name.length));
  return present.map(([name, value]) => `${`${name}:`.padEnd(width + 1)}  ${printable(value)}\n`).join("");
}

/** What others wrote reaches the terminal without its control characters. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what must not reach a terminal
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, " ");
}

/** A text of others that may have several lines. */
export const printableLines = (text: string): string => text.split("\n").map(printable).join("\n");

/** Output of a program for a terminal: its colours and lines, and nothing that would do more there than be read. */
export function legible(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what must not reach a terminal
  const strange = /(\u001b\[[0-9;:]{0,32}m)|[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;
  return text.replaceAll(strange, (_sign, colour: string | undefined) => colour ?? "");
}
