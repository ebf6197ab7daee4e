import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatTable } from "#cli/table.ts";

type Row = { readonly name: string; readonly path: string; readonly note: string };
const columns = [
  { heading: "NAME", cell: (row: Row) => row.name },
  { heading: "NOTE", cell: (row: Row) => row.note, optional: true },
  { heading: "PATH", cell: (row: Row) => row.path },
];
const path = "a1 > sw-alpha > gw-alpha > router > gw-beta > sw-beta > b1";

describe("formatTable()", () => {
  it("leaves out optional columns that say nothing", () => {
    assert.equal(formatTable(columns, [{ name: "a", note: "-", path: "x" }]), "NAME  PATH\na     x\n");
  });

  it("folds the last column, between words, below itself", () => {
    assert.equal(
      formatTable(columns, [{ name: "a", note: "", path }], 40),
      ["NAME  PATH", "a     a1 > sw-alpha > gw-alpha > router", "      > gw-beta > sw-beta > b1", ""].join(
        "\n",
      ),
    );
  });

  it("gives the last column lines of its own where there is no room beside the others", () => {
    assert.equal(
      formatTable(columns, [{ name: "a-long-name", note: "a-long-note", path }], 40),
      [
        "NAME         NOTE",
        "    PATH",
        "a-long-name  a-long-note",
        "    a1 > sw-alpha > gw-alpha > router >",
        "    gw-beta > sw-beta > b1",
        "",
      ].join("\n"),
    );
  });

  it("never breaks what is not for a terminal", () => {
    assert.equal(
      formatTable(columns, [{ name: "a", note: "b", path }]).split("\n")[1],
      `a     b     ${path}`,
    );
  });
});
