import { Document, isScalar, visit } from "yaml";

/** Plain data as YAML a person would write: short lists and maps of plain values on one line. */
export function yamlText(value: unknown): string {
  const document = new Document(value, { aliasDuplicateObjects: false });
  visit(document, {
    Seq: (_key, node) => {
      node.flow = node.items.every((item) => isScalar(item) && short(item.value));
    },
    Map: (_key, node) => {
      const plain = node.items.every((pair) => isScalar(pair.value) && short(pair.value.value));
      if (node.items.length === 0 || (plain && node.items.length <= 2)) node.flow = true;
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

function short(value: unknown): boolean {
  return typeof value !== "string" || (value.length <= 40 && !value.includes("\n"));
}
