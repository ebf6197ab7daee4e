import { SaxesParser } from "saxes";
import type { SaxesTagPlain } from "saxes";
import { formatLimits } from "#formats/limits.ts";
import type { Place } from "#formats/source.ts";

export type Element = {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly place: Place;
  readonly children: Element[];
  /** All its character data, entities resolved. */
  text: string;
};

/** Something wrong with an XML text, at a place in it. */
export class XmlRefusal extends Error {
  readonly place: Place;
  readonly suggestion: string | undefined;
  constructor(place: Place, message: string, suggestion?: string) {
    super(message);
    this.place = place;
    this.suggestion = suggestion;
  }
}

/**
 * XML to a tree; throws an XmlRefusal at the first fault. No document type declarations, so no entities beyond the
 * five of XML, nothing expanded and nothing fetched.
 */
export function readXmlTree(text: string): Element {
  const parser = new SaxesParser({ xmlns: false, position: true });
  const stack: Element[] = [];
  let root: Element | undefined;
  let place: Place = { line: 1, column: 1 };
  const here = (): Place => ({ line: parser.line, column: Math.max(1, parser.column) });
  parser.on("error", (error) => {
    throw new XmlRefusal(here(), `not valid XML: ${error.message.replace(/^\d+:\d+: /, "")}`);
  });
  parser.on("doctype", () => {
    throw new XmlRefusal(here(), "a document type declaration is not accepted", "leave out <!DOCTYPE ...>");
  });
  parser.on("opentagstart", (tag) => {
    const { line, column } = here();
    place = { line, column: Math.max(1, column - tag.name.length - 1) };
  });
  parser.on("opentag", (tag: SaxesTagPlain) => {
    const element = { name: tag.name, attributes: tag.attributes, place, children: [], text: "" };
    if (stack.length >= formatLimits.depth) {
      throw new XmlRefusal(place, `nested more than ${formatLimits.depth} deep`);
    }
    stack.at(-1)?.children.push(element);
    root ??= element;
    stack.push(element);
  });
  const add = (content: string): void => {
    const open = stack.at(-1);
    if (open !== undefined) open.text += content;
  };
  parser.on("text", add);
  parser.on("cdata", add);
  parser.on("closetag", () => {
    stack.pop();
  });
  parser.write(text).close();
  if (root === undefined) throw new XmlRefusal({ line: 1, column: 1 }, "not valid XML: there is no element");
  return root;
}
