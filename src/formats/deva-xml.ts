import { shown } from "#formats/problem.ts";
import type { MemberPlace, Place, Places } from "#formats/source.ts";
import { didYouMean } from "#formats/suggestion.ts";
import { readXmlTree, XmlRefusal } from "#formats/xml-tree.ts";
import type { Element } from "#formats/xml-tree.ts";
import type { SourceResult } from "#formats/yaml-source.ts";

/**
 * DEVA XML (docs/reference/deva-xml.md) to the same plain document that YAML gives, with places. This file knows
 * the shape of the XML; what the values may be, ensemble-schema.ts decides. (Source: reference deva.md, Flow.)
 */
export function readDevaXml(text: string): SourceResult {
  try {
    const root = readXmlTree(text);
    checkShape(root, "ensemble", rootShape);
    const writer = new DocumentWriter();
    return { ok: true, source: { value: writer.ensemble(root), places: writer.places } };
  } catch (error) {
    if (!(error instanceof XmlRefusal)) {
      return { ok: false, problem: { line: 1, column: 1, message: "this is not XML that can be read" } };
    }
    const suggestion = error.suggestion === undefined ? {} : { suggestion: error.suggestion };
    return { ok: false, problem: { ...error.place, message: error.message, ...suggestion } };
  }
}

type Shape = {
  readonly attributes?: readonly string[];
  readonly required?: readonly string[];
  readonly children?: Readonly<Record<string, Shape>>;
  /** Its text counts; elsewhere only blanks are allowed. */
  readonly text?: true;
};

const textShape: Shape = { text: true };
const members: Shape = {
  attributes: ["scope"],
  children: { member: { required: ["appliance"] } },
};

const vmShape: Shape = {
  attributes: ["machine", "accel", "vcpus", "vcpusMax", "memoryMax", "home", "swap", "start"],
  children: {
    software: { required: ["image"] },
    key: textShape,
    disk: { attributes: ["read", "write", "reads", "writes"] },
    checkpoint: { required: ["every"], attributes: ["copies", "store", "keep"] },
  },
};

/** Attributes that are whole numbers. */
const wholeNumbers: ReadonlySet<string> = new Set([
  "replicas",
  "priority",
  "vcpus",
  "vcpusMax",
  "reads",
  "writes",
  "copies",
  "keep",
]);

const rootShape: Shape = {
  required: ["name"],
  attributes: ["xmlns"],
  children: {
    description: textShape,
    network: { required: ["name"], attributes: ["subnet"] },
    appliance: {
      required: ["name"],
      attributes: ["kind", "replicas", "image", "directory", "restart", "priority", "stopGrace"],
      children: {
        cpu: { attributes: ["share", "limit", "execution", "period"] },
        memory: { required: ["size"] },
        vm: vmShape,
        command: textShape,
        argument: textShape,
        env: { required: ["name"], text: true },
        file: { required: ["path"], attributes: ["mode"], text: true },
        attach: { required: ["network"] },
        require: { attributes: ["host", "site", "label", "value"] },
      },
    },
    link: {
      required: ["from", "to"],
      attributes: ["network", "bandwidth", "ceiling", "latency", "priority"],
    },
    together: members,
    apart: members,
  },
};

function checkShape(element: Element, name: string, shape: Shape): void {
  if (element.name !== name) {
    const suggestion = `the root is <${name} name="...">`;
    throw new XmlRefusal(element.place, `<${element.name}> is not known as the root`, suggestion);
  }
  const known = [...(shape.required ?? []), ...(shape.attributes ?? [])];
  for (const attribute of Object.keys(element.attributes)) {
    if (known.includes(attribute)) continue;
    const message = `attribute ${shown(attribute)} is not known on <${name}>`;
    throw new XmlRefusal(element.place, message, didYouMean(attribute, known));
  }
  const missing = shape.required?.find((attribute) => !Object.hasOwn(element.attributes, attribute));
  if (missing !== undefined)
    throw new XmlRefusal(element.place, `<${name}> needs the attribute "${missing}"`);
  if (shape.text === undefined && element.text.trim() !== "") {
    throw new XmlRefusal(
      element.place,
      `<${name}> contains text ${shown(element.text.trim())}, which means nothing there`,
    );
  }
  const children = shape.children ?? {};
  for (const child of element.children) {
    const inner = Object.hasOwn(children, child.name) ? children[child.name] : undefined;
    if (inner === undefined) {
      const message = `<${child.name}> is not known inside <${name}>`;
      throw new XmlRefusal(child.place, message, didYouMean(child.name, Object.keys(children)));
    }
    checkShape(child, child.name, inner);
  }
}

