/** The words of a command, or why it has none. No shell runs: no variables, no globs, no pipes. */
export type Words =
  | { readonly ok: true; readonly words: readonly string[] }
  | { readonly ok: false; readonly message: string; readonly suggestion?: string };

/** Splits as a POSIX shell splits words: blanks, '…' verbatim, "…" with \" \\ \$ \`, and \x outside quotes. */
export function splitWords(text: string): Words {
  const words: string[] = [];
  let word: string | undefined;
  let at = 0;
  while (at < text.length) {
    const letter = text.charAt(at);
    if (/[ \t\r\n]/.test(letter)) {
      if (word !== undefined) words.push(word);
      word = undefined;
      at += 1;
    } else if (letter === "'" || letter === '"') {
      const end = closingQuote(text, at);
      if (end < 0) return { ok: false, message: `the ${letter} at character ${at + 1} is never closed` };
      const inside = text.slice(at + 1, end);
      word = (word ?? "") + (letter === "'" ? inside : inside.replace(/\\(["\\$`])/g, "$1"));
      at = end + 1;
    } else if (letter === "\\") {
      word = (word ?? "") + text.charAt(at + 1);
      at += 2;
    } else {
      if (/[|&;<>]/.test(letter)) return shellSyntax(letter, text);
      word = (word ?? "") + letter;
      at += 1;
    }
  }
  if (word !== undefined) words.push(word);
  return { ok: true, words };
}

function closingQuote(text: string, open: number): number {
  const quote = text.charAt(open);
  for (let at = open + 1; at < text.length; at += 1) {
    if (text.charAt(at) === quote) return at;
    if (quote === '"' && text.charAt(at) === "\\") at += 1;
  }
  return -1;
}

function shellSyntax(letter: string, text: string): Words {
  return {
    ok: false,
    message: `"${letter}" is for a shell, and no shell runs`,
    suggestion: `write [sh, -c, ${JSON.stringify(text.length > 40 ? "..." : text)}], or quote it`,
  };
}
