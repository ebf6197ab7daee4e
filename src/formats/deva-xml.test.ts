import assert from "node:assert/strict";
import { test } from "node:test";
import { parseEnsemble } from "#formats/ensemble.ts";
import { formatProblem } from "#formats/problem.ts";

const request = `<?xml version="1.0"?>
<ensemble name="shop">
  <network name="lan" subnet="10.1.0.0/24"/>
  <appliance name="web" kind="vm" replicas="2" image="debian" restart="never" priority="7" stopGrace="2s">
    <cpu share="50%" limit="100%"/>
    <memory size="64MiB"/>
    <vm machine="q35" vcpus="2" vcpusMax="4" memoryMax="1GiB" home="1GiB" start="cold">
      <software image="postgres"/>
      <key>ssh-ed25519 AAAA me</key>
      <disk read="10MiB/s" writes="100"/>
      <checkpoint every="30s" copies="2"/>
    </vm>
    <command>nginx -g 'daemon off;'</command>
    <env name="GREETING">a &amp; b</env>
    <file path="/etc/x" mode="0600"><![CDATA[<html>]]></file>
    <attach network="lan"/>
    <require site="alpha"/>
    <require label="disk" value="ssd"/>
  </appliance>
  <appliance name="db"><cpu execution="16ms" period="40ms"/><argument>sleep</argument><argument>30</argument></appliance>
  <link from="web" to="db" bandwidth="600" ceiling="1Gbit/s" latency="low" priority="2"/>
  <together scope="site"><member appliance="web"/><member appliance="db"/></together>
</ensemble>`;

const sameInYaml = `
ensemble: shop
networks: {lan: {subnet: 10.1.0.0/24}}
appliances:
  web:
    kind: vm
    replicas: 2
    image: debian
    restart: never
    priority: 7
    stopGrace: 2s
    cpu: {share: 50%, limit: 100%}
    memory: 64MiB
    vm:
      machine: q35
      vcpus: 2
      vcpusMax: 4
      memoryMax: 1GiB
      home: 1GiB
      start: cold
      software: [postgres]
      sshKeys: [ssh-ed25519 AAAA me]
      disk: {read: 10MiB/s, writes: 100}
      checkpoint: {every: 30s, copies: 2}
    command: [nginx, -g, daemon off;]
    env: {GREETING: a & b}
    files: {/etc/x: {content: <html>, mode: 0600}}
    networks: [lan]
    sites: [alpha]
    labels: {disk: ssd}
  db: {cpu: 16ms/40ms, command: [sleep, 30]}
links: [{from: web, to: db, bandwidth: 600Mbit/s, ceiling: 1Gbit/s, latency: low, priority: 2}]
placement: [{together: [web, db], scope: site}]
`;

function problem(xml: string): string {
  const parsed = parseEnsemble(xml, { file: "e.xml" });
  assert.ok(!parsed.ok);
  return parsed.problems.map(formatProblem).join("\n");
}

test("DEVA XML says all that YAML can", () => {
  const fromXml = parseEnsemble(request, { file: "e.xml" });
  assert.ok(fromXml.ok, fromXml.ok ? "" : fromXml.problems.map(formatProblem).join("\n"));
  assert.deepEqual(fromXml, parseEnsemble(sameInYaml, { file: "e.yaml" }));
});

const faults: readonly (readonly [string, string])[] = [
  ["<deva/>", '1:1: <deva> is not known as the root; the root is <ensemble name="...">'],
  ["<ensemble/>", '1:1: <ensemble> needs the attribute "name"'],
  [
    '<ensemble name="a">\n  <lnk/></ensemble>',
    '2:3: <lnk> is not known inside <ensemble>; did you mean "link"?',
  ],
  [
    '<ensemble name="a"><link from="a" to="b" bandwith="5"/></ensemble>',
    '1:20: attribute "bandwith" is not known on <link>; did you mean "bandwidth"?',
  ],
  ['<ensemble name="a">x</ensemble>', '1:1: <ensemble> contains text "x", which means nothing there'],
  [
    '<!DOCTYPE a><ensemble name="a"/>',
    "1:12: a document type declaration is not accepted; leave out <!DOCTYPE ...>",
  ],
];

for (const [xml, expected] of faults) {
  test(`${JSON.stringify(xml)} is refused with its place`, () =>
    assert.equal(problem(xml), `e.xml:${expected}`));
}

test("problems of meaning point into the XML", () => {
  const xml = `<ensemble name="a">
  <appliance name="web"><command>x</command></appliance>
  <appliance name="db"><command>x</command></appliance>
  <link from="web" to="dbb"/>
</ensemble>`;
  assert.equal(problem(xml), 'e.xml:4:3 links[0].to: no appliance "dbb"; did you mean "db"?');
});

test("an appliance declared twice is refused", () => {
  const xml = '<ensemble name="a">\n<appliance name="w"/>\n<appliance name="w"/></ensemble>';
  assert.match(problem(xml), /e\.xml:3:1: "w" is already given on line 2/);
});