/** Builds the document's lists and maps, noting for each member the element it came from. */
class DocumentWriter {
  readonly places: Places = new WeakMap();

  ensemble(root: Element): unknown {
    const networks = named(root, "network", "name");
    return this.#map([
      ["ensemble", root.attributes["name"], root.place],
      ...this.#texts(root, "description", "description", (text) => text.trim()),
      ...(networks.length === 0
        ? []
        : [this.#entry("networks", networks, (element) => this.#attributes(element, ["subnet"]))]),
      this.#entry(
        "appliances",
        named(root, "appliance", "name"),
        (element) => this.#appliance(element),
        root.place,
      ),
      ...this.#listEntry("links", childrenOf(root, "link"), (element) => this.#link(element)),
      ...this.#listEntry("placement", childrenOf(root, "together", "apart"), (element) =>
        this.#rule(element),
      ),
    ]);
  }

  #appliance(element: Element): unknown {
    const requirement = (attribute: string): Element[] =>
      childrenOf(element, "require").filter((child) => child.attributes[attribute] !== undefined);
    const valueOf = (attribute: string) => (child: Element) => child.attributes[attribute];
    const words = childrenOf(element, "argument");
    return this.#map([
      ...attributesOf(element).filter(([key]) => key !== "name"),
      ...single(element, "cpu", (cpu) => this.#cpu(cpu)),
      ...single(element, "memory", (memory) => memory.attributes["size"]),
      ...single(element, "vm", (vm) => this.#vm(vm)),
      ...(words.length > 0
        ? this.#listEntry("command", words, (word) => word.text)
        : single(element, "command", (command) => command.text)),
      ...this.#mapEntry("env", named(element, "env", "name"), (child) => child.text),
      ...this.#mapEntry("files", named(element, "file", "path"), (child) => this.#file(child)),
      ...this.#listEntry("networks", childrenOf(element, "attach"), valueOf("network")),
      ...this.#listEntry("hosts", requirement("host"), valueOf("host")),
      ...this.#listEntry("sites", requirement("site"), valueOf("site")),
      ...this.#mapEntry(
        "labels",
        unique(requirement("label"), "label"),
        (child) => child.attributes["value"] ?? "",
      ),
    ]);
  }

  #vm(element: Element): unknown {
    return this.#map([
      ...attributesOf(element),
      ...this.#listEntry("software", childrenOf(element, "software"), (one) => one.attributes["image"]),
      ...this.#listEntry("sshKeys", childrenOf(element, "key"), (key) => key.text.trim()),
      ...single(element, "disk", (disk) => this.#map(attributesOf(disk))),
      ...single(element, "checkpoint", (policy) => this.#map(attributesOf(policy))),
    ]);
  }

  #cpu(element: Element): unknown {
    const { share, limit, execution, period } = element.attributes;
    if (share !== undefined && execution === undefined && period === undefined) {
      return limit === undefined ? share : { share, limit };
    }
    if (execution !== undefined && period !== undefined && share === undefined && limit === undefined) {
      return `${execution}/${period}`;
    }
    const expected = '<cpu share="50%"/> (limit may follow) or <cpu execution="16ms" period="40ms"/>';
    throw new XmlRefusal(element.place, `expected ${expected}`);
  }

  #file(element: Element): unknown {
    const { mode } = element.attributes;
    return mode === undefined ? element.text : { content: element.text, mode };
  }

  #link(element: Element): unknown {
    const entries = Object.entries(element.attributes).map(([key, text]): Entry => {
      const inMegabits = (key === "bandwidth" || key === "ceiling") && /^[\d.]+$/.test(text);
      const value = key === "priority" ? numeric(text) : text;
      return [key, inMegabits ? `${text}Mbit/s` : value, element.place];
    });
    return this.#map(entries);
  }

  #rule(element: Element): unknown {
    return this.#map([
      [
        element.name,
        this.#list(childrenOf(element, "member"), (child) => child.attributes["appliance"]),
        element.place,
      ],
      ...(element.attributes["scope"] === undefined
        ? []
        : [["scope", element.attributes["scope"], element.place] satisfies Entry]),
    ]);
  }

  #attributes(element: Element, keys: readonly string[]): unknown {
    const entries = keys.map((key): Entry => [key, element.attributes[key], element.place]);
    return this.#map(entries.filter(([, value]) => value !== undefined));
  }

  #texts(element: Element, child: string, key: string, read: (text: string) => string): Entry[] {
    return single(element, child, (found) => read(found.text)).map(([, value, place]) => [key, value, place]);
  }

  #entry(
    key: string,
    elements: readonly (readonly [string, Element])[],
    read: (element: Element) => unknown,
    place?: Place,
  ): Entry {
    const entries = elements.map(([name, element]): Entry => [name, read(element), element.place]);
    const at = place ?? elements[0]?.[1].place ?? { line: 1, column: 1 };
    return [key, this.#map(entries), at];
  }

  #mapEntry(
    key: string,
    elements: readonly (readonly [string, Element])[],
    read: (element: Element) => unknown,
  ): Entry[] {
    return elements.length === 0 ? [] : [this.#entry(key, elements, read)];
  }

  #listEntry(key: string, elements: readonly Element[], read: (element: Element) => unknown): Entry[] {
    const [first] = elements;
    return first === undefined ? [] : [[key, this.#list(elements, read), first.place]];
  }

  #list(elements: readonly Element[], read: (element: Element) => unknown): unknown[] {
    const list = elements.map(read);
    const places = elements.map(({ place }, index): [number, MemberPlace] => [
      index,
      { key: place, value: place },
    ]);
    this.places.set(list, new Map(places));
    return list;
  }

  #map(entries: readonly Entry[]): Record<string, unknown> {
    const map = Object.fromEntries(entries.map(([key, value]) => [key, value]));
    this.places.set(map, new Map(entries.map(([key, , place]) => [key, { key: place, value: place }])));
    return map;
  }
}

