/** IP addresses and networks, by Node's own reader of them. Addresses in unusual spellings are a {@link doubt}. */
import { BlockList, isIP } from 'node:net';
import { doubt } from './doubt.ts';

const MAX_CACHED = 256;
const lists = new Map<string, BlockList>();

/** @throws Error where the text is no network such as 10.0.0.0/8 or fd00::/8. */
export function networkOf(cidr: string): BlockList {
  const known = lists.get(cidr);
  if (known !== undefined) return known;
  const match = /^([0-9a-fA-F.:]{2,45})\/(\d{1,3})$/.exec(cidr);
  const [address, bits] = [match?.[1] ?? '', Number(match?.[2] ?? -1)];
  const family = isIP(address);
  if (family === 0 || bits > (family === 4 ? 32 : 128) || bits < 0)
    throw new Error('not a network: write it as 10.0.0.0/8 or fd00::/8');
  const list = new BlockList();
  list.addSubnet(address, bits, family === 4 ? 'ipv4' : 'ipv6');
  if (lists.size >= MAX_CACHED) lists.clear();
  lists.set(cidr, list);
  return list;
}

export function networkContains(cidr: string, ip: string): boolean {
  const list = networkOf(cidr);
  const family = familyOf(ip);
  // An IPv4 address inside an IPv6 one is judged as both.
  const mapped = family === 6 ? mappedOf(ip) : null;
  return list.check(ip, family === 4 ? 'ipv4' : 'ipv6') || (mapped !== null && list.check(mapped, 'ipv4'));
}

function familyOf(ip: string): 4 | 6 {
  const family = isIP(ip);
  if (family === 0 || ip.includes('%')) doubt('not an IP address in its usual spelling');
  return family as 4 | 6;
}

/** The IPv4 address in `::ffff:a.b.c.d`, `::a.b.c.d`, NAT64 (64:ff9b::/96) and 6to4 (2002::/16), however it is spelt. */
export function mappedOf(ip: string): string | null {
  const words = wordsOf(ip);
  const quad = (high: number, low: number): string =>
    [high >> 8, high & 255, low >> 8, low & 255].map(String).join('.');
  const [a = 0, b = 0, c = 0] = words;
  const tail = quad(words[6] ?? 0, words[7] ?? 0);
  const zero = (from: number, to: number): boolean => words.slice(from, to).every((word) => word === 0);
  if (zero(0, 5) && (words[5] === 0xffff || words[5] === 0)) return tail;
  if (zero(0, 4) && words[4] === 0xffff && words[5] === 0) return tail;
  if (a === 0x64 && b === 0xff9b && zero(2, 6)) return tail;
  return a === 0x2002 ? quad(b, c) : null;
}

function wordsOf(ip: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(ip);
  const text =
    dotted === null
      ? ip
      : `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`;
  const [head = '', tail] = text.split('::');
  const parse = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16));
  const before = parse(head);
  const after = tail === undefined ? [] : parse(tail);
  return [...before, ...new Array<number>(Math.max(0, 8 - before.length - after.length)).fill(0), ...after];
}

/** What is not reachable from the public internet, or is special (RFC 6890 and its successors). */
const SPECIAL = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  '::/127',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '3fff::/20',
  '5f00::/16',
  'fc00::/7',
  'fe80::/9',
  'ff00::/8',
].map(networkOf);

export function isSpecial(ip: string): boolean {
  const family = familyOf(ip);
  const mapped = family === 6 ? mappedOf(ip) : null;
  return (
    SPECIAL.some((list) => list.check(ip, family === 4 ? 'ipv4' : 'ipv6')) ||
    (mapped !== null && SPECIAL.some((list) => list.check(mapped, 'ipv4')))
  );
}
