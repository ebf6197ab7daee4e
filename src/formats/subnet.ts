/** An IPv4 subnet: `first` is its lowest address as an unsigned number. */
export type Subnet = { readonly first: number; readonly prefixLength: number };

export type SubnetResult =
  | { readonly ok: true; readonly subnet: Subnet }
  | { readonly ok: false; readonly message: string; readonly suggestion?: string };

const expected = "expected a subnet such as 10.1.0.0/24";

/** Ranges no ensemble may use, with what they are. */
const reserved: readonly (readonly [string, string])[] = [
  ["0.0.0.0/8", "this network"],
  ["127.0.0.0/8", "loopback"],
  ["169.254.0.0/16", "link-local"],
  ["224.0.0.0/3", "multicast and reserved"],
];

/** "10.1.0.0/24" → its numbers; prefix lengths 8 to 29, host bits zero, not a reserved range. */
export function parseSubnet(text: string): SubnetResult {
  const subnet = read(text);
  if (subnet === undefined)
    return { ok: false, message: `${expected}, not ${JSON.stringify(text.slice(0, 40))}` };
  if (subnet.prefixLength < 8 || subnet.prefixLength > 29) {
    return { ok: false, message: `expected a prefix length from 8 to 29, not ${subnet.prefixLength}` };
  }
  const start = subnet.first - (subnet.first % sizeOf(subnet));
  if (start !== subnet.first) {
    const suggestion = `write ${formatSubnet({ first: start, prefixLength: subnet.prefixLength })}`;
    return { ok: false, message: `${text} is an address inside a subnet, not a subnet`, suggestion };
  }
  for (const [range, meaning] of reserved) {
    const other = read(range);
    if (other !== undefined && overlap(subnet, other)) {
      return { ok: false, message: `${text} is reserved (${meaning})`, suggestion: "use one of 10.0.0.0/8" };
    }
  }
  return { ok: true, subnet };
}

export function overlap(a: Subnet, b: Subnet): boolean {
  return a.first < b.first + sizeOf(b) && b.first < a.first + sizeOf(a);
}

/** Addresses members can have: all but the first, the one at which names are served, and the last. */
export function usableAddresses(subnet: Subnet): number {
  return sizeOf(subnet) - 3;
}

export function formatSubnet({ first, prefixLength }: Subnet): string {
  const parts = [24, 16, 8, 0].map((shift) => (first >>> shift) & 255);
  return `${parts.join(".")}/${prefixLength}`;
}

function sizeOf({ prefixLength }: Subnet): number {
  return 2 ** (32 - prefixLength);
}

function read(text: string): Subnet | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text);
  if (parts === null) return undefined;
  const [a = 0, b = 0, c = 0, d = 0, prefixLength = 33] = parts.slice(1).map(Number);
  if ([a, b, c, d].some((part) => part > 255) || prefixLength > 32) return undefined;
  return { first: ((a * 256 + b) * 256 + c) * 256 + d, prefixLength };
}
