import assert from "node:assert/strict";
import { test } from "node:test";
import { ConsortError } from "#base/errors.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { parseEnsemble } from "#formats/ensemble.ts";
import type { Ensemble } from "#model/ensemble.ts";
import { Ledger } from "#sim/checks/ledger.ts";
import type { Call } from "#sim/client.ts";

function shop(replicas: number): Ensemble {
  const text = `ensemble: shop\nappliances: {web: {command: stay, replicas: ${replicas}}}\n`;
  const parsed = parseEnsemble(text, { file: "shop.yaml" });
  assert.ok(parsed.ok);
  return parsed.value;
}

const record = (ensemble: Ensemble, state: EnsembleRecord["state"] = "present"): EnsembleRecord => ({
  ensemble,
  state,
  placements: {},
  paths: [],
  networks: {},
  interfaces: {},
  leaving: {},
  unleased: {},
  operation: "o0",
  revision: 1,
});

const call = (state: Call["state"], fields: Partial<Call> = {}): Call => ({
  verb: "up",
  subject: "shop",
  askedAtMs: 0,
  state,
  ...fields,
});

test("what the cloud began with is kept when its change is refused, and missed when it is gone", () => {
  const ledger = new Ledger([record(shop(2))]);
  const error = new ConsortError("unsatisfiable", "Cannot bring up shop: too large");
  ledger.up(shop(9), call("refused", { error }));
  assert.equal(ledger.lost([record(shop(2))]), undefined);
  assert.match(ledger.lost([record(shop(9))])?.message ?? "", /of shop the store has form/);
  assert.match(ledger.lost([])?.message ?? "", /of shop the store has that it is gone/);
});

test("a cancel goes back to what the cloud began with", () => {
  const ledger = new Ledger([record(shop(2))]);
  ledger.up(shop(3), call("answered", { answer: { id: "o1", kind: "up" } }));
  const newest = ledger.newestOperation("shop");
  assert.equal(newest?.id, "o1");
  ledger.cancel("shop", call("answered", { verb: "cancel" }), newest?.goesBackTo ?? -1);
  assert.equal(ledger.lost([record(shop(2))]), undefined);
  assert.ok(ledger.lost([record(shop(3))]) !== undefined);
  assert.ok(ledger.lost([]) !== undefined);
});

test("what was leaving when the cloud began is desired no more", () => {
  const ledger = new Ledger([record(shop(2), "removing")]);
  assert.equal(ledger.lost([]), undefined);
  assert.ok(ledger.lost([record(shop(2))]) !== undefined);
});