type Entry = [key: string, value: unknown, place: Place];

function attributesOf(element: Element): Entry[] {
  return Object.entries(element.attributes).map(([key, text]) => [
    key,
    wholeNumbers.has(key) ? numeric(text) : text,
    element.place,
  ]);
}

function childrenOf(element: Element, ...names: readonly string[]): Element[] {
  return element.children.filter((child) => names.includes(child.name));
}

/** Children by their naming attribute; a name given twice is refused. */
function named(element: Element, child: string, attribute: string): [string, Element][] {
  return unique(childrenOf(element, child), attribute);
}

function unique(elements: readonly Element[], attribute: string): [string, Element][] {
  const seen = new Map<string, Element>();
  for (const element of elements) {
    const name = element.attributes[attribute] ?? "";
    const before = seen.get(name);
    if (name === "__proto__") throw new XmlRefusal(element.place, "__proto__ is no name");
    if (before !== undefined) {
      throw new XmlRefusal(element.place, `${shown(name)} is already given on line ${before.place.line}`);
    }
    seen.set(name, element);
  }
  return [...seen];
}

function single(element: Element, child: string, read: (element: Element) => unknown): Entry[] {
  const [first, second] = childrenOf(element, child);
  if (second !== undefined) throw new XmlRefusal(second.place, `a second <${child}> in <${element.name}>`);
  return first === undefined ? [] : [[child, read(first), first.place]];
}

function numeric(text: string): number | string {
  return /^\d{1,9}$/.test(text) ? Number(text) : text;
}
