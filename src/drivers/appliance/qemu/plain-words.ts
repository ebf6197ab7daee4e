/** What a guest wrote goes to people's terminals and logs: without what would take over either, and not for ever. */
export const plainWords = (text: string, lengthMax: number): string =>
  text
    .slice(0, lengthMax)
    // oxlint-disable-next-line no-control-regex -- control characters are what must not be told
    .replaceAll(/[\s\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]+/g, " ")
    .trim();
