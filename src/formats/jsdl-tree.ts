import { shown } from "#formats/problem.ts";
import type { Place } from "#formats/source.ts";
import { didYouMean } from "#formats/suggestion.ts";
import { XmlRefusal } from "#formats/xml-tree.ts";
import type { Element } from "#formats/xml-tree.ts";

/** The namespaces a job's document may use, by the short names the messages use. */
export const jsdlNamespaces = {
  jsdl: "http://schemas.ggf.org/jsdl/2005/11/jsdl",
  posix: "http://schemas.ggf.org/jsdl/2005/11/jsdl-posix",
  consort: "urn:consort:jsdl",
} as const;
type Vocabulary = keyof typeof jsdlNamespaces;

/** An element whose prefix has been looked up. `name`: "jsdl Source". */
export type Node = {
  readonly vocabulary: Vocabulary;
  readonly local: string;
  readonly place: Place;
  readonly text: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly Node[];
};

/** Resolves prefixes; throws an XmlRefusal for elements of vocabularies nobody here knows. */
export function resolveNames(element: Element, outer: ReadonlyMap<string, string> = new Map()): Node {
  const declared = Object.entries(element.attributes).flatMap(([key, value]): [string, string][] => {
    if (key === "xmlns") return [["", value]];
    return key.startsWith("xmlns:") ? [[key.slice("xmlns:".length), value]] : [];
  });
  const scope = declared.length === 0 ? outer : new Map([...outer, ...declared]);
  const [local = "", prefix = ""] = element.name.split(":").reverse();
  const namespace = scope.get(prefix);
  const vocabulary = Object.entries(jsdlNamespaces).find(([, uri]) => uri === namespace)?.[0];
  if (vocabulary === undefined) {
    const where = namespace === undefined ? "no namespace" : `the namespace ${shown(namespace)}`;
    const message = `<${element.name}> is of ${where}, which is not known`;
    throw new XmlRefusal(element.place, message, `JSDL 1.0 is ${jsdlNamespaces.jsdl}`);
  }
  return {
    vocabulary: vocabulary as Vocabulary,
    local,
    place: element.place,
    text: element.text,
    attributes: Object.fromEntries(
      Object.entries(element.attributes).filter(([key]) => key !== "xmlns" && !/^(xmlns|xsi|xml):/.test(key)),
    ),
    children: element.children.map((child) => resolveNames(child, scope)),
  };
}

/** What may stand inside an element: what is read, and what the standard has but is refused here, each with a remedy. */
export type Shape = {
  readonly read: readonly string[];
  readonly refused?: Readonly<Record<string, string>>;
  readonly attributes?: readonly string[];
  /** Of which there may be more than one. */
  readonly many?: readonly string[];
};

/** Refuses by its name whatever would otherwise be passed over. */
export function checkInside(node: Node, shape: Shape): void {
  for (const attribute of Object.keys(node.attributes)) {
    if (shape.attributes?.includes(attribute) === true) continue;
    throw new XmlRefusal(node.place, `attribute ${shown(attribute)} of <${node.local}> is not supported`);
  }
  if (shape.read.length > 0 && node.text.trim() !== "") {
    const message = `<${node.local}> contains text ${shown(node.text.trim())}, which means nothing there`;
    throw new XmlRefusal(node.place, message);
  }
  const seen = new Set<string>();
  for (const child of node.children) {
    const { local, place } = child;
    if (shape.read.includes(local)) {
      if (seen.has(local) && shape.many?.includes(local) !== true)
        throw new XmlRefusal(place, `a second <${local}> in <${node.local}>`);
      seen.add(local);
      continue;
    }
    const refused = shape.refused ?? {};
    if (Object.hasOwn(refused, local))
      throw new XmlRefusal(place, `<${local}> of JSDL is not supported`, refused[local]);
    throw new XmlRefusal(
      place,
      `<${local}> is not known inside <${node.local}>`,
      didYouMean(local, [...shape.read, ...Object.keys(refused)]),
    );
  }
}

export const childOf = (node: Node | undefined, local: string): Node | undefined =>
  node?.children.find((child) => child.local === local);

export const childrenOf = (node: Node | undefined, local: string): readonly Node[] =>
  node?.children.filter((child) => child.local === local) ?? [];

/** The text of an element that has nothing else in it. */
export function textOf(node: Node): string {
  const [inner] = node.children;
  if (inner !== undefined)
    throw new XmlRefusal(inner.place, `<${inner.local}> is not known inside <${node.local}>`);
  return node.text.trim();
}

const boundNames = ["Exact", "LowerBoundedRange", "UpperBoundedRange", "Range"];

/** The least that satisfies a JSDL range: what is to be promised. */
export function leastOf(node: Node): number {
  checkInside(node, { read: boundNames });
  const [exact, lower, range] = [
    childOf(node, "Exact"),
    childOf(node, "LowerBoundedRange"),
    childOf(node, "Range"),
  ];
  const bound = range === undefined ? undefined : childOf(range, "LowerBound");
  const given = exact ?? lower ?? bound;
  if (given === undefined) {
    const message = `<${node.local}> says nothing of the least that is needed`;
    throw new XmlRefusal(node.place, message, "write <Exact> or <LowerBoundedRange>");
  }
  return numberOf(given);
}

export function numberOf(node: Node): number {
  const text = textOf(node);
  const value = /^[+]?\d{1,18}(?:\.\d{1,9})?(?:[eE][+]?\d{1,2})?$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isFinite(value) && value <= Number.MAX_SAFE_INTEGER) return value;
  throw new XmlRefusal(node.place, `expected a number in <${node.local}>, not ${shown(text)}`);
}
